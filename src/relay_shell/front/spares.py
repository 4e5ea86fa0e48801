"""Spare workers: started before a connection needs one, given to the next that does.

A spare is a link to a worker that has not been told for whom it is. It belongs to nobody, is not in
the fd store, and ends when its link is closed. The broker decides at the hello whether it may still
be used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..wire.errors import RelayError

if TYPE_CHECKING:
    from .workers import Worker

logger = logging.getLogger(__name__)

CALM = 1.0
"""Seconds after a spare was taken, or another was begun, until one is begun: a worker's start costs
a processor 200 ms, which the first call of the connection has more use for."""

LIFE = 900.0
"""Seconds after which a spare is replaced; the broker admits none that waited for twice as long."""

LINGER = 120.0
"""Seconds without a client after which spares are ended."""

TEND = 15.0
"""Seconds between two looks at age and number."""

LONGEST = 300.0
"""Seconds of the longest pause after spares that ended by themselves."""

STAYED = 10.0
"""Seconds after which a spare has shown that the unit can run, whatever ended it."""

ENOUGH = 3
"""Spares lost in a row after which that is worth a warning."""


class Spares:
    """Keeps as many spares as are wanted while there are clients.

    Args:
        begin: connects to a new worker; raises RelayError.
        wanted: how many there shall be, asked each time.
        changed: called when their number changes.
        calm, life, linger: seconds, see above.
    """

    def __init__(
        self,
        begin: Callable[[], Awaitable[Worker]],
        wanted: Callable[[], int],
        changed: Callable[[], None],
        calm: float = CALM,
        life: float = LIFE,
        linger: float = LINGER,
    ) -> None:
        self.calm = calm
        self.life = life
        self.linger = linger
        self._begin = begin
        self._wanted = wanted
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._held: dict[Worker, float] = {}
        """Each with the time when it was begun; the oldest first."""
        self._next: asyncio.TimerHandle | None = None
        self._tending: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._attended = False
        self._lost = 0
        """Spares in a row that ended before anybody took them."""

    def __len__(self) -> int:
        return len(self._held)

    def attend(self) -> None:
        """A client has come: have spares from now on."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if not self._attended:
            self._attended = True
            self._tend()

    def leave(self) -> None:
        """The last client has gone: end the spares, unless another comes soon."""
        if self._attended and self._leaving is None:
            self._leaving = self._loop.call_later(self.linger, self.close, "no client came")

    def take(self) -> Worker | None:
        """A spare for a connection, the one that has had most time to start."""
        if not self._held:
            return None
        worker = next(iter(self._held))
        self._forget(worker)
        self._soon(self.calm)
        return worker

    def proven(self) -> None:
        """A spare that was taken serves its connection."""
        self._lost = 0

    def drop(self, reason: str) -> None:
        """End all spares and begin others; the next connection may be given none of these."""
        for worker in list(self._held):
            self._end(worker, reason)
        if self._attended:
            self._soon(self.calm)

    def ended(self, worker: Worker) -> None:
        """A worker's link was closed by its other end; it may be a spare's."""
        begun = self._held.get(worker)
        if begun is not None:
            self._forget(worker)
            if self._loop.time() - begun > STAYED:
                self._lost = 0
            self._failed("it ended")

    def close(self, reason: str) -> None:
        """End all spares and begin no others until a client comes."""
        self._attended = False
        for timer in (self._next, self._tending, self._leaving):
            if timer is not None:
                timer.cancel()
        self._next = self._tending = self._leaving = None
        for worker in list(self._held):
            self._end(worker, reason)

    # ---- keeping -------------------------------------------------------------------------

    def _tend(self) -> None:
        wanted = self._wanted()
        now = self._loop.time()
        for worker, begun in list(self._held.items()):
            if len(self._held) > wanted or now - begun > self.life:
                self._end(worker, "not wanted any more")
        if len(self._held) < wanted and self._next is None:
            self._soon(0)
        if self._tending is not None:
            self._tending.cancel()
        self._tending = self._loop.call_later(min(TEND, self.life), self._tend)

    def _soon(self, pause: float) -> None:
        """Begin what is missing after a pause; a longer one that runs already holds."""
        if self._next is None:
            self._next = self._loop.call_later(pause, self._fill)

    def _fill(self) -> None:
        self._next = None
        if self._attended and self._beginning is None and len(self._held) < self._wanted():
            self._beginning = self._loop.create_task(self._one())

    async def _one(self) -> None:
        try:
            worker = await self._begin()
        except RelayError as error:
            self._failed(error.message)
            return
        finally:
            self._beginning = None
        self._held[worker] = self._loop.time()
        self._changed()
        if not worker.alive:
            self.ended(worker)
        elif not self._attended:
            self._end(worker, "no client is left")
        else:
            self._soon(self.calm)

    def _failed(self, reason: str) -> None:
        self._lost += 1
        pause = min(self.calm * 2 ** min(self._lost - 1, 20), LONGEST)
        if self._lost == ENOUGH:
            logger.warning("spare workers do not stay: %s; the next in %g s", reason, pause)
        else:
            logger.info("spare worker: %s; the next in %g s", reason, pause)
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._attended:
            self._soon(pause)

    def _forget(self, worker: Worker) -> None:
        del self._held[worker]
        self._changed()

    def _end(self, worker: Worker, reason: str) -> None:
        self._forget(worker)
        if worker.link is not None:
            worker.link.close(reason)
