"""Which files may configure us: only those that nobody but root and we can change.

The rule is that of sshd(8) for its own files (auth_secure_path): the file and every directory
above it belong to root or to us, and neither group nor others may write to them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

LIMIT = 1024 * 1024
"""Bytes that a configuration file may have."""


def read(path: Path) -> bytes:
    """The content of a trusted file.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: others can change it, it is no regular file, too large or unreadable.
    """
    try:
        real = path.resolve(strict=True)
        # Non-blocking, so that a FIFO in the place of the file cannot hold the start for ever.
        fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:
        raise ValueError(f"cannot be read: {_why(error)}") from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise ValueError("is not a regular file")
    with os.fdopen(fd, "rb") as file:
        _judge(status, str(real))
        for parent in real.parents:
            _judge(parent.stat(), str(parent))
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ValueError(f"is larger than {LIMIT} bytes")
    return data


def check_directory(path: Path) -> None:
    """Refuse a directory to which others can add files.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: others can change it, or it is no directory.
    """
    real = path.resolve(strict=True)
    if not real.is_dir():
        raise ValueError("is not a directory")
    for place in (real, *real.parents):
        _judge(place.stat(), str(place), own=place == real)


def _judge(status: os.stat_result, name: str, own: bool = False) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise ValueError(f"{name} belongs to uid {status.st_uid}; make root its owner")
    if not status.st_mode & 0o022:
        return
    # In a sticky directory others may add names but not replace ours; in our own they may not add.
    if not own and stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        return
    raise ValueError(
        f"{name} can be changed by others (mode {stat.S_IMODE(status.st_mode):04o}); "
        f"run 'chmod go-w {name}'"
    )


def _why(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
