"""The observer's program; see relay-shell-observer(8)."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence

from ..wire import notify, sockets
from .service import Observer, default_slice

BROKER = "/run/relay-shell/broker.sock"
"""paths.broker by default; RELAY_SHELL_PATHS_BROKER names another."""


async def serve(broker: str, slice_path: str) -> None:
    """Observe until the service manager ends it."""
    loop = asyncio.get_running_loop()

    async def dial() -> socket.socket:
        return await sockets.connect(broker)

    observer = Observer(dial, slice_path)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, observer.stop)
    notify.keep_alive(loop)
    notify.ready("waiting for the broker")
    await observer.run()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="relay-shell-observer",
        description="Tell the broker what the processes of calls execute. Started by systemd.",
    )
    parser.add_argument("--slice", default=default_slice(), metavar="DIR", help="cgroup directory")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    gc.freeze()
    asyncio.run(serve(os.environ.get("RELAY_SHELL_PATHS_BROKER", BROKER), arguments.slice))
    return 0


if __name__ == "__main__":
    sys.exit(main())
