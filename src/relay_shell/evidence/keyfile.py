"""Keys in files: a private one put in place whole, public ones gathered for verifiers."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .signing import KeyFault, Keys, Signer

PUBLIC = "evidence.pub"
"""Public keys of a record, beside it: each that ever signed there, one after the other."""


def create(path: Path, content: bytes, mode: int) -> bool:
    """Put a file in place whole and durable; one that is there already stays. Whether it was put.

    Raises:
        OSError: as the file system says.
    """
    # Not by a process id: one was left by a process that was killed, and in containers that share a
    # directory each has the same.
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(fd, mode)
            os.write(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        return True
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
    # A verifier must not find the file without a key in it.
    if create(path, signer.public_pem(), 0o644):
        return True
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
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
