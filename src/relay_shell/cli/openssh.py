"""OpenSSH's own programs, as the verb `ssh` asks them: keys and configurations are their matter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from ..wire.errors import RelayError

SECONDS = 60.0
"""For a program that asks nobody."""
MOST_KEYS = 16
"""Host keys of one host; sshd makes three by itself."""

_TYPE = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]{1,64}")
_BLOB = re.compile(r"[A-Za-z0-9+/]{16,16384}={0,2}")
_PRINT = re.compile(r"([0-9]+) (SHA256:[A-Za-z0-9+/]{43}) .*\(([A-Z0-9-]+)\)")


class Key(NamedTuple):
    """A public key of a host."""

    type: str
    """Its algorithm, as in ssh-ed25519."""
    blob: str
    """Its base64."""
    fingerprint: str
    """SHA256:..."""
    name: str
    """What ssh-keygen(1) calls its type, with its bits: ED25519 256."""


def run(
    program: str, *args: str, given: str = "", seconds: float = SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run a program of OpenSSH to its end, with its output as text.

    Raises:
        RelayError: Unavailable, if it is not installed; Timeout.
    """
    found = shutil.which(program)
    if found is None:
        missing = RelayError("Unavailable", reason=f"{program} is not installed")
        missing.next_step = "apt install openssh-client"
        raise missing
    try:
        return subprocess.run(
            [found, *args],
            check=False,
            input=given,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        error = RelayError("Timeout", seconds=int(seconds))
        error.next_step = f"Run it by hand: {' '.join((program, *args))}"
        raise error from None


def scan(address: str, port: int, seconds: int) -> list[Key]:
    """The host keys that a host shows to whoever asks, which proves nothing of who it is.

    Args:
        seconds: how long to wait for an answer.

    Raises:
        RelayError: Unavailable, if it shows none.
    """
    # It connects once for each kind, and sshd bears a grudge against who does that often
    # (PerSourcePenalties of sshd_config(5)): only for what sshd has without being told to.
    options = ("-t", "ed25519,ecdsa,rsa", "-T", str(seconds), "-p", str(port))
    done = run("ssh-keyscan", *options, "--", address, seconds=SECONDS + 10 * seconds)
    keys = keys_of(done.stdout)
    if not keys:
        said = [line for line in done.stderr.splitlines() if not line.startswith("#")]
        reason = f" ({said[-1].strip()[:200]})" if said else ""
        error = RelayError("Unavailable", reason=f"{address} port {port} shows no host key{reason}")
        error.next_step = "Check address and port in the inventory, and that sshd runs there."
        raise error
    return keys


def keys_of(text: str) -> list[Key]:
    """The public keys in a text: lines of *.pub files, or of known_hosts without a marker."""
    found: dict[tuple[str, str], Key] = {}
    for line in text.splitlines():
        fields = line.split()
        for place in (0, 1):
            pair = tuple(fields[place : place + 2])
            if len(pair) == 2 and _TYPE.fullmatch(pair[0]) and _BLOB.fullmatch(pair[1]):
                if pair not in found and (key := _judged(*pair)):
                    found[pair] = key
                break
        if len(found) == MOST_KEYS:
            break
    return list(found.values())


def fingerprint(path: Path) -> str:
    """The fingerprint of a key in a file, private or public; "" if it cannot be told."""
    said = _PRINT.match(run("ssh-keygen", "-l", "-E", "sha256", "-f", str(path)).stdout)
    return said[2] if said else ""


def _judged(kind: str, blob: str) -> Key | None:
    done = run("ssh-keygen", "-l", "-E", "sha256", "-f", "-", given=f"{kind} {blob}\n")
    said = _PRINT.match(done.stdout)
    if done.returncode or said is None:
        return None
    return Key(kind, blob, said[2], f"{said[3]} {said[1]}")


class Known(NamedTuple):
    """What known_hosts has of a name."""

    keys: tuple[tuple[str, str], ...] = ()
    """Type and base64 of each."""
    authorities: tuple[tuple[str, str], ...] = ()
    """Those that sign host certificates."""
    revoked: tuple[tuple[str, str], ...] = ()


def known(path: Path, name: str) -> Known:
    """What a file has of a name, hashed or not, and by patterns.

    Raises:
        RelayError: Config, if ssh-keygen(1) cannot read the file.
    """
    if not path.exists():
        return Known()
    done = run("ssh-keygen", "-F", name, "-f", str(path))
    if done.returncode not in (0, 1):
        raise RelayError("Config", reason=f"{path}: {done.stderr.strip()[:200]}")
    found: dict[str, list[tuple[str, str]]] = {"": [], "@cert-authority": [], "@revoked": []}
    for line in done.stdout.splitlines():
        fields = line.split()
        if not fields or line.startswith("#"):
            continue
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if marker in found and len(fields) > 2:
            found[marker].append((fields[1], fields[2]))
    return Known(*map(tuple, found.values()))
