"""How long recordings are kept: by age, and by the space that all of them take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from . import recordings
from .state import State

PERIOD = 3600.0
"""Seconds between two looks at what is too old or too much."""

FIRST = 30.0
"""Seconds from the start to the first look."""

SCAN = 60.0
"""Seconds between two looks at the directory for sessions that begin."""

AGAIN = 5.0
"""The same while there is no room."""

STEP = 16 * 1024 * 1024
"""Octets written between two looks: what open recordings may take beyond recording.total_bytes."""


class Retention:
    """Removes recordings, and has it recorded.

    Args:
        root: the directory of the recordings.
        open_paths: those that are being written.
        run: has a function called in the thread of the recordings.
    """

    def __init__(
        self,
        state: State,
        root: str,
        open_paths: Callable[[], Iterable[str]],
        run: Callable[[Callable[[], None]], object],
    ) -> None:
        self._state = state
        self._root = root
        self._open_paths = open_paths
        self._run = run
        self._beginning: set[str] = set()
        """Recordings that are being made, and not among the open ones yet."""
        self._scanned = 0.0
        self._written = 0
        self._over = 0
        """recording.total_bytes, where open recordings alone take more."""
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(FIRST, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def begins(self, path: str) -> None:
        """In the thread: make room for a recording, unless that was done a moment ago. It stays
        until `begun`.

        Raises:
            Full: there is none.
        """
        self._beginning.add(path)
        self._look_after(SCAN)

    def begun(self, path: str) -> None:
        """A recording is among the open ones now, or was not made."""
        self._beginning.discard(path)

    def wrote(self, octets: int) -> None:
        """In the thread: so much was written to open recordings."""
        self._written += octets
        if self._written > min(STEP, self._state.settings["recording.total_bytes"] // 16):
            self._make_room()

    def room(self) -> None:
        """In the thread: something is about to be written.

        Raises:
            Full: open recordings alone take more than all may.
        """
        if self._over:
            self._look_after(AGAIN)

    def _look_after(self, seconds: float) -> None:
        if time.monotonic() - self._scanned > (AGAIN if self._over else seconds):
            self._make_room()
        if self._over:
            raise recordings.Full(f"recording.total_bytes = {self._over} are taken")

    def _look(self) -> None:
        self._timer = self._loop.call_later(PERIOD, self._look)
        self._run(self._make_room)

    def _make_room(self) -> None:
        settings = self._state.settings
        self._scanned, self._written = time.monotonic(), 0
        total = settings["recording.total_bytes"]
        try:
            rows = recordings.stored(self._root)
        except OSError:
            return
        gone = recordings.surplus(
            rows,
            [*self._open_paths(), *self._beginning],
            time.time(),
            settings["recording.days"],
            total,
        )
        left = sum(row.size for row in rows) - sum(row.size for row, _ in gone)
        self._over = total if left > total else 0
        for facts in recordings.remove(gone):
            self._loop.call_soon_threadsafe(self._removed, facts)

    def _removed(self, facts: dict[str, Any]) -> None:
        self._state.trail.note(
            event="session",
            what="recording-removed",
            detail=facts["session"],
            facts=facts["facts"],
        )
