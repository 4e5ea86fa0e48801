"""Newline-delimited messages at bounded memory (MCP 2026-07-28, basic/transports, stdio)."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

FREE = 64 * 1024
"""Octets of an unfinished line that a connection may hold without asking the budget."""


class Oversized(NamedTuple):
    """A line that was too long to keep: its length in octets and the SHA-256 of all of it."""

    length: int
    sha256: str


class Budget:
    """Octets that all connections together may hold in unfinished lines and running requests."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, count: int) -> bool:
        """Reserve `count` octets; False if they are not there."""
        if count > self.left:
            return False
        self.left -= count
        return True

    def give(self, count: int) -> None:
        """Return what was taken."""
        self.left += count


class LineReader:
    """Cuts a byte stream into lines.

    A line longer than `limit` octets, or one that the budget has no room for, is skipped up to
    its end and reported as Oversized: the connection lives on and the memory stays bounded.
    """

    def __init__(self, limit: int, budget: Budget) -> None:
        self._limit = limit
        self._budget = budget
        self._parts: list[bytes] = []
        self._size = 0
        self._taken = 0
        self._digest: Any = None

    def feed(self, data: bytes) -> list[bytes | Oversized]:
        """Take octets, return the lines that they complete; blank lines are nothing."""
        lines: list[bytes | Oversized] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            line = self._finish(data[start:end])
            if line:
                lines.append(line)
            start = end + 1
        if start < len(data):
            self._hold(data[start:])
        return lines

    def end(self) -> bytes | Oversized | None:
        """The last line, where the stream ended without a newline."""
        return self._finish(b"") or None

    def close(self) -> None:
        """Drop an unfinished line."""
        self._reset()

    def _hold(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._digest is not None:
            self._digest.update(piece)
            return
        self._parts.append(piece)
        if self._size > self._limit or not self._reserve():
            self._digest = hashlib.sha256(b"".join(self._parts))
            self._parts = []
            self._budget.give(self._taken)
            self._taken = 0

    def _reserve(self) -> bool:
        want = self._size - FREE - self._taken
        if want <= 0:
            return True
        if not self._budget.take(want):
            return False
        self._taken += want
        return True

    def _finish(self, tail: bytes) -> bytes | Oversized:
        if not self._size and len(tail) <= self._limit:
            return tail.strip()
        self._hold(tail)
        line: bytes | Oversized
        if self._digest is not None:
            line = Oversized(self._size, self._digest.hexdigest())
        else:
            line = b"".join(self._parts).strip()
        self._reset()
        return line

    def _reset(self) -> None:
        self._budget.give(self._taken)
        self._parts, self._size, self._taken, self._digest = [], 0, 0, None
