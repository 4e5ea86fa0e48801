"""`relay-shell audit key`: the key that signs checkpoints, made once and shown to verifiers.

The private key is a credential of relay-shell.service (systemd.exec(5), ImportCredential=):
encrypted in /etc/credstore.encrypted where this host's systemd-creds(1) can, else a file of root's
in /etc/credstore. Only the broker is given it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ..evidence.keyfile import PUBLIC, create, publish
from ..evidence.signing import KeyFault, Signer, generate
from ..wire.errors import RelayError
from .place import setting

NAME = "relay-shell.evidence-key"
ENCRYPTED = Path("/etc/credstore.encrypted") / NAME
PLAIN = Path("/etc/credstore") / NAME
TIMEOUT = 60


def run(args: argparse.Namespace) -> int:
    """Print the public keys; with --create, make a private key first if there is none."""
    public = Path(args.file or setting("paths.audit")).parent / PUBLIC
    try:
        made = ""
        if args.create or args.renew:
            with _alone():
                made = _make(public, renew=args.renew)
        text = public.read_text()
        from ..evidence.keyfile import load

        ids = list(load(public))
    except FileNotFoundError:
        missing = RelayError("NotFound", reason=f"no key has been made: {public} is not there")
        missing.next_step = "'relay-shell audit key --create' makes one, as root."
        raise missing from None
    except KeyFault as error:
        raise RelayError("Unavailable", reason=str(error)) from None
    if args.json:
        print(json.dumps({"path": str(public), "keys": ids, "made": made, "pem": text}))
    else:
        print(text, end="")
    return 0


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process makes a key at a time: the package's installation and relay-shell-key.service may
    both begin to. Nobody but root may open these directories, and so hold the lock."""
    with contextlib.ExitStack() as stack:
        for directory in (ENCRYPTED.parent, PLAIN.parent):
            with contextlib.suppress(OSError):
                _directory(directory)
                fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                stack.callback(os.close, fd)
                fcntl.flock(fd, fcntl.LOCK_EX)
        yield


def _make(public: Path, *, renew: bool) -> str:
    if renew:
        for path in (ENCRYPTED, PLAIN):
            path.unlink(missing_ok=True)
    pem = None
    if ENCRYPTED.exists():
        pem, made = _creds("decrypt", f"--name={NAME}", str(ENCRYPTED), "-"), ""
        if pem is None:
            # Another host's, as in a copy of a disk image: the service manager would not start
            # the broker with it, and two hosts must not sign with one key.
            ENCRYPTED.unlink()
    if pem is not None:
        pass
    elif PLAIN.exists():
        pem, made = PLAIN.read_bytes(), ""
    else:
        pem = generate()
        made = _keep(pem)
    public.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    publish(public, Signer(lambda: pem))
    return made


def _keep(pem: bytes) -> str:
    """Store the private key; return how."""
    if os.path.isdir("/run/systemd/system"):
        # Bound to the host and, where there is one, to its TPM, but to no PCR: a firmware update
        # must not keep the broker from starting.
        sealed = _creds("encrypt", f"--name={NAME}", "--tpm2-pcrs=", "-", "-", given=pem)
        if sealed is not None:
            _directory(ENCRYPTED.parent)
            create(ENCRYPTED, sealed, 0o400)
            if _creds("decrypt", f"--name={NAME}", str(ENCRYPTED), "-") == pem:
                return "encrypted"
            ENCRYPTED.unlink()
    _directory(PLAIN.parent)
    create(PLAIN, pem, 0o400)
    return "plain"


def _directory(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        path.chmod(0o700)


def _creds(*words: str, given: bytes | None = None) -> bytes | None:
    """What systemd-creds(1) prints, or None if it cannot."""
    try:
        done = subprocess.run(
            ["systemd-creds", *words],
            input=given if given is not None else b"",
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 and done.stdout else None
