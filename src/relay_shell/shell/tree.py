"""End a whole process tree, and look that nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import NamedTuple

from .cgroup import Group
from .children import Children, descendants

KILL_BOUND = 3.0
"""Seconds after which what is still alive counts as a survivor (uninterruptible sleep)."""


class Ended(NamedTuple):
    """How many processes were killed, and how many are alive nevertheless."""

    killed: int
    survivors: int


class Tree:
    """All that one command or session started.

    With a cgroup the members are what the group holds. In every case orphans are members too:
    without a group they are all there is to find, and a program that leaves its group by
    clone3(CLONE_INTO_CGROUP) becomes an orphan as soon as its parent ends.

    Args:
        owner: the name under which children and group are known, "call-..." or "session-...".
        pid: the main process; it must not be reaped before the tree has ended, so that its
            number, which is also the process group's, cannot have been used again.
    """

    def __init__(self, owner: str, pid: int, group: Group | None, children: Children) -> None:
        self.owner = owner
        self.pid = pid
        self.group = group
        self.exited = False
        """Whether the main process has ended; what it had forked is orphaned then."""
        self._children = children

    def members(self) -> set[int]:
        """Processes that are alive, the main process included while it is; orphans are reaped."""
        orphans = self._children.orphans_of(self.owner)
        if self.group is not None:
            found = set(self.group.pids())
            for orphan in orphans:
                found.add(orphan)
                found.update(descendants(orphan))
            return found
        found = set()
        if not self.exited:
            orphans.append(self.pid)
        for root in orphans:
            if alive(root):
                found.add(root)
            found.update(descendants(root))
        return found

    def rest(self) -> set[int]:
        """Members other than the main process."""
        return self.members() - {self.pid}

    def signal(self, number: int) -> None:
        """Send a signal to every member."""
        for pid in self.members():
            _send(pid, number)

    async def kill(self) -> Ended:
        """Kill every member, as often as it takes within `KILL_BOUND`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + KILL_BOUND
        killed: set[int] = set()
        pause = 0.001
        while True:
            members = self.members()
            if not members:
                return Ended(len(killed), 0)
            if loop.time() > deadline:
                return Ended(len(killed - members), len(members))
            killed |= members
            if not self._at_once():
                # One call reaches the whole process group before it can fork again.
                with contextlib.suppress(OSError):
                    os.killpg(self.pid, signal.SIGKILL)
            for pid in members:
                _send(pid, signal.SIGKILL)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.02)

    def _at_once(self) -> bool:
        # A worker inside its Landlock domain may not write cgroup.kill.
        return self.group is not None and self.group.kill_at_once()


def alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):
        return False


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
