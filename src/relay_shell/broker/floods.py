"""Records that a peer can cause at will: the first are kept as they are, the rest are counted.

Each source (a connection, a worker, an account) has its own allowance, so that one that floods
takes nothing from another's record, and memory holds one counter a source.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

BURST = 20
"""Records of one source that are kept in full in one window."""

WINDOW = 10.0
"""Seconds."""

SOURCES = 4096
"""Sources told apart; beyond, they share one allowance."""

Record = Callable[..., None]


@dataclass(slots=True)
class _Source:
    timer: asyncio.TimerHandle
    kept: int = 0
    counted: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


class Floods:
    """The allowances.

    Args:
        record: takes the facts of one record, never fails.
        burst, window: see the constants.
    """

    def __init__(self, record: Record, burst: int = BURST, window: float = WINDOW) -> None:
        self._record = record
        self._burst = burst
        self._window = window
        self._sources: dict[str, _Source] = {}

    def __len__(self) -> int:
        return len(self._sources)

    def record(self, source: str, **facts: Any) -> None:
        """Record, or count, what `source` caused."""
        row = self._sources.get(source)
        if row is None:
            if len(self._sources) >= SOURCES:
                source = ""
            row = self._sources.get(source) or self._open(source)
        if row.kept < self._burst:
            row.kept += 1
            self._record(**facts)
            return
        row.counted += 1
        row.facts = {
            name: facts[name]
            for name in ("event", "conn", "principal", "client", "uid", "worker", "what")
            if name in facts
        }

    def end(self, source: str) -> None:
        """Record what was counted; the source has gone, or its window is over."""
        row = self._sources.pop(source, None)
        if row is None:
            return
        row.timer.cancel()
        if row.counted:
            self._record(
                **row.facts,
                detail=f"{row.counted} more of this source, counted only",
                facts={"count": row.counted, "seconds": self._window},
            )

    def close(self) -> None:
        """Record what was counted of every source."""
        for source in list(self._sources):
            self.end(source)

    def _open(self, source: str) -> _Source:
        timer = asyncio.get_running_loop().call_later(self._window, self.end, source)
        row = self._sources[source] = _Source(timer)
        return row
