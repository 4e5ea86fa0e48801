"""The environment and directory of commands, built from nothing.

A worker's own environment holds the service manager's business (NOTIFY_SOCKET, LISTEN_FDS,
CREDENTIALS_DIRECTORY, WATCHDOG_USEC...); none of it is for the commands.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from typing import Any

from ..wire.errors import RelayError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELL = "/bin/bash"

TERM = "linux"
"""What the screen's emulator implements; xterm's alternate screen it does not."""

PASSED = ("LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS")
"""Variables of a user's own login that standalone use hands on; a service manager sets none."""


class Account:
    """Who the commands run as, read once."""

    def __init__(self) -> None:
        uid = os.geteuid()
        try:
            row = pwd.getpwuid(uid)
            self.user, home = row.pw_name, row.pw_dir
        except KeyError:
            self.user, home = str(uid), "/"
        # The unit's HOME goes before the account's: a scoped account has none of its own.
        self.home = os.environ.get("HOME") or home
        self.tmp = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the unit's PrivateTmp
        self.passed = {name: os.environ[name] for name in PASSED if name in os.environ}

    def prepare(self) -> None:
        """Create the home directory where it lies in the private /tmp and is not there yet."""
        try:
            os.makedirs(self.home, 0o700, exist_ok=True)
        except OSError:
            self.home = "/"


def build(
    account: Account,
    settings: Mapping[str, Any],
    added: Mapping[str, str] | None,
    *,
    call_id: str,
    session: str | None = None,
) -> dict[str, str]:
    """Return the whole environment of a command.

    Args:
        added: variables of the call; they win over the defaults.
        session: handle, for a program on a terminal.

    Raises:
        RelayError: kind InvalidArguments, for a name that is none, one of our own
            (RELAY_SHELL_*), or a value with a NUL character.
    """
    env = {
        "PATH": str(settings.get("worker.path", PATH)),
        "HOME": account.home,
        "USER": account.user,
        "LOGNAME": account.user,
        "SHELL": str(settings.get("worker.shell", SHELL)),
        "LANG": "C.UTF-8",
        "TMPDIR": account.tmp,
        **account.passed,
        "TERM": "dumb" if session is None else TERM,
    }
    for name, value in (added or {}).items():
        # An ASCII identifier is what POSIX calls a name (XBD 3.216).
        if not (name.isascii() and name.isidentifier()):
            raise RelayError("InvalidArguments", reason=f"env: {name[:64]!r} is no variable name")
        if name.startswith("RELAY_SHELL_"):
            raise RelayError("InvalidArguments", reason=f"env: {name[:64]} is reserved")
        if "\0" in value:
            raise RelayError("InvalidArguments", reason=f"env: {name[:64]} contains a NUL")
        env[name] = value
    env["RELAY_SHELL_CALL"] = call_id
    if session is not None:
        env["RELAY_SHELL_SESSION"] = session
    return env


def directory(account: Account, cwd: str | None) -> str:
    """The directory to start in: `cwd`, relative to the home, or the home itself.

    Raises:
        RelayError: kind Spawn, if it is not a directory that may be entered; kind
            InvalidArguments, if it can be no path at all.
    """
    if cwd is not None and "\0" in cwd:
        raise RelayError("InvalidArguments", reason="cwd contains a NUL character")
    path = account.home if cwd is None else os.path.join(account.home, os.path.expanduser(cwd))
    if os.path.isdir(path) and os.access(path, os.X_OK):
        return path
    if cwd is None:
        return "/"
    reason = "may not be entered" if os.path.isdir(path) else "is not a directory"
    raise RelayError("Spawn", program=path, reason=f"cwd {reason}")
