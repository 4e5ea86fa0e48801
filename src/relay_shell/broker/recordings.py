"""The files of recordings. Everything here runs in one thread, in the order in which it is asked.

A recording lies in a directory of its month and is named by its start, its principal and its
session, so that it can be found, and accounted for, without being opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..evidence import cast

MODE = 0o640
DIRECTORY_MODE = 0o750

SLACK = 1024 * 1024
"""Octets beyond the limit for what is no output: typed lines, marks, resizes."""

LOOK = 5.0
"""Seconds between two looks at the free space of the file system."""

_LIMIT = "limit of "
_FILE = re.compile(r"\d{8}T\d{6}Z_([A-Za-z0-9.~-]{1,64})_(s\d{1,9}\.[a-z2-7]{8})\.cast")
_MONTH = re.compile(r"\d{4}-\d{2}")


class Full(Exception):
    """Nothing can be written now; it may be possible later."""


class Limits(NamedTuple):
    """Bounds of the recordings, in octets."""

    session: int
    free: int


class Stored(NamedTuple):
    """A file of the directory."""

    path: str
    owner: str
    session: str
    size: int
    modified: float


def label(principal: str) -> str:
    """A principal as part of a file name: what had to be replaced is told apart by a digest."""
    plain = principal.removeprefix("unix:")
    tidy = re.sub(r"[^A-Za-z0-9.-]", "-", plain)[:32]
    if tidy == plain:
        return tidy
    return f"{tidy}~{hashlib.sha256(principal.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def place(root: str, principal: str, session: str, started: float) -> str:
    """The path of a new recording."""
    moment = datetime.fromtimestamp(started, UTC)
    name = f"{moment:%Y%m%dT%H%M%SZ}_{label(principal)}_{session}{cast.SUFFIX}"
    return os.path.join(root, f"{moment:%Y-%m}", name)


class RecordingFile:
    """One open recording.

    Args:
        path: where it lies.
        limits: see `Limits`; a reload may change them.
    """

    def __init__(self, path: str, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self.size = self.events = 0
        self.missing = 0
        """Events that never came."""
        self.time = 0.0
        self.over = False
        self._hash = hashlib.sha256()
        self._fd = -1
        self._looked = 0.0

    def create(self, header: bytes) -> None:
        """Make the file.

        Raises:
            OSError, Full: it cannot be made.
        """
        directory = os.path.dirname(self.path)
        # A default ACL, where there is one, lets the operators in whatever the umask says.
        os.makedirs(directory, DIRECTORY_MODE, exist_ok=True)
        self._check_space(directory)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, MODE)
        try:
            os.fchmod(self._fd, MODE)
            self._write(header)
            os.fsync(self._fd)
        except BaseException:
            self.close()
            os.unlink(self.path)
            raise

    def resume(self) -> None:
        """Go on in a file that an earlier broker left; a line that it did not finish is removed.

        Raises:
            OSError, ValueError: it cannot be trusted or read.
        """
        self._fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise ValueError(f"{self.path} is not the broker's file")
        with open(self._fd, "rb", closefd=False) as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._fd, self.size)
                    break
                self._hash.update(line)
                self.size += len(line)
                self._seen(line)
        os.lseek(self._fd, self.size, os.SEEK_SET)

    def _seen(self, line: bytes) -> None:
        if cast.counts(line):
            self.events += 1
        elif _LIMIT.encode() in line:
            self.over = True
        if line.startswith(b"["):
            with contextlib.suppress(ValueError):
                self.time = max(self.time, float(line[1:].partition(b",")[0]))

    def append(self, first: int, events: Sequence[tuple[float, str, str, str | None]]) -> bool:
        """Write events, of which the first has number `first`; those known already are passed over.

        Returns:
            Whether more output is wanted.

        Raises:
            Full, OSError: nothing of it was written.
        """
        if self._fd < 0:
            raise Full("the recording is closed")
        lines = []
        missing = max(0, first - self.events)
        if missing:
            lines.append(cast.note_line(self.time, f"{missing} events were not recorded"))
        count, now, size, over = max(first, self.events), self.time, self.size, self.over
        for time_, code, text, raw in events[max(0, self.events - first) :]:
            count += 1
            now = max(now, time_)
            line = cast.event_lines(now, code, text, raw)
            if size + len(line) > self.limits.session and not over:
                over = True
                words = f"{_LIMIT}{self.limits.session} bytes, output is not recorded from here on"
                lines.append(cast.note_line(now, words))
            if over and (code == "o" or size + len(line) > self.limits.session + SLACK):
                # An empty event stands for it, or the next broker would miscount.
                line = cast.event_lines(now, "o", "")
            size += len(line)
            lines.append(line)
        if time.monotonic() - self._looked > LOOK:
            self._check_space(self.path)
        self._write(b"".join(lines))
        self.events, self.time, self.over = count, now, over
        self.missing += missing
        return not self.over

    def finish(self, lines: Iterable[bytes]) -> None:
        """Write the last lines, as far as there is room, and make all of it durable."""
        with contextlib.suppress(OSError):
            self._write(b"".join(lines))
        with contextlib.suppress(OSError):
            os.fsync(self._fd)
        self.close()

    def digest(self) -> cast.Digest:
        """Size and digest of what is written, made durable."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.fdatasync(self._fd)
        return cast.Digest(self.size, self._hash.hexdigest())

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            # Half a line would be no event to any player.
            os.ftruncate(self._fd, self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)
            raise
        self._hash.update(data)
        self.size += len(data)

    def _check_space(self, path: str) -> None:
        found = os.statvfs(path)
        if found.f_bavail * found.f_frsize < self.limits.free:
            raise Full(f"less than recording.free_bytes = {self.limits.free} are free")
        self._looked = time.monotonic()


def stored(root: str) -> list[Stored]:
    """The recordings that there are, oldest first.

    Raises:
        OSError: the directory cannot be read.
    """
    found = []
    for month in os.listdir(root):
        if _MONTH.fullmatch(month):
            with os.scandir(os.path.join(root, month)) as entries:
                for entry in entries:
                    named = _FILE.fullmatch(entry.name)
                    if named is None or not entry.is_file(follow_symlinks=False):
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        found.append(
                            Stored(entry.path, named[1], named[2], status.st_size, status.st_mtime)
                        )
    return sorted(found, key=lambda row: (row.modified, row.path))


def surplus(
    rows: Sequence[Stored], open_paths: Iterable[str], now: float, days: int, total: int
) -> list[tuple[Stored, str]]:
    """What retention removes, with the reason.

    Space is made by the principal that takes most of it, so that nobody can push the recordings of
    another out by filling the disk.
    """
    kept = set(open_paths)
    gone: list[tuple[Stored, str]] = []
    space: dict[str, int] = {}
    queues: dict[str, list[Stored]] = {}
    for row in rows:
        if row.path not in kept and days and now - row.modified > days * 86400:
            gone.append((row, f"older than recording.days = {days}"))
            continue
        space[row.owner] = space.get(row.owner, 0) + row.size
        if row.path not in kept:
            queues.setdefault(row.owner, []).append(row)
    excess = sum(space.values()) - total
    while excess > 0 and queues:
        owner = max(queues, key=lambda name: space[name])
        row = queues[owner].pop(0)
        if not queues[owner]:
            del queues[owner]
        space[owner] -= row.size
        excess -= row.size
        gone.append((row, f"recording.total_bytes = {total}"))
    return gone


def remove(rows: Iterable[tuple[Stored, str]]) -> list[dict[str, Any]]:
    """Remove files and return, for each that went, the facts to record."""
    facts = []
    for row, reason in rows:
        try:
            os.unlink(row.path)
        except OSError:
            continue
        facts.append(
            {
                "session": row.session,
                "facts": {
                    "removed": {"path": row.path, "bytes": row.size},
                    "reason": reason,
                    "owner": row.owner,
                },
            }
        )
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(row.path))
    return facts
