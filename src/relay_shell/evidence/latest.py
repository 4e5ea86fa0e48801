"""The latest time that a file of the record holds, so that who looks for what is later need not
read it.

Nothing else tells: a clock that was set leaves records of a later time before those of an earlier
one, and no reader can know of them without reading everything. So the writer says it, in each
checkpoint of the file up to there, and in the `rotate` record of the file before.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO, Any

from .chain import link, parse
from .files import DAMAGE, first_in, first_number, lines_backwards, open_file
from .record import MAX_LINE

REACH = 4 * 1024 * 1024
"""Bytes that a writer which begins reads back for what the one before it has said."""

_TIME = re.compile(rb'^\{"v":[0-9]+,"seq":[0-9]{1,18},"ts":"([^"\\]{27})"')
_CHECKPOINT = b'"event":"checkpoint"'
_HEAD = 3
"""Records of which one says it of the file before: bytes that are none are named ahead of it."""


class Latest:
    """What the writer knows of the file that it writes to."""

    def __init__(self) -> None:
        self._ts: str | None = ""
        """None if it is not known."""
        self._first = 0

    def learn(self, file: IO[bytes]) -> None:
        """Learn it from what another writer has left in the file.

        Raises:
            OSError: it cannot be read.
        """
        size = file.seek(0, os.SEEK_END)
        for offset, line in lines_backwards(file):
            self.saw(time(line))
            said = checkpoint(line)
            if said:
                self.saw(said)
                break
            if size - offset > REACH:
                self._ts = None
                break
        file.seek(0)
        self._first = first_in(file)

    def saw(self, ts: str, seq: int = 0) -> None:
        """A record of this time, and of this number if it is new, is in the file."""
        self._first = self._first or seq
        if self._ts is not None and ts > self._ts:
            self._ts = ts

    def facts(self) -> dict[str, Any]:
        """What a checkpoint says: `latest`; nothing if it is not known."""
        return {"latest": self._ts} if self._ts else {}

    def renew(self, seq: int, empty: bool) -> dict[str, Any]:
        """The file that follows begins after the record of this number; what its first record
        says: `latest` and `from`, the number of the first record that it is said of.

        Args:
            empty: whether nothing was in the new file.
        """
        facts = {**self.facts(), "from": self._first} if self._ts and self._first else {}
        self._ts, self._first = "" if empty else None, seq + 1
        return facts


def time(line: bytes) -> str:
    """`ts` of a line that begins as a record does, empty if it does not."""
    found = _TIME.match(line)
    return found[1].decode("ascii", "replace") if found else ""


def checkpoint(line: bytes) -> str:
    """What a line says of the file up to there, if it is a checkpoint that says it."""
    if _CHECKPOINT not in line[:160] or link(line) is None:
        return ""
    record = parse(line) or {}
    return _said(record) if record.get("event") == "checkpoint" else ""


def passed(path: Path, newer: Path, since: str) -> bool:
    """Whether the file that was written after `path` says that nothing in it is of `since` or
    later."""
    try:
        with open_file(newer) as file:
            for _ in range(_HEAD):
                line = file.readline(MAX_LINE + 1).removesuffix(b"\n")
                record = parse(line) or {}
                if record.get("event") == "rotate" and link(line):
                    facts, said = record.get("facts"), _said(record)
                    first = facts.get("from") if isinstance(facts, dict) else None
                    # Another file may be missing in between, of which it was said.
                    fits = type(first) is int and 0 < first <= first_number(path)
                    return bool(said) and said < since and fits
    except DAMAGE:
        pass
    return False


def _said(record: dict[str, Any]) -> str:
    facts = record.get("facts")
    latest = facts.get("latest") if isinstance(facts, dict) else None
    return latest if isinstance(latest, str) else ""
