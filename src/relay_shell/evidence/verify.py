"""Whether the record is whole: what is missing, changed, moved or foreign, file by file."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from .chain import link, parse
from .files import open_file, segments
from .record import GENESIS, MAX_LINE

KINDS: dict[str, str] = {
    "missing": "there is no record",
    "empty": "there is no record in the files",
    "unreadable": "a file cannot be read to its end",
    "gap": "records are missing",
    "order": "a record stands where an earlier or equal number was expected not to",
    "edited": "a record was changed after it was written",
    "relinked": "a record does not follow the one before it",
    "restart": "the chain begins anew",
    "foreign": "bytes that are no record, and that no record names",
    "torn": "a write was cut off; the next record names the bytes",
    "head": "the oldest records are no longer here",
}
"""What a finding can be."""

NOTES = frozenset({"torn", "head"})
"""Findings that leave the record whole: a crash that was named, and files that have expired."""

_CLAIM = re.compile(
    rb'^\{"v":[0-9]+,"seq":([0-9]{1,18}),.*"prev":"([0-9a-f]{64})","chain":"([0-9a-f]{64})"\}$'
)
_TORN = b'"event":"torn"'


class Finding(NamedTuple):
    """One thing that is not as the writer left it."""

    kind: str
    path: str
    line: int
    """Line in the file, from 1; 0 where it concerns the whole file."""
    seq: int
    """Number of the record, 0 if it has none."""
    detail: str

    @property
    def fails(self) -> bool:
        """Whether the record is not whole because of it."""
        return self.kind not in NOTES

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {KINDS[self.kind]}" + (f": {self.detail}" if self.detail else "")


class Report(NamedTuple):
    """What was verified, and what was found."""

    files: list[str]
    records: int
    bytes: int
    first: int
    """Number of the first record, 0 if there is none."""
    last: int
    chain: str
    """Chain value of the last record: equal to an off-host copy's, or the two differ."""
    findings: list[Finding]

    @property
    def whole(self) -> bool:
        return not any(finding.fails for finding in self.findings)


class _Check:
    """The state of one pass over the files."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.records = self.bytes = self.first = self.seq = 0
        self.chain = ""
        self.path = ""
        self._region = 0
        self._hash = hashlib.sha256()
        self._start = ("", 0)

    def report(self, kind: str, line: int, seq: int, detail: str = "") -> None:
        self.findings.append(Finding(kind, self.path, line, seq, detail))

    def line(self, number: int, data: bytes) -> None:
        """Judge one line, with its line feed if it has one."""
        self.bytes += len(data)
        found = link(data[:-1]) if data.endswith(b"\n") else None
        if found is not None:
            seq, prev, chain = found.seq, found.prev, found.chain
        else:
            claim = _CLAIM.match(data[:-1]) if data.endswith(b"\n") else None
            if claim is None:
                if not self._region:
                    self._start = (self.path, number)
                self._region += len(data)
                self._hash.update(data)
                return
            seq, prev, chain = int(claim[1]), claim[2].decode(), claim[3].decode()
            self.report("edited", number, seq, f"record {seq}")
        if self._region:
            self._close(number, data, seq)
        if prev != self.chain or seq != self.seq + 1:
            self._misfit(number, seq, prev)
        self.records += 1
        self.first = self.first or seq
        self.seq, self.chain = seq, chain

    def _misfit(self, number: int, seq: int, prev: str) -> None:
        if not self.first:
            if seq == 1 and prev == GENESIS:
                return
            self.report("head", number, seq, f"the first record here is {seq}")
        elif prev == GENESIS and seq == 1:
            self.report("restart", number, seq, f"after record {self.seq}")
        elif seq > self.seq + 1:
            missing = f"{self.seq + 1} to {seq - 1}" if seq > self.seq + 2 else f"{seq - 1}"
            self.report("gap", number, seq, f"record {missing}")
        elif seq <= self.seq:
            self.report("order", number, seq, f"record {seq} after {self.seq}")
        else:
            self.report("relinked", number, seq, f"record {seq}")

    def _close(self, number: int, data: bytes, seq: int) -> None:
        """Judge the bytes that are no record, now that a record follows."""
        named = False
        if _TORN in data[:256]:
            facts = (parse(data) or {}).get("facts") or {}
            named = (facts.get("bytes"), facts.get("sha256")) == (
                self._region,
                self._hash.hexdigest(),
            )
        path, line = self._start
        kind = "torn" if named else "foreign"
        self.findings.append(Finding(kind, path, line, seq, f"{self._region} bytes"))
        self._region, self._hash = 0, hashlib.sha256()

    def finish(self) -> None:
        if self._region:
            path, line = self._start
            detail = f"{self._region} bytes at the end"
            self.findings.append(Finding("foreign", path, line, 0, detail))
        if not self.records and not self.findings:
            self.report("empty", 0, 0)


def verify_chain(path: str | os.PathLike[str], *, rotated: bool = True) -> Report:
    """Verify the record at `path`, its rotated files included.

    A cut at the end leaves a whole record that is merely shorter; only the journal or an off-host
    copy, which hold a later `chain`, can tell.

    Args:
        rotated: False verifies the one file alone.
    """
    active = Path(path)
    check = _Check()
    check.path = str(active)
    files: list[Path] = []
    try:
        files = segments(active) if rotated else [active] if active.exists() else []
    except OSError as error:
        check.report("unreadable" if active.parent.exists() else "missing", 0, 0, _why(error))
        return _report(check, files)
    if not active.exists():
        check.report("missing", 0, 0)
    for file in files:
        check.path = str(file)
        number = 0
        try:
            with open_file(file) as stream:
                for number, data in enumerate(_lines(stream), 1):
                    check.line(number, data)
        except (OSError, EOFError, lzma.LZMAError) as error:
            check.report("unreadable", number, 0, _why(error))
    check.path = str(active)
    check.finish()
    return _report(check, files)


def _report(check: _Check, files: list[Path]) -> Report:
    names = [str(file) for file in files]
    last = check.seq
    return Report(names, check.records, check.bytes, check.first, last, check.chain, check.findings)


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    # A line over the bound comes in pieces, so that memory stays bounded.
    while line := stream.readline(MAX_LINE + 1):
        yield line


def _why(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
