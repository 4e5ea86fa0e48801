"""The worker's program: one connection of the front, and one to the SSH keys, passed by systemd."""

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

AGENT = "ssh-agent"
"""Name that the unit's OpenFile= gives to its connection to the SSH keys."""


async def serve(front: socket.socket, broker: str, agent: int | None) -> str:
    """Be the worker of one front connection until it ends; return the reason.

    Args:
        agent: descriptor that is connected to an ssh-agent.
    """
    loop = asyncio.get_running_loop()

    async def dial() -> socket.socket:
        return await sockets.connect(broker)

    worker = Worker(front, dial, own_process=True, agent=agent)
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
    # The front's connection has no name of ours: systemd.socket(5) says which under Accept=yes.
    passed = notify.listen_fds()
    fronts = [fd for name, fd in passed if name != AGENT]
    agents = [fd for name, fd in passed if name == AGENT]
    if not fronts:
        print("relay-shell-worker: started by systemd only (no descriptor passed)", file=sys.stderr)
        return 64
    front = socket.socket(fileno=fronts[0])
    # What start-up made lives as long as the process: no collection needs to look at it again.
    gc.freeze()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        broker = os.environ.get("RELAY_SHELL_PATHS_BROKER", BROKER)
        reason = runner.run(serve(front, broker, agents[0] if agents else None))
    logging.getLogger(__name__).info("worker ended: %s", reason)
    return 0


if __name__ == "__main__":
    sys.exit(main())
