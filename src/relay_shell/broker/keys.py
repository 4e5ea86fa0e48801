"""Where the broker finds the key that signs its checkpoints."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ..evidence.keyfile import PUBLIC, create, publish
from ..evidence.signing import KeyFault, Signer, generate

CREDENTIAL = "relay-shell.evidence-key"
"""Name of the credential (systemd.exec(5), ImportCredential=)."""

KEY = "evidence.key"
"""Private key of a broker without a service manager, in paths.state."""

_LIMIT = 4096


def signer(state: Path, audit: Path, environ: Mapping[str, str], *, local: bool) -> Signer | None:
    """The signer of this broker; None if it was given no key.

    Args:
        state: directory of the setting paths.state.
        audit: the record; the public key goes beside it.
        local: whether it keeps a key of its own in `state`, made at the first use.
    """
    if local:
        return Signer(lambda: _own(state / KEY, audit.parent / PUBLIC))
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(directory) / CREDENTIAL
    if not directory or not path.exists():
        return None
    return Signer(lambda: _read(path))


def _own(path: Path, public: Path) -> bytes:
    try:
        if not path.exists():
            create(path, generate(), 0o400)
        pem = _read(path)
        found = path.stat()
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise KeyFault(f"{path} does not belong to this user alone (expected mode 0400)")
        publish(public, Signer(lambda: pem))
    except OSError as error:
        raise KeyFault(f"{error.filename or path}: {error.strerror}") from None
    return pem


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LIMIT)
    except OSError as error:
        raise KeyFault(f"{path}: {error.strerror}") from None
