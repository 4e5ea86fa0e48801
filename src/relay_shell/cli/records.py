"""Reading the record for an operator: from the files where they may be read, else by the broker."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

from ..evidence.reader import Filter, iter_records
from ..wire.errors import RelayError
from .operator import Operator

Record = dict[str, Any]

MOST = 4096
"""Records that one answer of the broker holds (wire.messages)."""

ENDS = ("intent", "deny")
"""Events before which nothing of a call is recorded."""


class Filters:
    """Which records are wanted.

    Args:
        wanted: as `evidence.reader.Filter` takes it; a value that is None does not matter.
        unit: glob pattern (fnmatch(3)) of the unit.
    """

    def __init__(self, wanted: Mapping[str, Any] | None = None, unit: str | None = None) -> None:
        self.wanted = {name: value for name, value in (wanted or {}).items() if value is not None}
        self.unit = unit
        self._filter = Filter(self.wanted)

    def __call__(self, record: Record) -> bool:
        """Whether the record is wanted."""
        return self._filter.wants(record) and self.fits_unit(record)

    def fits_unit(self, record: Record) -> bool:
        """Whether the unit matches."""
        return self.unit is None or fnmatchcase(str(record.get("unit", "")), self.unit)


class Files:
    """The record in its files.

    Raises (all methods):
        OSError: a file or the directory cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def last(self, count: int, filters: Filters) -> Iterator[Record]:
        """The last `count` records wanted, oldest first; all of them for 0."""
        if not count:
            return filter(filters.fits_unit, iter_records(self.path, filters=filters.wanted))
        backwards = iter_records(self.path, filters=filters.wanted, reverse=True)
        return reversed(list(islice(filter(filters.fits_unit, backwards), count)))

    def call(self, ident: str) -> list[Record]:
        """The records of one call, oldest first; reading stops at its first."""
        found: list[Record] = []
        for record in iter_records(self.path, filters={"call_id": ident}, reverse=True):
            found.append(record)
            if record.get("event") in ENDS:
                break
        return found[::-1]

    def number(self, seq: int) -> Record | None:
        """The record with that number."""
        return next(iter_records(self.path, filters={"seq": seq}, reverse=True), None)

    def between(self, first: int, last: int) -> list[Record]:
        """The records with these numbers, as far as they are there."""
        found: list[Record] = []
        for record in iter_records(self.path, reverse=True):
            seq = record["seq"]
            if seq < first:
                break
            if seq <= last:
                found.append(record)
        return found[::-1]


class Desk:
    """The record as the broker tells it to operators.

    Raises (all methods):
        RelayError: what the broker answers.
    """

    def __init__(self, socket: str | None) -> None:
        self._broker = Operator(socket)

    def last(self, count: int, filters: Filters) -> Iterator[Record]:
        """The last `count` records wanted, oldest first; for 0, as many as one answer holds."""
        # A unit is matched here, so more are asked for than are wanted.
        most = MOST if not count or filters.unit is not None else min(count, MOST)
        found = list(filter(filters.fits_unit, self._ask(most, filters.wanted)))
        return iter(found[-count:] if count else found)

    def call(self, ident: str) -> list[Record]:
        """The records of one call, oldest first."""
        return self._ask(MOST, {"call_id": ident})

    def number(self, seq: int) -> Record | None:
        """The record with that number."""
        found = self._ask(1, {"seq": seq})
        return found[0] if found else None

    def _ask(self, count: int, wanted: Mapping[str, Any]) -> list[Record]:
        reply = self._broker.request("records", {"count": count, "filters": dict(wanted)})
        return [record for record in reply["records"] if isinstance(record, dict)]


def readable(path: Path) -> bool:
    """Whether the record can be read here: its directory listed and its file opened."""
    try:
        os.listdir(path.parent)
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def source(file: str | None, path: Path, socket: str | None) -> Files | Desk:
    """Where to read: the file named, else the record's own files, else the broker.

    Raises:
        OSError: the file named cannot be read.
        RelayError: the broker cannot be asked either.
    """
    if file is not None:
        Path(file).open("rb").close()
        return Files(Path(file))
    if readable(path):
        return Files(path)
    try:
        return Desk(socket)
    except RelayError as error:
        own = standalone()
        if error.kind == "Unavailable" and own.exists():
            error.next_step = f"'relay-shell stdio' kept a record of its own: --file {own}"
        raise


def unrecorded(path: Path) -> RelayError:
    """The error for a record that is not there."""
    error = RelayError("NotFound", reason=f"there is no record at {path}")
    error.next_step = "'relay-shell doctor' says why; --file names another."
    return error


def standalone() -> Path:
    """The record of `relay-shell stdio` (XDG Base Directory Specification, XDG_STATE_HOME)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    home = Path(state) if state.startswith("/") else Path.home() / ".local/state"
    return home / "relay-shell/audit.jsonl"
