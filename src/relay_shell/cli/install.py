"""Putting a file in place so that a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def replace(target: Path, content: bytes, mode: int = 0o644) -> None:
    """Write `content` to `target` by rename(2), durable when this returns.

    Raises:
        OSError: as the file system says; the target is then unchanged.
    """
    # Not by umask: a unit directory that others may write to would hand them root.
    with contextlib.suppress(FileExistsError):
        target.parent.mkdir(parents=True)
        target.parent.chmod(0o755)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
