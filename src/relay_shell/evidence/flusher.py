"""fdatasync(2) away from the event loop: a thread that waits for descriptors to sync.

Thread and loop wake each other by eventfd(2). An executor does the same with locks, a queue and
two futures, at twice the processor time of such a call.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from errno import EIO


class Flusher:
    """Syncs one descriptor at a time; the thread starts with the first.

    Args:
        done: called on the loop with what the sync answered, None for success.
    """

    def __init__(self, done: Callable[[OSError | None], None]) -> None:
        self._done = done
        self._fd = -1
        self._error: OSError | None = None
        self._running = self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._wanted = self._ended = -1

    def start(self, fd: int) -> None:
        """Sync a descriptor, on behalf of the loop that runs; none may be under way.

        Raises:
            OSError, RuntimeError: there are no descriptors, or no thread, for it.
        """
        assert not self._running and not self._closed
        if self._thread is None:
            self._thread = self._begin()
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._leave()
            loop.add_reader(self._ended, self._answered)
            self._loop = loop
        self._fd, self._running = fd, True
        os.eventfd_write(self._wanted, 1)

    def stop(self) -> None:
        """Wait for the sync that runs, tell its answer, and end the thread."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            return
        os.eventfd_write(self._wanted, 1)
        self._thread.join()
        self._leave()
        os.close(self._wanted)
        os.close(self._ended)
        if self._running:
            self._tell()

    def _begin(self) -> threading.Thread:
        self._wanted = os.eventfd(0, os.EFD_CLOEXEC)
        try:
            self._ended = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            # A daemon, so that a program that fails elsewhere can end.
            thread = threading.Thread(target=self._work, name="relay-evidence", daemon=True)
            thread.start()
        except BaseException:
            for fd in (self._wanted, self._ended):
                if fd >= 0:
                    os.close(fd)
            self._wanted = self._ended = -1
            raise
        return thread

    def _work(self) -> None:
        while True:
            # The end may be asked for together with a sync: the sync comes first.
            os.eventfd_read(self._wanted)
            if self._fd >= 0:
                fd, self._fd = self._fd, -1
                try:
                    os.fdatasync(fd)
                except OSError as error:
                    self._error = error
                except BaseException as error:
                    self._error = OSError(EIO, str(error))
                os.eventfd_write(self._ended, 1)
            if self._closed:
                return

    def _answered(self) -> None:
        try:
            os.eventfd_read(self._ended)
        except BlockingIOError:
            return
        self._tell()

    def _tell(self) -> None:
        self._running = False
        error, self._error = self._error, None
        self._done(error)

    def _leave(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._ended)
        self._loop = None
