"""SSH keys: each file of the key directory can be used, and the agent has it."""

from __future__ import annotations

from collections.abc import Iterator

from ...keys.__main__ import DIRECTORY, SOCKET
from ...keys.agent import Agent, AgentError
from ...keys.files import Refused, examine, listed
from ...wire.errors import RelayError
from .. import systemctl
from .base import FAIL, OK, SKIP, WARN, Finding, Host

SERVICE = "relay-shell-keys.service"


def check(host: Host) -> Iterator[Finding]:
    """Look at each key of the directory, and at what the agent has."""
    try:
        paths = listed(str(host.path(DIRECTORY)))
    except Refused as refusal:
        yield _refused(refusal, f"chown root:root {DIRECTORY}; chmod 700 {DIRECTORY}")
        return
    except OSError as error:
        yield Finding("keys", SKIP, DIRECTORY, f"{error.strerror}; run as root")
        return
    if not paths:
        yield Finding("keys", OK, DIRECTORY, "no keys")
        return
    held = _held() if host.live else None
    for path in paths:
        yield judge(path, held)


def judge(path: str, held: set[bytes] | None) -> Finding:
    """The finding on one file.

    Args:
        held: public keys that the agent has; None where it is not known.
    """
    try:
        key = examine(path)
    except Refused as refusal:
        return _refused(refusal, f"chown root:root {path}; chmod 600 {path}; or remove it")
    if held is None:
        return Finding("keys", OK, path, "has a passphrase" if key.locked else "can be used")
    if held.issuperset(key.blobs):
        return Finding("keys", OK, path, "in use")
    if key.locked:
        add = f"SSH_AUTH_SOCK={SOCKET} ssh-add {path}"
        return Finding("keys", WARN, path, "has a passphrase, and is not in use", add)
    return Finding("keys", WARN, path, "is not in use", f"systemctl reload {SERVICE}")


def _held() -> set[bytes] | None:
    try:
        # To ask would start it, and while it starts it has not loaded them.
        if systemctl.show(SERVICE, ("ActiveState",)).get("ActiveState") != "active":
            return None
        return Agent(SOCKET).held()
    except (AgentError, RelayError):
        return None


def _refused(refusal: Refused, fix: str) -> Finding:
    subject, _, reason = str(refusal).partition(": ")
    return Finding("keys", FAIL, subject, reason, fix)
