"""The worker's program: one connection of the front, passed by systemd as descriptor 3."""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys

# asyncio does without TLS where the ssl module is missing. A worker never speaks TLS through it,
# and OpenSSL would cost every start 5 ms.
_absent = "ssl" not in sys.modules
if _absent:
    sys.modules["ssl"] = None  # type: ignore[assignment]
import asyncio  # noqa: E402

if _absent:
    del sys.modules["ssl"]
import logging  # noqa: E402

from ..wire import notify, sockets  # noqa: E402
from .worker import SPARE, Worker  # noqa: E402

BROKER = "/run/relay-shell/broker.sock"
"""paths.broker by default; RELAY_SHELL_PATHS_BROKER names another."""


async def serve(front: socket.socket, broker: str) -> str:
    """Be the worker of one front connection until it ends; return the reason."""
    loop = asyncio.get_running_loop()

    async def dial() -> socket.socket:
        return await sockets.connect(broker)

    worker = Worker(front, dial, own_process=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop, "the unit was stopped")
    notify.keep_alive(loop)
    loop.add_signal_handler(signal.SIGWINCH, worker.dismiss)
    notify.ready(SPARE)
    return await worker.done


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop on poll(2): the kernel counts what epoll(7) watches by account (its
    max_user_watches), and one agent could use up what the workers of all others wait with."""
    return asyncio.SelectorEventLoop(selectors.PollSelector())


def main() -> int:
    """Entry point; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    passed = notify.listen_fds()
    if not passed:
        print("relay-shell-worker: started by systemd only (no descriptor passed)", file=sys.stderr)
        return 64
    front = socket.socket(fileno=passed[0][1])
    # What start-up made lives as long as the process: no collection needs to look at it again.
    gc.freeze()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        reason = runner.run(serve(front, os.environ.get("RELAY_SHELL_PATHS_BROKER", BROKER)))
    logging.getLogger(__name__).info("worker ended: %s", reason)
    return 0


if __name__ == "__main__":
    sys.exit(main())
