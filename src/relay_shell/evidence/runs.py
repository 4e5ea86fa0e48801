"""Lines that follow each other as the writer wrote them: what a verification takes at speed."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import NamedTuple

from .events import EVENTS

# From the end of a line's beginning to the event's first letter, and which letters begin the name
# of an event that says something of the record itself.
_FROM, _TO = 72, 84
_PLAIN = {
    b'","event":"%b' % name[:1].encode(): None
    for name in EVENTS
    if not {other for other in EVENTS if other[0] == name[0]} & {"checkpoint", "heartbeat", "start"}
}
_SUFFIX = len('","chain":"') - 1 + 64 + len('"}')


class Run(NamedTuple):
    """A stretch of lines that leads from one state of a scan to another, with nothing to report."""

    seq: int
    """Number of the record before."""

    chain: bytes
    """Its chain value."""

    stamp: bytes
    """Its time."""

    lines: int
    size: int
    """Bytes, line feeds included."""

    last: bytes
    """Chain value of the last record."""

    until: bytes
    """Time of the last record, the latest of them all."""


def follow(
    lines: list[bytes], at: int, seq: int, chain: bytes, stamp: bytes, bound: bytes
) -> Run | None:
    """The lines from index `at` on that follow the record of this number, chain value and time:
    none edited, missing or moved, none that says something of the record itself, and all of a time
    from `stamp` to before `bound`. None if there is not one.
    """
    # This loop is the speed of a verification: locals, no calls but the digest's.
    sha256, join, plain = hashlib.sha256, b"".join, _PLAIN
    number, value, last, size = seq, chain, stamp, 0
    for line in islice(lines, at, None):
        head = b'{"v":1,"seq":%d,"ts":"' % (number + 1)
        digest = sha256(join((value, line[:-_SUFFIX], b"}"))).hexdigest().encode()
        tail = join((b',"prev":"', value, b'","chain":"', digest, b'"}'))
        if not (line.startswith(head) and line.endswith(tail)):
            break
        start = len(head)
        now = line[start : start + 26]
        if not (last <= now < bound and line[start + _FROM : start + _TO] in plain):
            break
        number, value, last = number + 1, digest, now
        size += len(line) + 1
    if number == seq:
        return None
    return Run(seq, chain, stamp, number - seq, size, value, last)
