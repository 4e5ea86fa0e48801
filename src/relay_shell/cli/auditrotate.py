"""`relay-shell audit rotate`: the record goes on in a new file, and the old one is sealed.

The new file takes the old one's place in one step (RENAME_EXCHANGE of rename(2)), so the path
always names a file that the broker may append to. Only for that step is the attribute `a` lifted
from the old file; a second process sets it again however this one ends. Then the broker is asked to
go on in the new file, and only when it has let go of the old one does that become immutable.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import signal
import stat
import struct
import time
from io import TextIOWrapper
from pathlib import Path

from ..wire.errors import RelayError
from .operator import Operator
from .place import setting

_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS = 0x80086601, 0x40086602
IMMUTABLE, APPEND = 0x10, 0x20
"""Attributes `i` and `a` of chattr(1)."""

_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2
_NO_FLAGS = (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL)


def run(args: argparse.Namespace) -> int:
    """Rotate; print the name of the file that is finished."""
    path = Path(setting("paths.audit"))
    if os.geteuid():
        raise RelayError("PermissionDenied", reason="only root may lift the append-only attribute")
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RelayError("Busy", reason="another rotation is at work") from None
        rotated = rotate(path)
        trouble = None
        if rotated is not None:
            trouble = _hand_over(path, rotated, args.socket)
        removed = _expire(path, args.keep)
        os.fsync(directory)
    finally:
        os.close(directory)
    facts = {"rotated": str(rotated) if rotated else None, "removed": [str(p) for p in removed]}
    if args.json:
        print(json.dumps(facts))
    else:
        print(rotated or f"{path} is empty: nothing to rotate")
        for gone in removed:
            print(f"removed {gone}")
    if trouble is not None:
        raise trouble
    return 0


def rotate(path: Path) -> Path | None:
    """Put an empty file in the place of the record; return where that is now, None if it is empty.

    Raises:
        OSError: as the file system says; the record is then where it was, and append-only.
        RelayError: it is no regular file.
    """
    old = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(old)
        if not stat.S_ISREG(found.st_mode):
            raise RelayError("Config", reason=f"{path} is not a regular file")
        if not found.st_size:
            _set(old, APPEND)
            return None
        new, target = _create(path)
        try:
            os.fchown(new, found.st_uid, found.st_gid)
            os.fchmod(new, found.st_mode & 0o640)
            os.fsync(new)
            with _Guard(old, new, target):
                _clear(old, APPEND | IMMUTABLE)
                _swap(path, target)
        finally:
            os.close(new)
    finally:
        os.close(old)
    return target


def _create(path: Path) -> tuple[int, Path]:
    """An empty file of a name that nobody had, to become the rotated one's."""
    now = int(time.time())
    day = time.strftime("%Y%m%d", time.gmtime(now))
    for number in range(1000):
        extra = f"-{number}" if number else ""
        target = path.with_name(f"{path.name}-{day}-{now}{extra}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(FileExistsError):
            return os.open(target, flags, 0o600), target
    raise RelayError("Unavailable", reason=f"1000 files of the name {path.name}-{day}-{now} exist")


class _Guard:
    """Sets the attribute on both files when its block ends, or this process does.

    A process of its own waits for the end of a pipe that only this one holds open; it outlasts a
    SIGKILL of this one and of its process group, as timeout(1) sends it, and removes the new file
    if the step was never made.
    """

    def __init__(self, old: int, new: int, target: Path) -> None:
        self._files = (old, new)
        self._target = target

    def __enter__(self) -> None:
        ours, self._pipe = os.pipe()
        ready, says = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._pipe)
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                os.setsid()
                os.write(says, b"1")
                os.read(ours, 1)
                self._mend()
            finally:
                os._exit(0)
        os.close(ours)
        os.close(says)
        # Until it is in a session of its own, what ends this process would end it as well.
        prepared = os.read(ready, 1)
        os.close(ready)
        if not prepared:
            os.close(self._pipe)
            os.waitpid(self._pid, 0)
            raise RelayError("Unavailable", reason="no process could be set to guard the rotation")

    def __exit__(self, *_: object) -> None:
        self._mend()
        os.close(self._pipe)
        os.waitpid(self._pid, 0)

    def _mend(self) -> None:
        old, new = self._files
        with contextlib.suppress(OSError):
            there, ours = os.stat(self._target, follow_symlinks=False), os.fstat(new)
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                # The step was not made: ours is still under the name made for the old one.
                _clear(new, APPEND)
                os.unlink(self._target)
        for fd in (old, new):
            with contextlib.suppress(OSError):
                _set(fd, APPEND)


def _swap(path: Path, target: Path) -> None:
    """Exchange the two names; where the file system cannot, one after the other."""
    try:
        _rename(target, path, _RENAME_EXCHANGE)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        # The broker writes on to the file it has open while the path names none.
        aside = target.with_name(f".{target.name}")
        _rename(target, aside, _RENAME_NOREPLACE)
        _rename(path, target, _RENAME_NOREPLACE)
        _rename(aside, path, _RENAME_NOREPLACE)


def _rename(source: Path, target: Path, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(source))


def _hand_over(path: Path, rotated: Path, socket: str | None) -> RelayError | None:
    """Have the broker go on in the new file, then make the old one immutable."""
    try:
        with Operator(socket) as broker:
            inode = broker.request("rotate")["inode"]
        if inode != os.stat(path).st_ino:
            return RelayError("Unavailable", reason=f"the broker does not write to {path}")
    except RelayError as error:
        if error.kind != "Unavailable":
            error.next_step = (
                f"{rotated} is append-only, not immutable; the broker goes on in the new file with "
                "its next record."
            )
            return error
        # No socket, no broker: nobody has the old file open.
    with _open(rotated) as fd:
        _set(fd.fileno(), APPEND | IMMUTABLE)
    return None


def _expire(path: Path, keep: int) -> list[Path]:
    """Remove the oldest rotated files beyond `keep`; 0 keeps all."""
    from ..evidence.files import segments

    if not keep:
        return []
    old = [file for file in segments(path) if file != path][:-keep]
    for file in old:
        with _open(file) as fd:
            _clear(fd.fileno(), APPEND | IMMUTABLE)
        file.unlink()
    return old


def _open(path: Path) -> TextIOWrapper:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))


def _flags(fd: int) -> int | None:
    """The attributes; None where the file system has none."""
    try:
        answer = fcntl.ioctl(fd, _FS_IOC_GETFLAGS, bytes(8))
    except OSError as error:
        if error.errno in _NO_FLAGS:
            return None
        raise
    return int(struct.unpack_from("i", answer)[0])


def _set(fd: int, wanted: int) -> None:
    flags = _flags(fd)
    if flags is not None and flags & wanted != wanted:
        _put(fd, flags | wanted)


def _clear(fd: int, unwanted: int) -> None:
    flags = _flags(fd)
    if flags is not None and flags & unwanted:
        _put(fd, flags & ~unwanted)


def _put(fd: int, flags: int) -> None:
    try:
        fcntl.ioctl(fd, _FS_IOC_SETFLAGS, struct.pack("l", flags))
    except OSError as error:
        # tmpfs and others read attributes that they do not keep.
        if error.errno not in _NO_FLAGS:
            raise
