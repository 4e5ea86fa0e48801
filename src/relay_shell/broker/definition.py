"""What a worker unit is made from, and since when none of it has changed.

A worker that was started before there was a connection for it has the unit, the accounts and the
program of that moment. Clocks do not decide whether these still hold: a change is a stat(2) that
differs from an earlier one, and what is compared with the start of a process is the time since boot
(CLOCK_BOOTTIME), which nobody sets.
"""

from __future__ import annotations

import math
import os
import stat
import time
from collections.abc import Iterator

Sign = tuple[int, int, int, int] | None
"""Device, inode, status change time in ns, size; None where there is no such file."""

UNIT_PATH = (
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/transient",
    "run/systemd/generator.early",
    "etc/systemd/system",
    "etc/systemd/system.attached",
    "run/systemd/system",
    "run/systemd/system.attached",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "run/systemd/generator.late",
)
"""Unit load path of the system manager (systemd.unit(5))."""

UNITS = (
    "relay-shell-worker@.service",
    "relay-shell-worker@.service.d",
    "relay-shell-.service.d",
    "relay-.service.d",
    "service.d",
    "relayshell.slice",
    "relayshell.slice.d",
    "slice.d",
)
"""Fragments and drop-in directories of the worker's unit and its slice (systemd.unit(5))."""

RELOADED = ("run/systemd/systemd-units-load", "run/systemd/generator")
"""What the manager makes anew at each reload. A unit that was started between an edit and the
reload has the old definition, and is younger than the edit."""

OTHERS = (
    "etc/passwd",
    "etc/group",
    "etc/nsswitch.conf",
    "etc/relay-shell",
    "usr/lib/relay-shell",
    "usr/lib/relay-shell/relay_shell",
    # Any package that was installed, upgraded or removed.
    "var/lib/dpkg/status",
)

OLDEST = 1800.0
"""Seconds that a worker may have waited; bounds what no file shows, such as a mount."""

TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds of a clock tick."""


def boot_seconds() -> float:
    """Seconds since boot, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def age(start: int) -> float:
    """Seconds since a process started, at most one clock tick too many.

    Args:
        start: its start in clock ticks from boot, as in field 22 of /proc/PID/stat.
    """
    return boot_seconds() - start * TICK


class Definition:
    """The files that a worker unit is made from.

    Args:
        root: directory below which they are.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._seen: dict[str, Sign] = {}
        self._since = math.inf
        self.since()

    def since(self) -> float:
        """Look again; seconds from boot since which nothing is known to have changed.

        Infinite where something cannot be looked at.
        """
        try:
            if not self._seen or any(_sign(path) != sign for path, sign in self._seen.items()):
                self._seen = dict(self._read())
                # Taken after the last look: what was started since has seen all of it.
                self._since = boot_seconds()
        except OSError:
            self._seen = {}
            self._since = math.inf
        return self._since

    def outdated(self, start: int) -> str:
        """Why a process that started then is not what would be started now, "" if it is.

        Args:
            start: see `age`.
        """
        if start * TICK < self.since():
            return "unit files, accounts or packages have changed since it was started"
        waited = age(start)
        if waited > OLDEST:
            return f"it was started {waited:.0f} s ago, more than {OLDEST:.0f}"
        return ""

    def _read(self) -> Iterator[tuple[str, Sign]]:
        markers = [os.path.join(self._root, name) for name in RELOADED]
        if not any(map(_sign, markers)):
            raise OSError("reloads of the service manager cannot be seen")
        for path in (*markers, *(os.path.join(self._root, name) for name in OTHERS)):
            yield path, _sign(path)
        for name in UNIT_PATH:
            directory = os.path.join(self._root, name)
            # A directory before its entries: one that comes in between is a change of the former.
            sign = _sign(directory)
            yield directory, sign
            if sign is not None:
                for unit in UNITS:
                    yield from _tree(os.path.join(directory, unit))


def _tree(path: str) -> Iterator[tuple[str, Sign]]:
    sign = _sign(path)
    if sign is None:
        return
    yield path, sign
    if stat.S_ISDIR(os.stat(path).st_mode):
        for name in sorted(os.listdir(path)):
            entry = os.path.join(path, name)
            yield entry, _sign(entry)


def _sign(path: str) -> Sign:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns, found.st_size
