"""Small files that only the broker writes, and that it trusts only as far as it can check them."""

from __future__ import annotations

import json
import os
import stat
from typing import Any

LIMIT = 1024 * 1024


class StateError(Exception):
    """A state file cannot be used: unreadable, malformed, or writable by somebody else."""


def check_directory(path: str) -> None:
    """Refuse a directory in which another account could replace files.

    Raises:
        StateError: with what is wrong and what it should be.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(f"{path} is not a directory")
    if found.st_uid not in (os.geteuid(), 0) or found.st_mode & 0o022:
        raise StateError(f"{path} is writable by others; expected mode 0700 and our own account")


def write(path: str, value: Any, *, durable: bool) -> None:
    """Replace a file as a whole, mode 0600.

    Args:
        durable: whether it must survive a power failure (fsync of file and directory).

    Raises:
        OSError: the old content stands.
    """
    temporary = f"{path}.new"
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
    fd = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        os.fchmod(fd, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)
    if durable:
        directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def read(path: str) -> Any:
    """Return the content of a file that `write` made.

    Raises:
        FileNotFoundError: there is none.
        StateError: it cannot be trusted or understood.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise StateError(f"{path} is not a regular file")
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise StateError(f"{path} does not belong to the broker alone (expected mode 0600)")
        if found.st_size > LIMIT:
            raise StateError(f"{path} is larger than {LIMIT} bytes")
        try:
            return json.loads(file.read(LIMIT + 1))
        except (ValueError, RecursionError):
            raise StateError(f"{path} is damaged: no JSON") from None
