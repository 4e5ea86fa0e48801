"""The front as a service: sockets from systemd, a status line, a watchdog, an end when idle."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys

from ..config.table import env_name
from ..tools.registry import TOOLS
from ..wire import notify, sockets
from ..wire.errors import KINDS
from .app import DEFAULTS, Front

logger = logging.getLogger(__name__)

WORKER = "worker-"
"""Prefix of the names of worker links in the fd store; every other descriptor is a listener."""

STATUS_INTERVAL = 0.5
"""Seconds between two status lines."""


class FdStore:
    """systemd's fd store as the pool of workers uses it."""

    def put(self, name: str, fd: int) -> None:
        if not notify.store(name, fd) and os.environ.get("NOTIFY_SOCKET"):
            logger.warning("%s is not stored; a restart of the front will lose it", name)

    def drop(self, name: str) -> None:
        notify.unstore(name)


def main(argv: list[str] | None = None) -> int:
    """Run the front until it is told to stop or has been idle; the exit status."""
    options = _options(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # Its messages quote what does not fit a model: arguments, or output.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard) if soft < hard else (soft, hard))
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_serve(options))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(options))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="relay-shell-front",
        description="Serve MCP to local clients. systemd starts it from relay-shell.socket.",
    )
    for name in ("socket", "broker", "worker"):
        key = f"paths.{name}"
        parser.add_argument(
            f"--{name}",
            metavar="PATH",
            default=os.environ.get(env_name(key), DEFAULTS[key]),
            help=f"default: %(default)s ({env_name(key)})",
        )
    parser.add_argument(
        "--listen", action="store_true", help="make --socket, where systemd passes no listener"
    )
    return parser.parse_args(argv)


def _bind(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    old = os.umask(0o117)
    try:
        sock.bind(path)
    finally:
        os.umask(old)
    sock.listen(512)
    return sock


async def _serve(options: argparse.Namespace) -> int:
    listeners, stored = [], []
    for name, fd in notify.listen_fds():
        if name.startswith(WORKER):
            stored.append((name.removeprefix(WORKER), socket.socket(fileno=fd)))
        else:
            listeners.append(socket.socket(fileno=fd))
    if options.listen:
        listeners.append(_bind(options.socket))
    if not listeners:
        sys.stderr.write(
            "relay-shell-front: no socket to serve\n"
            "Start it with 'systemctl start relay-shell.socket', or give --listen.\n"
        )
        return KINDS["Unavailable"].exit_status
    front = Front(
        TOOLS,
        broker=lambda: sockets.connect(options.broker),
        worker=lambda: sockets.connect(options.worker),
        store=FdStore(),
        restored=stored,
    )
    await front.start()
    for listener in listeners:
        front.listen(listener)
    # Everything so far lives as long as the process: the collector need never look at it again.
    gc.collect()
    gc.freeze()
    notify.ready(_status(front))
    reason = await _run(front)
    notify.stopping(reason)
    await front.stop(reason)
    return 0


async def _run(front: Front) -> str:
    """Serve until there is a reason to end, and return it."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[str] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(
            number, lambda: None if told.done() else told.set_result("the front is stopped")
        )
    changed = asyncio.Event()
    front.changed = front.pool.changed = changed.set
    tasks = [
        loop.create_task(_report(front, changed)),
        loop.create_task(_idle(front, told)),
    ]
    notify.keep_alive(loop)
    try:
        return await told
    finally:
        for task in tasks:
            task.cancel()


async def _idle(front: Front, told: asyncio.Future[str]) -> None:
    while True:
        await front.idle.wait()
        seconds = front.setting("front.idle_exit")
        if not seconds:
            await asyncio.sleep(60)
            continue
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while front.idle.is_set() and loop.time() < until:
            await asyncio.sleep(min(1.0, max(until - loop.time(), 0.01)))
        if front.idle.is_set() and not told.done():
            told.set_result(f"no client for {seconds} s")
            return


async def _report(front: Front, changed: asyncio.Event) -> None:
    shown = ""
    while True:
        changed.clear()
        status = _status(front)
        if status != shown and notify.status(status):
            shown = status
        await asyncio.sleep(STATUS_INTERVAL)
        # Calls begin and end without an event; while there are any, the line is kept true.
        if not front.pool.calls and "running" not in shown:
            await changed.wait()


def _status(front: Front) -> str:
    who = ", ".join(
        user if count == 1 else f"{user} x{count}" for user, count in sorted(front.users().items())
    )
    calls = front.pool.calls
    parts = [f"{front.clients} clients" + (f" ({who})" if who else "")]
    parts.append(f"{len(front.pool)} workers")
    if front.pool.spares:
        parts.append(f"{len(front.pool.spares)} spare")
    if calls:
        parts.append(f"{calls} calls running")
    if not front.broker.up:
        parts.append(f"broker away: {front.broker.reason}")
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
