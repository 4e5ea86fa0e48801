"""Asking systemd: thin calls of systemctl(1), whose output forms are stable by promise."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from ..wire.errors import RelayError

TIMEOUT = 30
"""Seconds; a manager that reloads many units answers late, but it answers."""


def available() -> bool:
    """Whether systemd is the running init (sd_booted(3)) and systemctl is there."""
    import os

    return os.path.isdir("/run/systemd/system") and shutil.which("systemctl") is not None


def call(*words: str) -> str:
    """Run systemctl and return its output.

    Raises:
        RelayError: Unavailable, with what systemctl said, if it fails or is not there.
    """
    try:
        done = subprocess.run(
            ["systemctl", "--no-pager", "--no-ask-password", *words],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unavailable(words, str(error)) from None
    if done.returncode != 0:
        raise _unavailable(words, done.stderr.strip() or f"exit status {done.returncode}")
    return done.stdout


def show(unit: str, properties: Sequence[str]) -> dict[str, str]:
    """Properties of a unit; one that this systemd does not know is absent."""
    out = call("show", unit, "--property", ",".join(properties))
    return dict(line.partition("=")[::2] for line in out.splitlines() if "=" in line)


def instances(pattern: str) -> list[str]:
    """Names of the loaded units that match a glob pattern."""
    out = call("list-units", "--plain", "--no-legend", "--full", "--all", pattern)
    return [line.split()[0] for line in out.splitlines() if line.strip()]


def statuses(pattern: str) -> dict[str, str]:
    """What each unit that runs and matches a pattern says of itself (STATUS=, sd_notify(3))."""
    found = {}
    out = call("show", "--property", "Id,ActiveState,StatusText", "--", pattern)
    for block in out.split("\n\n"):
        shown = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if shown.get("ActiveState") not in (None, "inactive", "failed"):
            found[shown["Id"]] = shown.get("StatusText", "")
    return found


def _unavailable(words: Sequence[str], said: str) -> RelayError:
    error = RelayError("Unavailable", reason=f"systemctl {' '.join(words[:2])}: {said}")
    error.next_step = "Look at 'systemctl status' on this host."
    return error
