// The official TypeScript clients, v2 in each of its modes and v1, against a stdio command.
// usage: node typescript.mjs COMMAND [ARG...]; prints one JSON object a client.
import { Client as Client2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as Stdio2 } from '@modelcontextprotocol/client/stdio';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as Stdio1 } from '@modelcontextprotocol/sdk/client/stdio.js';

const [command, ...args] = process.argv.slice(2);
const info = { name: 'typescript', version: '1' };
const env = { ...process.env };
const transport2 = () => new Stdio2({ command, args, env, stderr: 'inherit' });
const variants = {
  'v2 auto': () => [
    new Client2(info, { versionNegotiation: { mode: 'auto' }, capabilities: {} }),
    transport2(),
  ],
  'v2 pinned': () => [
    new Client2(info, { versionNegotiation: { mode: { pin: '2026-07-28' } }, capabilities: {} }),
    transport2(),
  ],
  'v2 legacy': () => [new Client2(info, { capabilities: {} }), transport2()],
  'v1 legacy': () => [
    new Client1(info, { capabilities: {} }),
    new Stdio1({ command, args, env, stderr: 'inherit' }),
  ],
};

for (const [variant, make] of Object.entries(variants)) {
  const found = { variant };
  const [client, transport] = make();
  const call = (name, input, options = {}) =>
    variant === 'v1 legacy'
      ? client.callTool({ name, arguments: input }, undefined, options)
      : client.callTool({ name, arguments: input }, options);
  try {
    await client.connect(transport);
    found.version = client.getNegotiatedProtocolVersion?.() ?? null;
    found.server = client.getServerVersion()?.name;
    found.instructions = (client.getInstructions() ?? '').length > 0;
    found.tools = (await client.listTools()).tools.map((tool) => tool.name);
    found.prompts = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
    const guide = await client.getPrompt({ name: 'operating_guide' });
    found.guide = guide.messages[0].content.text.length > 100;
    const echo = await call('shell_exec', { command: 'echo hello' });
    found.stdout = echo.structuredContent.stdout;
    found.text = echo.content[0].text;
    const bad = await call('shell_exec', { command: 7 });
    found.invalid = bad.isError && bad.structuredContent.error.kind;
    try {
      await call('no_such_tool', {});
    } catch (error) {
      found.unknown = error.code;
    }
    const progress = [];
    await call('shell_exec', { command: process.env.PROGRESS_COMMAND }, {
      onprogress: (at) => progress.push(at.progress),
    });
    found.progress = progress;
    const abort = new AbortController();
    setTimeout(() => abort.abort('enough'), 300);
    try {
      await call('shell_exec', { command: 'sleep 30' }, { signal: abort.signal });
      found.cancelled = false;
    } catch {
      found.cancelled = true;
    }
    found.after = (await call('shell_exec', { command: 'echo after' })).structuredContent.stdout;
  } catch (error) {
    found.error = String(error?.stack ?? error);
  }
  await client.close();
  console.log(JSON.stringify(found));
}
