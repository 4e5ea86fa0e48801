"""Group commit: whoever waits for the disk at the same time shares one fdatasync(2)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from errno import EAGAIN
from typing import Any

from .errors import EvidenceError
from .flusher import Flusher

SYNC_WITHIN = 1.0
"""Seconds after which a record that nobody waits for is durable too."""


class GroupSync:
    """Syncs one descriptor, in a thread of its own, one sync at a time.

    Args:
        fd: gives the descriptor at the time of a sync, or None if there is none.
        failed: told what a sync answered; returns the error for those who waited.
    """

    def __init__(
        self, fd: Callable[[], int | None], failed: Callable[[OSError], EvidenceError]
    ) -> None:
        self._fd = fd
        self._failed = failed
        self.written = 0
        """Number of the last record that the kernel has; the writer sets it."""
        self.durable = 0
        """Number of the last record that is on the disk."""
        self._waiters: list[asyncio.Future[None]] = []
        self._served: list[asyncio.Future[None]] = []
        """Those whom the running sync serves."""
        self._planned = self._running = self._void = False
        self._closed = False
        self._retired: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flusher = Flusher(self._done)
        self._target = 0
        self._started = 0.0
        self._count = self._largest = 0
        self._slowest = 0.0

    async def wait(self) -> None:
        """Return when all that is written by now is durable.

        Raises:
            EvidenceError: it may not be.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        if not self._planned and not self._running:
            # After all that is read in this turn of the loop, which shares the sync.
            self._planned = True
            loop.call_soon(self._start)
        await waiter

    def soon(self) -> None:
        """Have all that is written by now durable within `SYNC_WITHIN` seconds."""
        if self._timer is None and not self._running and not self._closed:
            loop = running_loop()
            if loop is not None:
                self._timer = loop.call_later(SYNC_WITHIN, self._due)

    def retire(self, fd: int) -> None:
        """Close a descriptor as soon as no sync uses it."""
        self._retired.append(fd)
        if not self._running:
            self._close_retired()

    def fail(self, failure: EvidenceError) -> None:
        """Refuse all who wait, because the owner's own sync failed.

        fsync(2) reports a lost write once for a descriptor: the sync that runs meanwhile may
        succeed and must not be believed.
        """
        self._void = self._running
        waiters, self._waiters, self._served = self._served + self._waiters, [], []
        _answer(waiters, failure)

    def status(self) -> dict[str, Any]:
        return {
            "unsynced": self.written - self.durable,
            "syncs": self._count,
            "slowest_sync_ms": round(self._slowest * 1000, 3),
            "largest_batch": self._largest,
        }

    def stop(self) -> None:
        """Start no further sync, and wait for the one that runs."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._flusher.stop()

    def release(self, failure: EvidenceError | None) -> None:
        """Answer those who still wait, after a last sync by the owner."""
        _answer(self._waiters, failure)
        self._waiters = []

    def _start(self) -> None:
        self._planned = False
        fd = self._fd()
        if self._running or self._closed or fd is None:
            return
        if not self._waiters and self.durable >= self.written:
            return
        self._served, self._waiters = self._waiters, []
        self._running = True
        self._largest = max(self._largest, len(self._served))
        self._started, self._target = time.perf_counter(), self.written
        try:
            self._flusher.start(fd)
        except (OSError, RuntimeError) as error:
            self._done(error if isinstance(error, OSError) else OSError(EAGAIN, str(error)))

    def _due(self) -> None:
        self._timer = None
        if self.durable < self.written:
            self._start()

    def _done(self, error: OSError | None) -> None:
        self._running = False
        void, self._void = self._void, False
        self._count += 1
        self._slowest = max(self._slowest, time.perf_counter() - self._started)
        self._close_retired()
        if error is not None:
            self.fail(self._failed(error))
            return
        served, self._served = self._served, []
        if not void:
            self.durable = max(self.durable, self._target)
            _answer(served, None)
        if self._waiters:
            self._start()
        elif self.durable < self.written:
            self.soon()

    def _close_retired(self) -> None:
        for fd in self._retired:
            os.close(fd)
        self._retired.clear()


def _answer(waiters: list[asyncio.Future[None]], failure: EvidenceError | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if failure is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(failure)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs here, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
