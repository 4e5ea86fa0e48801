"""The reading end of a command's output."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable

from .capture import Capture

READ = 65_536
"""Octets of one read: what a pipe holds at first, and below malloc's mmap threshold."""

BUDGET = 1 << 20
"""Octets read from one pipe before others get a turn."""

PIPE = 1 << 20
"""Octets a pipe holds once a stream has shown to be long (pipe-max-size, pipe(7))."""


class Stream:
    """The reading end of a pipe and what came through it."""

    __slots__ = ("_loop", "_on_end", "_watched", "_wide", "capture", "fd", "sink")

    def __init__(self, capture: Capture, on_end: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._watched = self._wide = False
        self.capture = capture
        self.fd, self.sink = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.fd, False)

    def begin(self) -> None:
        """The command has its own copy of the writing end by now."""
        os.close(self.sink)
        self.sink = -1

    def watch(self) -> None:
        """Read whenever there is something."""
        if self.fd >= 0 and not self._watched:
            self._watched = True
            self._loop.add_reader(self.fd, self.read)

    def read(self) -> None:
        """Take what is there, within the budget of one turn."""
        budget = BUDGET
        while budget > 0 and self.fd >= 0:
            try:
                data = os.read(self.fd, READ)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.close()
                self._on_end()
                return
            self.capture.feed(data)
            budget -= len(data)
        if not self._wide and self.fd >= 0:
            self._wide = True
            with contextlib.suppress(OSError):
                fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, PIPE)

    def read_rest(self) -> None:
        """Take what is left in the pipe; after its writers have ended this is all."""
        for _ in range(2 * PIPE // BUDGET + 1):
            if self.fd >= 0:
                self.read()

    def close(self) -> None:
        """Stop reading; idempotent."""
        if self.sink >= 0:
            os.close(self.sink)
            self.sink = -1
        if self.fd >= 0:
            if self._watched:
                self._loop.remove_reader(self.fd)
            os.close(self.fd)
            self.fd = -1
