"""Output of a command: its head and tail kept, the whole counted and hashed, the rest spilled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..secrets import StreamRedactor
    from .outputs import Spill

MOST_OUTPUT = 2_500_000
"""Octets of output that fit a frame between processes when JSON escapes each six-fold."""


class Capture:
    """One stream, in bounded memory: at most `keep` octets, or three times that while it runs.

    Args:
        keep: octets that can be shown; a stream that is no longer is kept whole.
        spill: called once when the stream grows beyond; returns where the whole goes, or None.
        redactor: what the stream passes through before anything of it is kept.
    """

    def __init__(
        self,
        keep: int,
        spill: Callable[[], Spill | None] | None = None,
        redactor: StreamRedactor | None = None,
    ) -> None:
        from hashlib import sha256

        self.total = 0
        """Octets of the true stream."""
        self.size = 0
        """Octets that can be shown: the same, unless they were redacted."""
        self._redactor = redactor
        self.spill: Spill | None = None
        self._keep = keep
        self._make_spill = spill
        self._head = bytearray()
        self._tail: bytearray | None = None
        self._hash = sha256()

    def feed(self, data: bytes) -> None:
        """Take the next octets of the stream."""
        self.total += len(data)
        self._hash.update(data)
        if self._redactor is not None:
            data = self._redactor.feed(data)
        self._keep_data(data)

    def _keep_data(self, data: bytes) -> None:
        self.size += len(data)
        tail = self._tail
        if tail is None:
            self._head += data
            if len(self._head) <= self._keep:
                return
            # From here on the head is fixed and the tail moves.
            self._begin_spill()
            tail = self._tail = self._head[self._keep :]
            del self._head[self._keep :]
            return
        if self.spill is not None:
            self.spill.write(data)
        if len(data) >= self._keep:
            tail[:] = data[-self._keep :]
            return
        tail += data
        if len(tail) > 2 * self._keep:
            del tail[: -self._keep]

    def sha256(self) -> str:
        """Hexadecimal digest of the whole stream."""
        return self._hash.hexdigest()

    def digest(self) -> bytes:
        """The same as octets."""
        return self._hash.digest()

    def finish(self, wanted: bool) -> Spill | None:
        """End the stream; the spill gets the tail that it may not have taken.

        Args:
            wanted: keep it even if it was short enough to be kept in memory.
        """
        self.end()
        if self.spill is None and wanted and self._tail is None:
            self._begin_spill()
        if self.spill is not None:
            self.spill.finish(bytes((self._tail or b"")[-self._keep :]), self.size)
        return self.spill

    def _begin_spill(self) -> None:
        if self._make_spill is not None:
            self.spill = self._make_spill()
        if self.spill is not None:
            self.spill.redacted = self._redactor is not None
            self.spill.write(self._head)

    def end(self) -> None:
        """Nothing follows: what a redactor holds back is decided. Idempotent."""
        if self._redactor is not None:
            self._keep_data(self._redactor.finish())

    @property
    def redacting(self) -> bool:
        """Whether secrets are looked for."""
        return self._redactor is not None

    def redactions(self) -> dict[str, int]:
        """Secrets hidden in the whole stream so far, by rule."""
        return {} if self._redactor is None else self._redactor.counts

    def shown(self, room: int) -> tuple[bytes, bytes | None, int]:
        """What fits into `room` octets, as (head, tail or None if whole, octets shown)."""
        if self.size <= room:
            return bytes(self._head + (self._tail or b"")), None, self.size
        ahead = room // 2
        whole = self._head if self._tail is None else self._head + self._tail
        head = whole_characters(bytes(whole[:ahead]))
        tail = _from_character(bytes(whole[len(whole) - (room - ahead) :]))
        return head, tail, len(head) + len(tail)

    def text(self, room: int) -> tuple[str, bool]:
        """The stream as text in about `room` octets, and whether something was left out."""
        head, tail, shown = self.shown(room)
        start = head.decode("utf-8", "replace")
        if tail is None:
            return start, False
        end = tail.decode("utf-8", "replace")
        return f"{start.removesuffix(chr(10))}\n{truncated(self.total, shown)}\n{end}", True

    def last_lines(self, count: int, most: int) -> str:
        """The last `count` lines so far, in at most `most` octets, for progress."""
        source = self._head if self._tail is None else self._tail
        text = bytes(source[-most:]).decode("utf-8", "replace")
        return "\n".join(text.rstrip("\n").split("\n")[-count:])


def truncated(total: int, shown: int) -> str:
    """The mark between the head and the tail of shortened output (the text grammar)."""
    return f"[TRUNCATED - {total} bytes total, {shown} shown]"


def whole_characters(data: bytes) -> bytes:
    """Drop a UTF-8 sequence that the end of `data` cuts (RFC 3629); other octets stay."""
    for back in range(1, min(4, len(data)) + 1):
        octet = data[-back]
        if octet & 0xC0 == 0x80:
            continue
        length = 4 if octet >= 0xF0 else 3 if octet >= 0xE0 else 2 if octet >= 0xC0 else 1
        return data[:-back] if length > back else data
    return data


def _from_character(data: bytes) -> bytes:
    skip = 0
    while skip < min(3, len(data)) and data[skip] & 0xC0 == 0x80:
        skip += 1
    return data[skip:]
