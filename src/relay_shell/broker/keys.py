"""Where the broker finds the key that signs its checkpoints."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ..evidence.signing import KeyFault, Signer, generate

CREDENTIAL = "relay-shell.evidence-key"
"""Name of the credential (systemd.exec(5), ImportCredential=)."""

KEY, PUBLIC = "evidence.key", "evidence.pub"
"""Files of a broker without a service manager, in paths.state."""

_LIMIT = 4096


def signer(state: Path, environ: Mapping[str, str], *, local: bool) -> Signer | None:
    """The signer of this broker; None if it was given no key.

    Args:
        state: directory of the setting paths.state.
        local: whether it keeps a key of its own there, made at the first use.
    """
    if local:
        return Signer(lambda: _own(state))
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(directory) / CREDENTIAL
    if not directory or not path.exists():
        return None
    return Signer(lambda: _read(path))


def _own(state: Path) -> bytes:
    path = state / KEY
    if not path.exists():
        _create(path, generate(), 0o400)
    pem = _read(path)
    found = path.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise KeyFault(f"{path} does not belong to this user alone (expected mode 0400)")
    public = state / PUBLIC
    if not public.exists():
        _create(public, Signer(lambda: pem).public_pem(), 0o444)
    return pem


def _create(path: Path, content: bytes, mode: int) -> None:
    """Put a file in place whole; one that is there already stays."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.write(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    except OSError as error:
        raise KeyFault(f"{path} cannot be made: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LIMIT)
    except OSError as error:
        raise KeyFault(f"{path}: {error.strerror}") from None
