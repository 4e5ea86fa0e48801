"""Calls whose intent is on disk and whose end is not: what a crash left open."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from .chain import link, parse
from .files import DAMAGE, lines_backwards, seekable

HORIZON = timedelta(hours=25)
"""How far back from the last record an intent is looked for: an hour beyond the longest
limits.timeout_max, for a call begun before that has been ended by its own time limit."""

_CALL = re.compile(
    rb'^\{"v":[0-9]+,"seq":([0-9]{1,18}),"ts":"([^"]+)","boot_id":"[^"]*",'
    rb'"event":"(intent|outcome|interrupted)","call_id":"((?:[^"\\]|\\.)+)"'
)


def unfinished(newest_first: Iterable[Path], last: int) -> list[dict[str, Any]]:
    """The intents without outcome or interrupted record, oldest first.

    A deny record needs no outcome, nor does a call whose intent was itself refused on writing.

    Args:
        newest_first: the active file, then the rotated ones.
        last: number of the last record; a line after it was cut off and acknowledged to nobody.
    """
    ended: set[bytes] = set()
    open_calls: list[dict[str, Any]] = []
    oldest = ""
    for path in newest_first:
        try:
            file = seekable(path)
        except DAMAGE:
            break
        with file:
            for _, line in lines_backwards(file):
                found = _CALL.match(line)
                if found is None or int(found[1]) > last:
                    continue
                ts = found[2].decode("ascii", "replace")
                oldest = oldest or _before(ts)
                if ts < oldest:
                    return open_calls[::-1]
                if found[3] != b"intent":
                    ended.add(found[4])
                elif found[4] not in ended:
                    ended.add(found[4])
                    if link(line) and (record := parse(line)):
                        open_calls.append(record)
    return open_calls[::-1]


def _before(ts: str) -> str:
    try:
        then = datetime.fromisoformat(ts) - HORIZON
    except ValueError:
        return ""
    return then.strftime("%Y-%m-%dT%H:%M:%S")
