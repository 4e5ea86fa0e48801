"""What ties a record to the one before: SHA-256 over `prev` and the record without its chain.

The chain value is the last member of the line, so that it is checked on the bytes as they stand:
`line` without `,"chain":"..."` is what was hashed. There is no key; the chain orders and binds,
and it is the off-host copy that makes a rewritten chain visible.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

_HEAD = b'{"v":1,"seq":'
_PREV, _CHAIN, _END = b',"prev":"', b'","chain":"', b'"}'
_TAIL_LENGTH = len(_PREV) + 64 + len(_CHAIN) + 64 + len(_END)
_SUFFIX = len(_CHAIN) - 1 + 64 + len(_END)


class Link(NamedTuple):
    """Where a line stands in the chain."""

    seq: int
    prev: str
    chain: str


def digest(prev: str, body: bytes) -> str:
    """The chain value of a record; `prev` counts as its 64 hexadecimal digits."""
    return hashlib.sha256(prev.encode("ascii") + body).hexdigest()


def seal(prev: str, body: bytes) -> tuple[bytes, str]:
    """The line (with its line feed) and the chain value of a record."""
    value = digest(prev, body)
    return b'%b,"chain":"%b"}\n' % (body[:-1], value.encode("ascii")), value


def link(line: bytes) -> Link | None:
    """The place of a line (without its line feed), or None if it is no intact record."""
    # Plain comparisons at fixed places: this runs for every line of every verification.
    tail = line[-_TAIL_LENGTH:]
    if tail[:9] != _PREV or tail[73:84] != _CHAIN or tail[148:] != _END or line[:13] != _HEAD:
        return None
    comma = line.find(b",", 13, 32)
    seq = line[13:comma]
    if not seq.isdigit():
        return None
    prev = tail[9:73]
    chain = hashlib.sha256(b"%b%b}" % (prev, line[:-_SUFFIX])).hexdigest()
    if chain.encode("ascii") != tail[84:148]:
        return None
    return Link(int(seq), prev.decode("ascii", "replace"), chain)


def parse(line: bytes) -> dict[str, Any] | None:
    """The facts of a line, or None if it is no JSON object."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
