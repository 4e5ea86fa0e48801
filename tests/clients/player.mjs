// Plays a recording with the core of asciinema-player, at 50 times its speed; prints its events.
// usage: node player.mjs FILE
import { readFileSync, readdirSync } from 'node:fs';
globalThis.window ??= globalThis;
const dist = new URL('node_modules/asciinema-player/dist/', import.meta.url);
const name = readdirSync(dist).find((name) => name.startsWith('core-'));
const { C: Core } = await import(new URL(name, dist));
const quiet = () => {};
const logger = { log: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet };
const data = readFileSync(process.argv[2], 'utf8');
const core = new Core({ data }, { logger, speed: 50, markers: undefined, autoPlay: true });
const seen = [];
for (const kind of ['metadata', 'output', 'input', 'marker', 'resize', 'reset', 'error', 'ended'])
  core.addEventListener(kind, (event) => {
    seen.push([kind, event]);
    if (kind === 'ended' || kind === 'error') { console.log(JSON.stringify(seen)); process.exit(0); }
  });
core.terminalReady();
await core.init();
