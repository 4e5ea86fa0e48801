"""Following the record as it grows, over rotations."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from ..evidence.reader import Follower
from .records import Desk, Files, Filters

POLL = 0.25
"""Seconds between two looks at the file."""

ASK = 2.0
"""Seconds between two questions to the broker."""

Record = dict[str, Any]


def follow(where: Files | Desk, count: int) -> Iterator[Record]:
    """The last `count` records, then every new one, for ever.

    Numbers that are nowhere to be found show as a made-up record of the event `gap`, with the
    `first` and `last` that were missed.
    """
    known = 0
    for record in _files(where, count) if isinstance(where, Files) else _desk(where, count):
        seq = int(record["seq"])
        if seq <= known:
            continue
        if known and seq > known + 1:
            # The writer may use a renamed file for a moment longer than the follower.
            between = where.between(known + 1, seq - 1) if isinstance(where, Files) else []
            yield from between
            if len(between) < seq - known - 1:
                yield {"event": "gap", "first": known + 1, "last": seq - 1}
        known = seq
        yield record


def _files(files: Files, count: int) -> Iterator[Record]:
    # Opened at its end before the last records are read: what comes between is read twice, and
    # `follow` drops it by its number.
    follower = Follower(files.path)
    try:
        yield from files.last(max(count, 1), Filters()) if count else ()
        while True:
            yield from follower.poll()
            time.sleep(POLL)
    finally:
        follower.close()


def _desk(desk: Desk, count: int) -> Iterator[Record]:
    latest = list(desk.last(max(count, 1), Filters()))
    if count:
        yield from latest
    since = latest[-1]["ts"] if latest else None
    while True:
        time.sleep(ASK)
        for record in desk.last(0, Filters({"since": since})):
            since = record["ts"]
            # Each question is recorded too; printed, it would be news for ever.
            if record.get("what") != "records" or record.get("pid") != os.getpid():
                yield record
