"""Read a kept stream by octets or lines, or search it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from ..wire.errors import RelayError
from . import patterns
from .capture import whole_characters

if TYPE_CHECKING:
    from .outputs import Spill

CHUNK = 1 << 20
"""Octets read at a time; the loop serves others in between."""

LINE = 2000
"""Characters of a line that a search shows."""

TEXT = 65_536
"""Octets that lines and matches may fill in one answer."""

Json = dict[str, Any]


class Pages:
    """One finished stream; `most` bounds the octets of one answer.

    Args:
        redactions: counts the secrets hidden in texts, None where nothing is hidden.
    """

    def __init__(
        self,
        spill: Spill,
        stream: str,
        most: int,
        redactions: Callable[..., dict[str, int] | None] = lambda *texts: None,
    ) -> None:
        self._redactions = redactions
        self._spill = spill
        self._stream = stream
        self._most = most

    def page(self, offset: int, count: int) -> Json:
        """Octets from `offset` on, as text, cut at a character."""
        spill = self._spill
        offset = min(offset, spill.total)
        if spill.written <= offset < spill.resume:
            return self._part(offset, b"", offset)
        end = spill.written if offset < spill.written else spill.total
        data = self._read(offset, min(count, self._most, end - offset))
        if offset + len(data) < end:
            data = whole_characters(data) or data
        return self._part(offset, data, offset + len(data))

    async def lines(self, line: int, count: int) -> Json:
        """`count` lines from number `line` (1 is the first), bounded by `TEXT` octets."""
        at, offset = 1, 0
        missing = False
        async for start, data, first in self._chunks():
            newlines = data.count(b"\n")
            if first + newlines < line:
                at, offset = first + newlines, start + len(data)
                continue
            if first > line:
                # The line lies in what was not kept.
                missing = True
                break
            at, offset = line, start
            for _ in range(line - first):
                offset = start + data.index(b"\n", offset - start) + 1
            break
        else:
            offset = self._spill.total
        if missing:
            part = self._part(self._spill.written, b"", self._spill.written)
            return {**part, "line": at, "next_line": at}
        return self._lines_at(line, offset, count)

    def _lines_at(self, line: int, offset: int, count: int) -> Json:
        spill = self._spill
        end = spill.written if offset < spill.written else spill.total
        most = min(TEXT, self._most)
        data = self._read(offset, min(most, end - offset))
        cut = -1
        found = 0
        while found < count:
            at = data.find(b"\n", cut + 1)
            if at < 0:
                break
            cut, found = at, found + 1
        if found == count or (found and offset + len(data) < end):
            data = data[: cut + 1]
        elif offset + len(data) >= end and cut + 1 < len(data):
            found += 1
        part = self._part(offset, data, offset + len(data))
        return {**part, "line": line, "next_line": line + found}

    async def search(self, pattern: str, *, context: int, most: int) -> Json:
        """Lines that an RE2 pattern matches, with `context` lines around each.

        Raises:
            RelayError: kind InvalidArguments, for a pattern that RE2 does not take.
        """
        compiled = patterns.compile(pattern, lines=True)
        found: list[Json] = []
        size = 0
        async for start, data, line in self._chunks():
            position = counted = 0
            while position < len(data):
                match = compiled.search(data, position)
                if match is None:
                    break
                begin = data.rfind(b"\n", 0, match.start()) + 1
                end = data.find(b"\n", match.start())
                end = len(data) if end < 0 else end
                if begin >= len(data):
                    break
                if len(found) >= most or size > TEXT:
                    return {**self._found(found), "more": True}
                line += data.count(b"\n", counted, begin)
                counted = begin
                rows = self._around(start + begin, start + end, line, context)
                size += sum(len(row["text"]) + 16 for row in rows)
                found.append({"line": line, "offset": start + begin, "lines": rows})
                position = end + 1
        return self._found(found)

    def _found(self, matches: list[Json]) -> Json:
        shown = [row["text"] for match in matches for row in match["lines"]]
        return {**self._facts(*shown), "matches": matches}

    def _around(self, begin: int, end: int, line: int, context: int) -> list[Json]:
        rows = [(line, self._read(begin, min(end - begin, 4 * LINE)))]
        if context:
            floor = 0 if begin < self._spill.written else self._spill.resume
            low = max(floor, begin - TEXT)
            before = self._read(low, max(0, begin - 1 - low)).split(b"\n") if begin > low else []
            if low > floor:
                before = before[1:]
            for back, text in enumerate(reversed(before[-context:]), 1):
                rows.insert(0, (line - back, text))
            ceiling = self._spill.written if end < self._spill.written else self._spill.total
            after = self._read(end + 1, max(0, min(TEXT, ceiling - end - 1)))
            following = after.split(b"\n")
            if following and following[-1] == b"":
                following.pop()
            for ahead, text in enumerate(following[:context], 1):
                rows.append((line + ahead, text))
        return [
            {"line": number, "text": text.decode("utf-8", "replace")[:LINE]}
            for number, text in rows
        ]

    async def _chunks(self) -> AsyncIterator[tuple[int, bytes, int]]:
        """Yield (offset, octets, number of their first line), cut after a line end."""
        spill = self._spill
        line = 1
        for offset, end in ((0, spill.written), (spill.resume, spill.total)):
            if offset == spill.resume and spill.resume > spill.written:
                line += spill.gap_lines
            while offset < end:
                data = self._read(offset, min(CHUNK, end - offset))
                if not data:
                    return
                if offset + len(data) < end:
                    # A line longer than a chunk is cut: its parts are searched one by one.
                    data = data[: data.rfind(b"\n") + 1] or data
                yield offset, data, line
                line += data.count(b"\n")
                offset += len(data)
                await asyncio.sleep(0)

    def _part(self, offset: int, data: bytes, after: int) -> Json:
        spill = self._spill
        text = data.decode("utf-8", "replace")
        part = {
            **self._facts(text),
            "text": text,
            "offset": offset,
            "next_offset": after,
        }
        if after < spill.total:
            part["more"] = True
        if spill.written <= after < spill.resume:
            part["missing"] = True
            part["resume"] = spill.resume
        return part

    def _facts(self, *shown: str) -> Json:
        facts: Json = {"stream": self._stream, "size": self._spill.total}
        redactions = self._redactions(*shown)
        if redactions is not None:
            facts["redactions"] = redactions
        return facts

    def _read(self, offset: int, count: int) -> bytes:
        if self._spill.fd < 0:
            raise RelayError("NotFound", reason="the output was dropped to make room for others")
        parts = []
        while count > 0 and (data := os.pread(self._spill.fd, count, offset)):
            parts.append(data)
            offset += len(data)
            count -= len(data)
        return b"".join(parts)
