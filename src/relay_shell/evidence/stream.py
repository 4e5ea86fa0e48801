"""The record from a place on, line by line, over rotations and restarts of the reader.

Whatever stands in the files is delivered: a gap, a line that does not follow the one before, or
bytes that are no record, come as an anomaly beside it and stop nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any, NamedTuple

from .chain import link, parse
from .files import DAMAGE, damaged, first_numbers, number_in, open_file, opened
from .moment import now
from .record import GENESIS, MAX_LINE
from .siem import ANOMALY


class Place(NamedTuple):
    """Where reading goes on: after this record."""

    seq: int
    chain: str
    inode: int
    offset: int
    """Byte after the record, in the file's decompressed content."""
    length: int

    def to_json(self) -> str:
        """The form in which it is kept."""
        return json.dumps(self._asdict()) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Place:
        """The place that `to_json` wrote.

        Raises:
            ValueError: it is none.
        """
        found = json.loads(text)
        if not isinstance(found, dict) or set(found) != set(cls._fields):
            raise ValueError("not a place in the record")
        if any(type(found[name]) is not (str if name == "chain" else int) for name in cls._fields):
            raise ValueError("not a place in the record")
        return cls(**found)


class Item(NamedTuple):
    """One line of the record with its facts; an anomaly has no line."""

    line: bytes
    record: dict[str, Any]


class Stream:
    """Reads the record at `path`, from its first file or after a place.

    Raises (also `read`):
        OSError: a file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], place: Place | None = None) -> None:
        self._path = Path(path)
        self._file: IO[bytes] | None = None
        self._inode = self._offset = self._first = 0
        self._foreign = 0
        self._name = self._damaged = ""
        self._skip: Place | None = None
        self.place = place
        """After the last record that was delivered."""
        self._seq, self._chain = (place.seq, place.chain) if place else (0, "")
        if place is None or not self._resume(place):
            self._skip = place
            self._begin()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self, most: int = 256, room: int = 1024 * 1024) -> list[Item]:
        """What is there, so many items and bytes at most (one more than that may come); nothing if
        there is nothing new."""
        found: list[Item] = []
        size = 0
        while len(found) < most and size < room:
            line = self._line()
            if line is None:
                if not self._advance():
                    break
                continue
            items = self._take(line)
            found += items
            size += sum(len(item.line) for item in items)
        return found

    # ---- files ---------------------------------------------------------------------------

    def _begin(self) -> None:
        files, active = self._listed()
        if self._skip is not None:
            # The last file that begins no later than what was delivered last.
            before = [(first, file) for first, file in files if 0 < first <= self._skip.seq]
            files = before[-1:] or files
        if files:
            self._open(files[0][1], active)

    def _listed(self) -> tuple[list[tuple[int, Path]], IO[bytes] | None]:
        """The files with the numbers of their first records, and the active one, open."""
        files, active = opened(self._path)
        firsts = first_numbers(files, self._path, active)
        return list(zip(firsts, files, strict=True)), active

    def _open(self, path: Path, active: IO[bytes] | None) -> None:
        self.close()
        if active is not None and path == self._path:
            self._file = active
        else:
            _close(active)
            self._file = open_file(path)
        self._inode = os.fstat(self._file.fileno()).st_ino
        self._offset, self._name = 0, path.name
        self._first = number_in(self._file)

    def _resume(self, place: Place) -> bool:
        """Open the file that holds the record of the place, if it still is where it was."""
        files, active = opened(self._path)
        for path in files:
            if os.stat(path).st_ino != place.inode:
                continue
            self._open(path, active)
            assert self._file is not None
            if self._inode != place.inode:
                return False
            try:
                self._file.seek(max(0, place.offset - place.length))
                found = link(self._file.read(place.length)[:-1])
            except DAMAGE as error:
                if not damaged(error):
                    raise
                return False
            if found is None or (found.seq, found.chain) != (place.seq, place.chain):
                return False
            self._offset = place.offset
            return True
        _close(active)
        return False

    def _line(self) -> bytes | None:
        """The next line with its line feed, None where there is none yet."""
        if self._file is None:
            return None
        try:
            line = self._file.readline(MAX_LINE + 1)
            if line.endswith(b"\n") or len(line) > MAX_LINE:
                self._offset += len(line)
                return line
            if line:
                self._file.seek(self._offset)
        except DAMAGE as error:
            if not damaged(error):
                raise
            self._damaged = f"{self._name}: {error}"
        return None

    def _advance(self) -> bool:
        """Go on in the file that follows, if there is one; the writer uses a renamed file until
        the next has its first record."""
        if self._file is None:
            self._begin()
            return self._file is not None
        try:
            if os.stat(self._path).st_ino == self._inode:
                return False
        except FileNotFoundError:
            return False
        files, active = self._listed()
        later = sorted((first, file) for first, file in files if first > (self._first or self._seq))
        if not later:
            _close(active)
            return False
        rest = b""
        if not self._damaged:
            rest = self._file.readline(MAX_LINE + 1)
            if rest.endswith(b"\n"):
                # It came before the first record of the next file.
                self._file.seek(self._offset)
                _close(active)
                return True
        self._foreign += len(rest)
        self._open(later[0][1], active)
        return True

    # ---- lines ---------------------------------------------------------------------------

    def _take(self, line: bytes) -> list[Item]:
        record = parse(line) if line.endswith(b"\n") else None
        seq, chain = (record.get("seq"), record.get("chain")) if record else (None, None)
        if record is None or type(seq) is not int or type(chain) is not str:
            self._foreign += len(line)
            return []
        self._first = self._first or seq
        skip = self._skip
        if skip is not None:
            if chain == skip.chain or seq < skip.seq:
                self._foreign = 0
                if chain == skip.chain:
                    self._skip = None
                return []
            self._skip = None
        found: list[Item] = []
        prev = record.get("prev")
        if self._foreign and record.get("event") != "torn":
            found.append(_anomaly(seq, "foreign", f"{self._foreign} bytes before record {seq}"))
        self._foreign = 0
        if self._damaged:
            found.append(_anomaly(seq, "unreadable", self._damaged))
            self._damaged = ""
        if link(line[:-1]) is None:
            found.append(_anomaly(seq, "edited", f"record {seq} is not as it was written"))
        if self._chain and (seq, prev) != (self._seq + 1, self._chain):
            found.append(_anomaly(seq, *self._misfit(seq)))
        elif not self._chain and prev != GENESIS and seq > 1:
            found.append(_anomaly(seq, "head", f"the first record here is {seq}"))
        self._seq, self._chain = seq, chain
        self.place = Place(seq, chain, self._inode, self._offset, len(line))
        return [*found, Item(line, record)]

    def _misfit(self, seq: int) -> tuple[str, str]:
        if seq > self._seq + 1:
            return "gap", f"records {self._seq + 1} to {seq - 1} are not here"
        if seq <= self._seq:
            return "order", f"record {seq} after {self._seq}"
        return "relinked", f"record {seq} does not follow the one before it"


def _close(file: IO[bytes] | None) -> None:
    if file is not None:
        file.close()


def _anomaly(seq: int, what: str, detail: str) -> Item:
    return Item(b"", {"seq": seq, "ts": now(), "event": ANOMALY, "what": what, "detail": detail})
