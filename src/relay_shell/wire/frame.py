"""Packets: how a message crosses a SOCK_SEQPACKET socket (unix(7)).

The kernel keeps packet boundaries, so a peer that dies leaves no half frame behind. A packet is
one flag octet and up to `PAYLOAD` octets of JSON; a long frame is a run of packets, the first
marked FIRST and the last LAST. A FIRST packet always starts afresh: after a restart, the new
reader of a stored connection drops the tail of a frame whose head its predecessor took.
"""

from __future__ import annotations

from typing import Any

from .compact import decode, encoder
from .errors import RelayError
from .messages import LARGE

FIRST = 1
LAST = 2
PAYLOAD = 65_000
"""Octets of payload a packet: well inside the default net.core.wmem_max of 212992."""

MAX_DEPTH = 64
"""Nesting that a frame may have; deeper input would exhaust Python's recursion in the decoder."""


_dump = encoder()


def encode(frame: dict[str, Any]) -> list[bytes]:
    """Return the packets of one frame.

    Raises:
        RelayError: kind Protocol, if the frame is larger than `LARGE`.
    """
    data = _dump(frame).encode("utf-8", "replace")
    if len(data) > LARGE:
        raise RelayError("Protocol", reason=f"frame of {len(data)} bytes is over {LARGE}")
    if len(data) <= PAYLOAD:
        return [b"\x03" + data]
    pieces = [data[at : at + PAYLOAD] for at in range(0, len(data), PAYLOAD)]
    last = len(pieces) - 1
    return [
        bytes([(FIRST if n == 0 else 0) | (LAST if n == last else 0)]) + piece
        for n, piece in enumerate(pieces)
    ]


class Decoder:
    """Joins packets to frames; memory is bounded by `limit` octets."""

    def __init__(self, limit: int = LARGE) -> None:
        self._limit = limit
        self._parts: list[bytes] | None = None
        self._size = 0

    def feed(self, packet: bytes) -> dict[str, Any] | None:
        """Take one packet; return the frame that it completes, if any.

        Raises:
            RelayError: kind Protocol, for an oversized, malformed or too deeply nested frame.
        """
        flags = packet[0] if packet else 0xFF
        if flags == FIRST | LAST and len(packet) <= self._limit:
            self._parts = None
            return _parse(packet[1:])
        if flags > FIRST | LAST:
            raise RelayError("Protocol", reason="packet with unknown flags")
        if flags & FIRST:
            self._parts, self._size = [], 0
        elif self._parts is None:
            return None
        assert self._parts is not None
        self._size += len(packet) - 1
        if self._size > self._limit:
            self._parts = None
            raise RelayError("Protocol", reason=f"frame over {self._limit} bytes")
        self._parts.append(packet[1:])
        if not flags & LAST:
            return None
        data, self._parts = b"".join(self._parts), None
        return _parse(data)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        frame = decode(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise RelayError("Protocol", reason=f"frame is not JSON: {type(error).__name__}") from None
    if not isinstance(frame, dict):
        raise RelayError("Protocol", reason="frame is not an object")
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _deep(frame, MAX_DEPTH):
        raise RelayError("Protocol", reason=f"frame is nested deeper than {MAX_DEPTH}")
    return frame


def _deep(value: object, room: int) -> bool:
    if isinstance(value, dict):
        return room == 0 or any(_deep(v, room - 1) for v in value.values())
    if isinstance(value, list):
        return room == 0 or any(_deep(v, room - 1) for v in value)
    return False
