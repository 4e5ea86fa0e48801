"""stdio: front, broker and worker in one process, for a desktop or a container without systemd.

The same code as the services run, over in-process links: policy, redaction and the write-ahead
record are all there. What systemd holds is not: there is one account, and no posture confines it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..wire.errors import KINDS, RelayError

if TYPE_CHECKING:
    from ..broker.server import Broker
    from ..config.settings import Settings
    from ..front.app import Front
    from ..policy.access import AccessRules
    from ..worker.worker import Worker

SLOTS = 64
"""Programs of one user that may run at once, each with a record of its own: a chain has one
writer, and some clients start a server twice."""

OWN = ("paths.audit", "paths.state")
"""What two programs must not have in common."""

LAST_WORDS = 8.0
"""Seconds for what runs to be ended at exit."""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        "stdio",
        help="serve MCP on stdin and stdout without systemd (standalone)",
        description="Serve one MCP client on stdin and stdout, as the current user, without any "
        "service. The record goes to $XDG_STATE_HOME/relay-shell/audit.jsonl (a second program "
        "at the same time writes audit-2.jsonl, and so on). Where relay-shell is installed as a "
        "service, use 'relay-shell connect' instead: it confines what agents can do.",
    )
    parser.add_argument(
        "--config",
        metavar="DIR",
        help="directory of relay-shell.toml (default: RELAY_SHELL_CONFIG or /etc/relay-shell)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until the client ends; the exit status.

    Raises:
        ConfigError: the settings are wrong.
        RelayError: kind Config or EvidenceUnavailable, if there is no place for the record.
    """
    import logging

    from ..broker.access_file import load_access
    from ..config import ROOT, load

    # stdout belongs to the protocol: whatever else writes to descriptor 1 goes to stderr.
    stdout = os.dup(1)
    os.dup2(2, 1)
    logging.basicConfig(level=logging.WARNING, format="relay-shell: %(message)s", stream=sys.stderr)
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    root = args.config or os.environ.get("RELAY_SHELL_CONFIG") or ROOT
    settings = load(root, os.environ)
    return asyncio.run(_serve(settings, load_access(root), 0, stdout))


def state_home(environ: Mapping[str, str]) -> Path:
    """$XDG_STATE_HOME/relay-shell (XDG Base Directory Specification)."""
    base = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.local/state")
    return Path(base) / "relay-shell"


def placed(settings: Settings, home: Path, slot: int) -> Settings:
    """The settings with the record below `home`, but where a path was set on purpose.

    Raises:
        RelayError: kind Config, if the directories cannot be made.
    """
    from ..config.settings import DEFAULT, Settings

    name = "audit.jsonl" if slot == 1 else f"audit-{slot}.jsonl"
    state = home / f"slot-{slot}"
    paths = {
        "paths.audit": home / name,
        "paths.state": state,
        "paths.runtime": state / "run",
        "paths.recordings": state / "recordings",
    }
    values = dict(settings)
    for key, path in paths.items():
        if settings.source(key) == DEFAULT:
            values[key] = str(path)
            directory = path.parent if key == "paths.audit" else path
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise RelayError("Config", reason=f"{directory}: {error.strerror}") from None
    return Settings(values, {key: settings.source(key) for key in settings})


def open_broker(settings: Settings, home: Path, rules: AccessRules | None = None) -> Broker:
    """A broker on the first record of this user that no other program writes.

    Raises:
        RelayError: kind Config or EvidenceUnavailable.
    """
    from ..broker.server import Broker
    from ..evidence.errors import EvidenceError
    from ..evidence.journal import Journal

    for slot in range(1, SLOTS + 1):
        here = placed(settings, home, slot)
        journal = Journal(here["evidence.journal"], here["evidence.spool_bytes"])
        try:
            return Broker(here, journal=journal, local=True, rules=rules)
        except EvidenceError as error:
            # A place that was set on purpose is the same in every slot, and the lock of another
            # slot would not keep a second writer from the record.
            if error.cause != "locked" or any(here[key] == settings[key] for key in OWN):
                raise
    raise RelayError("Busy", reason=f"{SLOTS} programs of this user run already")


class Standalone:
    """The three roles, composed; one client's socket after another may be given to `front`."""

    def __init__(self, broker: Broker) -> None:
        from ..front.app import Front
        from ..tools.registry import TOOLS

        self.broker = broker
        self.workers: list[Worker] = []
        self._links: set[asyncio.Task[Any]] = set()
        self.front: Front = Front(
            TOOLS, broker=self._to_broker, worker=self._to_worker, transport="stdio", spares=False
        )

    async def _to_broker(self) -> socket.socket:
        from ..broker.handshake import Origin
        from ..wire.sockets import pair

        ours, theirs = pair()
        task = asyncio.get_running_loop().create_task(self.broker.serve(ours, Origin.local()))
        self._links.add(task)
        task.add_done_callback(self._links.discard)
        return theirs

    async def _to_worker(self) -> socket.socket:
        from ..wire.sockets import pair
        from ..worker.worker import Worker

        ours, theirs = pair()
        worker = Worker(ours, self._to_broker, own_process=False)
        self.workers.append(worker)
        worker.done.add_done_callback(lambda _: self.workers.remove(worker))
        return theirs

    async def stop(self, reason: str) -> None:
        """End the client, everything that runs, then the record."""
        await self.front.stop(reason)
        ending = [worker.done for worker in self.workers]
        for worker in list(self.workers):
            worker.stop(reason)
        if ending:
            await asyncio.wait(ending, timeout=LAST_WORDS)
        await self.broker.close(reason)


@contextlib.asynccontextmanager
async def standalone(
    settings: Settings, home: Path, rules: AccessRules | None = None
) -> AsyncIterator[Standalone]:
    """The roles running, and stopped at the end."""
    composed = Standalone(open_broker(settings, home, rules))
    try:
        await composed.front.start()
        yield composed
    finally:
        await composed.stop("the program ends")


async def _serve(settings: Settings, rules: AccessRules, stdin: int, stdout: int) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(status: int) -> None:
        if not ended.done():
            ended.set_result(status)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end, 128 + number)
    async with standalone(settings, state_home(os.environ), rules) as composed:
        ours, theirs = socket.socketpair()
        client = composed.front.accept(theirs)
        if client is None:
            return KINDS["Busy"].exit_status
        thread = threading.Thread(
            target=_relay, args=(ours, stdin, stdout, loop, end), daemon=True, name="relay"
        )
        thread.start()
        return await ended


def _relay(
    sock: socket.socket, stdin: int, stdout: int, loop: asyncio.AbstractEventLoop, end: Any
) -> None:
    from .connect import relay

    with contextlib.suppress(RuntimeError), sock:
        relay(sock, stdin, stdout)
        loop.call_soon_threadsafe(end, 0)
