"""Keys in files: a private one put in place whole, public ones gathered for verifiers."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .signing import KeyFault, Keys, Signer

PUBLIC = "evidence.pub"
"""Public keys of a record, beside it: each that ever signed there, one after the other."""


def create(path: Path, content: bytes, mode: int) -> None:
    """Put a file in place whole and durable; one that is there already stays.

    Raises:
        OSError: as the file system says.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(fd, mode)
            os.write(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def publish(path: Path, signer: Signer) -> bool:
    """Add the public key to the file, mode 0644, unless it is there; whether it was added.

    Raises:
        OSError: as the file system says.
        KeyFault: the signer has no key.
    """
    try:
        if signer.key in load(path):
            return False
    except (FileNotFoundError, KeyFault):
        pass
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o644)
    try:
        os.fchmod(fd, 0o644)
        os.write(fd, signer.public_pem())
        os.fsync(fd)
    finally:
        os.close(fd)
    return True


def load(path: Path) -> Keys:
    """The public keys in a file.

    Raises:
        OSError: it cannot be read.
        KeyFault: there is no key in it.
    """
    with open(path, "rb") as file:
        return Keys([file.read(1024 * 1024)])
