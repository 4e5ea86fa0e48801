"""Typing into a terminal whose program may not read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from ..wire.errors import RelayError

WRITE = 5.0
"""Seconds that a program may leave its input unread before a send gives up."""


async def type_into(terminal: Callable[[], int], handle: str, data: bytes) -> None:
    """Write all of it.

    Args:
        terminal: the master's descriptor as it is now; raises RelayError once it is closed.
        handle: the session's name, for errors.

    Raises:
        RelayError: kind NotFound, if the terminal is closed; Busy, if the program does not read.
    """
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    deadline = loop.time() + WRITE
    while view:
        master = terminal()
        try:
            view = view[os.write(master, view) :]
            continue
        except BlockingIOError:
            pass
        except OSError:
            raise RelayError("NotFound", reason=f"the terminal of {handle} is closed") from None
        left = deadline - loop.time()
        if left <= 0:
            unsent = len(view)
            raise RelayError(
                "Busy", reason=f"the program does not read; {unsent} bytes were not sent"
            )
        await _writable(terminal, master, min(left, 0.1))


async def _writable(terminal: Callable[[], int], master: int, timeout: float) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    timer = loop.call_later(timeout, wake)
    loop.add_writer(master, wake)
    try:
        await future
    finally:
        timer.cancel()
        try:
            terminal()
        except RelayError:
            # Who closed it took the writer along, and the number may be another file's by now.
            pass
        else:
            loop.remove_writer(master)
