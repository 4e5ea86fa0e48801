"""The active file: opening it, judging it, writing whole lines to it, noticing its replacement."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import struct
import time
from array import array
from pathlib import Path
from typing import IO

from .chain import Link
from .errors import EvidenceError
from .files import DAMAGE, Tail, seekable, segments, tail
from .latest import Latest

MODE = 0o640
GRACE = 2.0
"""Seconds for which a renamed file is still written to while its successor is not there yet:
logrotate(8) renames, creates, and only then gives the new file its owner."""

OPENINGS = 100
"""How often a file is opened that others make and remove at the same time."""

_FS_IOC_GETFLAGS = 0x80086601
_FS_APPEND_FL = 0x20

CANCEL = b"\x18\n"
"""Ends a line that was cut off. It may lack no more than its line feed, and since its number is
given again, it must not pass for a record."""


class Active:
    """An open, append-only file that only whole lines are meant to go to.

    Args:
        path: the file; it is created if it may be.
        lock: a file of the writer's own to lock instead of the record itself. Whoever may read a
            file may also lock it, so this keeps readers from blocking the broker.

    Raises:
        EvidenceError: locked by another writer, untrusted, or what the system call answered.
    """

    def __init__(self, path: Path, lock: Path | None = None) -> None:
        self.path = path
        self._name = str(path)
        self._lock_path = lock
        self._lock = -1
        self._astray = 0.0
        self.torn = 0
        """Bytes at the end that are no record, to be named by the next one."""
        self._hash = hashlib.sha256()
        self._terminated = True
        self._fence = False
        self._bare = 0.0
        self._flags = array("i", (0, 0))
        """What the kernel puts an int into, though it asks for the room of a long."""
        if lock is not None:
            self._lock = _open(lock, os.O_RDWR, 0o600)
            try:
                _exclusive(self._lock, lock)
            except EvidenceError:
                os.close(self._lock)
                raise
        try:
            self.fd = self._take()
        except EvidenceError:
            self._unlock()
            raise

    def _take(self) -> int:
        fd = _open(self.path, os.O_RDWR | os.O_APPEND, MODE)
        try:
            status = os.fstat(fd)
            _judge(status, self.path)
            if self._lock_path is None:
                _exclusive(fd, self.path)
        except BaseException:
            os.close(fd)
            raise
        self._identity = (status.st_dev, status.st_ino)
        self._astray = 0.0
        # A file that takes the place of one that had the attribute is to have it too.
        found = append_only(fd)
        self._fence = found is not None and (found or self._fence)
        # A new name is only durable with its directory; where that may not be opened, ext4 and
        # xfs commit it with the first fsync of the file.
        with contextlib.suppress(OSError):
            os.fsync(fd)
            parent = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(parent)
            finally:
                os.close(parent)
        return fd

    # ---- reading its own end -------------------------------------------------------------

    def end(self) -> Tail:
        """The file's end, remembering the bytes that are no record.

        Raises:
            EvidenceError: it cannot be read.
        """
        try:
            with open(os.dup(self.fd), "rb") as file:
                found = tail(file)
                self.torn = found.torn
                self._terminated = found.terminated
                self._hash = hashlib.sha256()
                file.seek(-found.torn, os.SEEK_END)
                while chunk := file.read(1024 * 1024):
                    self._hash.update(chunk)
        except OSError as error:
            raise EvidenceError.of(error, self.path) from None
        return found

    def precede(self, file: IO[bytes], count: int) -> None:
        """Count the last `count` bytes of the file before this one as torn, ahead of ours."""
        own, self._hash = self.torn, hashlib.sha256()
        file.seek(-count, os.SEEK_END)
        while chunk := file.read(1024 * 1024):
            self._hash.update(chunk)
        with open(os.dup(self.fd), "rb") as ours:
            ours.seek(-own, os.SEEK_END)
            while chunk := ours.read(1024 * 1024):
                self._hash.update(chunk)
        self.torn = own + count

    def latest(self) -> Latest:
        """What the file says of its times.

        Raises:
            EvidenceError: it cannot be read.
        """
        found = Latest()
        try:
            with open(os.dup(self.fd), "rb") as file:
                found.learn(file)
        except OSError as error:
            raise EvidenceError.of(error, self.path) from None
        return found

    def free(self) -> int:
        """Octets that its file system has for an account without privileges."""
        space = os.fstatvfs(self.fd)
        return space.f_bavail * space.f_frsize

    def older(self) -> list[Path]:
        """The rotated files, newest first.

        Raises:
            EvidenceError: the directory cannot be listed.
        """
        try:
            return [path for path in segments(self.path) if path != self.path][::-1]
        except OSError as error:
            raise EvidenceError.of(error, self.path.parent) from None

    # ---- writing -------------------------------------------------------------------------

    def seam(self) -> tuple[bytes, dict[str, object]] | None:
        """What must precede the next record: the end of a line that was cut off, and the facts
        that name the bytes which are no record. None if every byte belongs to one."""
        if not self.torn:
            return None
        lead = b"" if self._terminated else CANCEL
        whole = self._hash.copy()
        whole.update(lead)
        return lead, {"bytes": self.torn + len(lead), "sha256": whole.hexdigest()}

    def write(self, data: bytes) -> None:
        """Append whole lines; what is written of a cut-off write counts as torn.

        Raises:
            EvidenceError: not everything could be written.
        """
        done = 0
        try:
            while done < len(data):
                done += os.write(self.fd, data[done:] if done else data)
        except OSError as error:
            if done:
                self.torn += done
                self._hash.update(data[:done])
                self._terminated = data[done - 1] == 0x0A
            raise EvidenceError.of(error, self.path) from None
        if self.torn:
            self.torn, self._hash, self._terminated = 0, hashlib.sha256(), True

    # ---- replacement ---------------------------------------------------------------------

    def steady(self) -> bool:
        """Whether `replaced` and `fenced` would find all as it was, with nothing to remember."""
        try:
            status = os.lstat(self._name)
            if (status.st_dev, status.st_ino) != self._identity:
                return False
            fcntl.ioctl(self.fd, _FS_IOC_GETFLAGS, self._flags)
        except OSError:
            return False
        found = bool(self._flags[0] & _FS_APPEND_FL)
        return found == self._fence and not self._bare and not self._astray

    def replaced(self) -> bool:
        """Whether it is time to `switch`: the path names another file than the one that is open,
        or has named none for longer than the grace, or ours is deleted."""
        try:
            status = os.lstat(self._name)
        except OSError:
            return not self._bears()
        if (status.st_dev, status.st_ino) == self._identity:
            self._astray = 0.0
            return False
        return True

    def switch(self) -> int | None:
        """Open the file that the path names now; return the earlier descriptor, for the caller to
        sync and close, or None if the new file is not ready and the grace still runs.

        Raises:
            EvidenceError: the new file cannot be used and the grace is over.
        """
        old = self.fd
        try:
            self.fd = self._take()
        except EvidenceError as error:
            if error.cause in ("locked", "untrusted") or not self._bears():
                if not os.path.lexists(self._name):
                    raise EvidenceError("lost", error.detail) from None
                raise
            return None
        # What a new file holds already was not written by us; what was torn at the end of the
        # old one is named in the new.
        self._terminated = True
        with open(os.dup(self.fd), "rb") as file:
            file.seek(0)
            while chunk := file.read(1024 * 1024):
                self._hash.update(chunk)
                self.torn += len(chunk)
                self._terminated = chunk.endswith(b"\n")
        return old

    def _bears(self) -> bool:
        """Whether the open file may be written to although the path does not name it."""
        now = time.monotonic()
        self._astray = self._astray or now
        # A deleted file takes what is written with it; a renamed one keeps it.
        return os.fstat(self.fd).st_nlink > 0 and now - self._astray <= GRACE

    # ---- the rest ------------------------------------------------------------------------

    def fenced(self) -> bool:
        """False if the attribute that this file had, or the one before it, has been off for longer
        than the grace: a rotation lifts it for a moment."""
        found = append_only(self.fd)
        if found or not self._fence:
            self._fence, self._bare = bool(found), 0.0
            return True
        self._bare = self._bare or time.monotonic()
        return time.monotonic() - self._bare <= GRACE

    def append_only(self) -> bool | None:
        """Whether the attribute `a` of chattr(1) is set; None where the file system has none."""
        return append_only(self.fd)

    def close(self) -> None:
        os.close(self.fd)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def append_only(fd: int) -> bool | None:
    """Whether an open file has the attribute `a`; None where the file system has none."""
    try:
        answer = fcntl.ioctl(fd, _FS_IOC_GETFLAGS, bytes(8))
    except OSError:
        return None
    return bool(struct.unpack_from("i", answer)[0] & _FS_APPEND_FL)


def before(active: Active, older: list[Path]) -> Link | None:
    """The last record of the files before one that has none, as after a rotation while stopped."""
    for path in older:
        try:
            with seekable(path) as file:
                end = tail(file)
                if end.link is not None:
                    if end.torn:
                        active.precede(file, end.torn)
                    return end.link
        except DAMAGE as error:
            reason = error if isinstance(error, OSError) else OSError(5, str(error))
            raise EvidenceError.of(reason, path) from None
    return None


def _open(path: Path, flags: int, mode: int) -> int:
    # Non-blocking, so that a FIFO in the place of the file cannot hold the broker.
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        for _ in range(OPENINGS):
            with contextlib.suppress(FileNotFoundError):
                return os.open(path, flags)
            # Another process may make it in between; then that one's file is to be opened.
            with contextlib.suppress(FileExistsError):
                return os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise EvidenceError.of(error, path) from None
    raise EvidenceError("untrusted", f"{path} is made and removed again and again")


def _exclusive(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EvidenceError("locked", str(path)) from None
    except OSError as error:
        raise EvidenceError.of(error, path) from None


def _judge(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise EvidenceError("untrusted", f"{path} is not a regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise EvidenceError("untrusted", f"{path} belongs to uid {status.st_uid}")
    if status.st_mode & 0o022:
        raise EvidenceError(
            "untrusted", f"{path} has mode {stat.S_IMODE(status.st_mode):04o}: run 'chmod go-w'"
        )
    if status.st_nlink != 1:
        raise EvidenceError("untrusted", f"{path} has {status.st_nlink} names")
