"""What a terminal shows, by pyte's emulation; nothing is emulated until somebody looks."""

from __future__ import annotations

import asyncio
import codecs
from typing import Any

from .ring import Ring

SLICE = 2048
"""Octets emulated before others get a turn: about a millisecond."""


class Screen:
    """The screen of one session."""

    def __init__(self, rows: int, columns: int) -> None:
        import pyte

        self._pyte = pyte
        self._screen: Any = pyte.Screen(columns, rows)
        self._stream: Any = pyte.Stream(self._screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._offset = 0
        self._lock = asyncio.Lock()

    async def look(self, ring: Ring, rows: int, columns: int) -> dict[str, Any]:
        """Bring the screen up to date; return its lines without trailing blanks."""
        async with self._lock:
            if ring.start > self._offset and self._offset:
                # What left the buffer was never seen: the picture starts afresh.
                self._screen.reset()
                self._decoder.reset()
            self._offset = max(self._offset, ring.start)
            if (self._screen.lines, self._screen.columns) != (rows, columns):
                self._screen.resize(rows, columns)
            end = ring.end
            while self._offset < end:
                self._offset = max(self._offset, ring.start)
                data = ring.read(self._offset, min(SLICE, end - self._offset))
                self._offset += len(data)
                self._feed(self._decoder.decode(data))
                await asyncio.sleep(0)
            lines = [line.rstrip() for line in self._screen.display]
            while lines and not lines[-1]:
                lines.pop()
            cursor = self._screen.cursor
            return {
                "rows": rows,
                "columns": columns,
                "cursor": [min(cursor.y, rows - 1), min(cursor.x, columns - 1)],
                "title": self._screen.title[:256],
                "lines": lines,
            }

    def _feed(self, text: str) -> None:
        try:
            self._stream.feed(text)
        except Exception:
            # pyte raises TypeError and ValueError on some malformed sequences, and its parser
            # cannot go on after that; the screen itself can.
            self._stream = self._pyte.Stream(self._screen)
