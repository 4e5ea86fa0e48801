"""Whether the record is whole: what is missing, changed, moved or foreign, file by file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from .files import DAMAGE, open_file, plain, segments, strays
from .scan import Scan
from .signing import Keys
from .survey import read

KINDS: dict[str, str] = {
    "missing": "there is no record",
    "empty": "there is no record in the files",
    "unreadable": "a file cannot be read to its end",
    "gap": "records are missing",
    "order": "a record stands where an earlier or equal number was expected not to",
    "edited": "a record was changed after it was written",
    "version": "a record is of a later version, which this program does not know",
    "relinked": "a record does not follow the one before it",
    "restart": "the chain begins anew",
    "foreign": "bytes that are no record, and that no record names",
    "signature": "a checkpoint does not hold",
    "unknown-key": "a checkpoint is signed by a key that is not known here",
    "unsigned": "no checkpoint signs these records, though there is a key",
    "differs": "records are not what the copy holds",
    "removed": "the copy holds records that are not here",
    "absent": "records here are not in the copy",
    "forked": "the copy holds two different records of one number",
    "copy": "the copy cannot be compared",
    "torn": "a write was cut off; the next record names the bytes",
    "head": "the oldest records are no longer here",
    "unsealed": "no checkpoint covers the last records yet",
    "clock": "the clock was set back",
    "silence": "nothing was recorded for longer than heartbeats allow",
    "pending": "the last records have not reached the copy",
    "stray": "a file is named like one of the record and was not read as one",
}
"""What a finding can be."""

NOTES = frozenset({"torn", "head", "unsealed", "clock", "silence", "pending", "stray"})
"""Findings that leave the record whole: what the writer itself named, what has expired, and what
is to come."""

NAMED = 100
"""Findings of one kind that are named one by one; the others are counted."""

_TRIES = 3
"""Passes at most, when the record is rotated during one."""


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
    checkpoints: int = 0
    """Checkpoints whose signature holds."""
    sealed: int = 0
    """Number of the last record that one of them covers."""

    @property
    def whole(self) -> bool:
        return not any(finding.fails for finding in self.findings)


def verify_chain(
    path: str | os.PathLike[str], *, rotated: bool = True, keys: Keys | None = None, jobs: int = 1
) -> Report:
    """Verify the record at `path`, its rotated files included.

    A cut at the end leaves a whole record that is merely shorter; only the journal or an off-host
    copy, which hold a later `chain`, can tell: see `copies.compare`.

    Args:
        rotated: False verifies the one file alone.
        keys: those that may sign checkpoints. Without any, a checkpoint is a failure, for what
            cannot be checked is not taken for checked; without checkpoints, so are the keys.
        jobs: processes that read large files at once; what is found is the same.
    """
    active = Path(path)
    for _ in range(_TRIES):
        before = identities(active) if rotated else []
        report = _verify(active, rotated, keys, jobs)
        # What was found whole may be the new file alone.
        if not rotated or identities(active) == before:
            break
    return report


def identities(path: Path) -> list[tuple[str, int]]:
    """Names and inodes of the files of a record: they differ after a rotation."""
    try:
        return [(str(file), file.stat().st_ino) for file in segments(path)]
    except OSError:
        return []


def _verify(active: Path, rotated: bool, keys: Keys | None, jobs: int) -> Report:
    found: list[Finding] = []
    counts: dict[str, int] = {}
    place = str(active)

    def report(kind: str, line: int, seq: int, detail: str = "", where: str = "") -> None:
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= NAMED:
            found.append(Finding(kind, where or place, line, seq, detail))

    scan = Scan(report, keys)
    files: list[Path] = []
    try:
        files = segments(active) if rotated else [active] if active.exists() else []
    except OSError as error:
        report("unreadable" if active.parent.exists() else "missing", 0, 0, _why(error))
        return Report([], 0, 0, 0, 0, "", found)
    if not active.exists():
        report("missing", 0, 0)
    for file in files:
        place = str(file)
        scan.begin(place)
        try:
            with open_file(file) as stream:
                if jobs > 1 and plain(file):
                    read(scan, stream, jobs)
                scan.stream(stream)
        except DAMAGE as error:
            report("unreadable", scan.number, 0, _why(error))
    place = str(active)
    scan.finish()
    for file in _strays(active) if rotated else []:
        place = str(file)
        report("stray", 0, 0)
    for kind, count in counts.items():
        if count > NAMED:
            found.append(Finding(kind, str(active), 0, 0, f"{count - NAMED} more"))
    if not scan.records and not found:
        report("empty", 0, 0)
    return Report(
        [str(file) for file in files],
        scan.records,
        scan.bytes,
        scan.first,
        scan.seq,
        scan.chain,
        found,
        scan.checkpoints,
        scan.sealed,
    )


def _strays(active: Path) -> list[Path]:
    try:
        return strays(active)
    except OSError:
        # What the files are has been listed, or reported, before.
        return []


def _why(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
