"""What ties a record to the one before: SHA-256 over `prev` and the record without its chain.

The chain value is the last member of the line, so that it is checked on the bytes as they stand:
`line` without `,"chain":"..."` is what was hashed. There is no key; the chain orders and binds,
and it is the off-host copy that makes a rewritten chain visible.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NamedTuple

_TAIL = re.compile(rb',"prev":"([0-9a-f]{64})","chain":"([0-9a-f]{64})"\}$')
_HEAD = re.compile(rb'^\{"v":[0-9]+,"seq":([0-9]{1,18}),"ts":"([^"\\]{1,40})"')
_SUFFIX = len(',"chain":""}') + 64


class Link(NamedTuple):
    """Where a line stands in the chain."""

    seq: int
    ts: str
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
    head, tail = _HEAD.match(line), _TAIL.search(line)
    if head is None or tail is None:
        return None
    prev, value = tail[1].decode("ascii"), tail[2].decode("ascii")
    if digest(prev, line[:-_SUFFIX] + b"}") != value:
        return None
    return Link(int(head[1]), head[2].decode("utf-8", "replace"), prev, value)


def parse(line: bytes) -> dict[str, Any] | None:
    """The facts of a line, or None if it is no JSON object."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
