"""What root's enforced commands may open for reading: all files, and devices that only tell.

Their capability to read everything would also open every device, where to open or read may be to
act: a terminal's input is taken from its user, its modes and its flow are anybody's who has it open
(tcsetattr(3), tcflow(3)), a watchdog begins to run, snapshot takes the lock of hibernation.
Landlock cannot take back beneath a directory what a rule on the directory gives, so everything else
is named.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache

DEVICES = ("full", "kmsg", "null", "random", "rtc", "rtc0", "tty", "urandom", "zero")
"""Character devices that tell, and take nothing from anybody (of kmsg each reader has a copy)."""

DIRECTORIES = ("bus", "cpu", "hugepages", "mapper", "mqueue", "shm")
"""Below /dev; others hold links, which Landlock follows, or devices that act (input, pts, vfio)."""

MOST = 192
"""Paths; disks beyond them are not readable (plan.h: a plan has room for 256 rules)."""


def paths(root: str = "/", terminal: str | None = None) -> list[str]:
    """The paths at and beneath which files may be read.

    Args:
        root: where to look, with a slash at the end.
        terminal: path of the call's own terminal.
    """
    chosen = [f"{root}dev/{name}" for name in (*DEVICES, *DIRECTORIES)]
    if terminal is not None:
        chosen.append(terminal)
    chosen += [root + name for name in sorted(os.listdir(root)) if name != "dev"]
    devices = f"{root}dev"
    return [*chosen, *_disks(devices, os.stat(devices).st_mtime_ns)][:MOST]


@lru_cache(maxsize=4)
def _disks(directory: str, changed: int) -> list[str]:
    # A call must not look at some hundred devices each time; one that comes changes the directory.
    with os.scandir(directory) as entries:
        return sorted(entry.path for entry in entries if _is_disk(entry))


def _is_disk(entry: os.DirEntry[str]) -> bool:
    try:
        return stat.S_ISBLK(entry.stat(follow_symlinks=False).st_mode)
    except OSError:
        # It was unplugged just now.
        return False
