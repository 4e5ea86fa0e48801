"""The last output of a session, addressed by its offset from the session's start."""

from __future__ import annotations


class Ring:
    """Octets from `start` to `end`; at least the last `size` of what was appended are there."""

    def __init__(self, size: int) -> None:
        self.start = 0
        self._size = size
        self._data = bytearray()

    @property
    def end(self) -> int:
        """Offset after the last octet: how many there ever were."""
        return self.start + len(self._data)

    def append(self, data: bytes) -> None:
        """Add octets; the oldest go when there are more than twice as many as asked for."""
        self._data += data
        if len(self._data) > 2 * self._size:
            excess = len(self._data) - self._size
            del self._data[:excess]
            self.start += excess

    def read(self, offset: int, most: int | None = None) -> bytes:
        """At most `most` octets from `offset` on, or from `start` if that is later."""
        first = max(0, offset - self.start)
        last = len(self._data) if most is None else first + most
        return bytes(self._data[first:last])
