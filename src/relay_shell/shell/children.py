"""Children of this process: those it started, and those it inherited as a subreaper.

What forks twice loses its parent, and the kernel gives it to the nearest ancestor that called
prctl(PR_SET_CHILD_SUBREAPER). So no descendant of a command can leave the worker's own tree, and
one short read of /proc shows whether a call left something behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Container

from .cgroup import Group, Groups

TIDY = 1.0
"""Seconds between two looks for zombies while anything runs."""


ROOM = 4096
"""Octets in which the list of this process's children nearly always fits."""

_own: set[int] = set()
_live: set[str] = set()
"""Main processes and owners of the whole process: several workers may share it (standalone), and
what one of them started is no orphan to the others."""


def hold(pid: int) -> None:
    """Register a helper of the worker's own, which belongs to no call; who holds it reaps it."""
    _own.add(pid)


def release(pid: int) -> None:
    """Forget a helper that has been reaped."""
    _own.discard(pid)


class Children:
    """The direct children of this process.

    Args:
        groups: the delegated cgroups, by which an orphan's owner is known for certain; without
            them its environment tells, which a hostile program can change.
    """

    def __init__(self, groups: Groups | None) -> None:
        self.groups = groups
        self._session = os.getsid(0)
        self._list = _open_list()
        self._leftover: list[Group] = []
        self._mine = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, pid: int, owner: str) -> None:
        """Register a main process; only who registered it reaps it."""
        _own.add(pid)
        _live.add(owner)
        self._mine += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TIDY, self._tick)

    def discard(self, pid: int, owner: str) -> None:
        """Forget a main process that has been reaped and whose tree has ended."""
        _own.discard(pid)
        _live.discard(owner)
        self._mine -= 1

    def reap(self) -> list[int]:
        """Collect orphans that have ended, and return those that live.

        Zombies count against TasksMax.
        """
        alive = []
        for pid in self._orphans():
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    alive.append(pid)
        return alive

    def orphans_of(self, owner: str) -> list[int]:
        """Living orphans that `owner` left, and those that belong to nothing alive."""
        found = []
        for pid in self.reap():
            whose = self._owner(pid)
            if whose == owner or whose not in _live:
                found.append(pid)
        return found

    def remove_later(self, group: Group) -> None:
        """Keep a group that could not be removed yet; `tidy` tries again."""
        self._leftover.append(group)

    def tidy(self) -> bool:
        """Reap orphans and remove groups that are empty by now; True if anything is left to do."""
        self.reap()
        if self._leftover:
            self._leftover = [group for group in self._leftover if not group.remove()]
        return bool(self._leftover or self._mine)

    def _tick(self) -> None:
        self._timer = None
        if self.tidy():
            self._timer = asyncio.get_running_loop().call_later(TIDY, self._tick)

    def close(self) -> None:
        """Release the descriptors; what runs is not ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for group in self._leftover:
            group.close()
        self._leftover = []
        if self._list >= 0:
            os.close(self._list)
            self._list = -1

    def _orphans(self) -> list[int]:
        if self._list >= 0:
            # Room for a million children costs more than all the rest of a look at few.
            listed = os.pread(self._list, ROOM, 0)
            if len(listed) == ROOM:
                listed = os.pread(self._list, 1 << 20, 0)
            pids = [int(pid) for pid in listed.split()]
        else:
            pids = _scan(os.getpid())
        return [pid for pid in pids if pid not in _own and self._inherited(pid)]

    def _inherited(self, pid: int) -> bool:
        # All that is started here begins a session; a child in our own session is some library's.
        try:
            return os.getsid(pid) != self._session
        except ProcessLookupError:
            return False

    def _owner(self, pid: int) -> str | None:
        if self.groups is not None and self.groups.spawnable:
            return self.groups.group_of(pid)
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read(1 << 20).split(b"\0")
        except OSError:
            return None
        call = None
        for variable in variables:
            if variable.startswith(b"RELAY_SHELL_SESSION="):
                return "session-" + variable[20:].decode("ascii", "replace")
            if variable.startswith(b"RELAY_SHELL_CALL="):
                call = "call-" + variable[17:].decode("ascii", "replace")
        return call


_HAVE_LISTS = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
"""Whether the kernel has CONFIG_PROC_CHILDREN; Debian's has."""


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, as far as they can be seen while they change."""
    found: list[int] = []
    seen: set[int] = set()
    queue = [pid]
    while queue:
        for child in _children_of(queue.pop(), seen):
            seen.add(child)
            found.append(child)
            queue.append(child)
    return found


def _children_of(pid: int, seen: Container[int]) -> list[int]:
    children: list[int] = []
    try:
        # The file is per thread: it lists what that thread forked (proc_pid_children(5)).
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += [int(word) for word in file.read().split()]
    except OSError:
        if not _HAVE_LISTS:
            children = _scan(pid)
    return [child for child in children if child not in seen]


def _open_list() -> int:
    # The main thread, whose id is the process's, starts everything here.
    path = f"/proc/self/task/{os.getpid()}/children"
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _scan(parent: int) -> list[int]:
    """Children by reading every /proc/PID/stat: for kernels without CONFIG_PROC_CHILDREN."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        with contextlib.suppress(OSError, IndexError):
            with open(f"/proc/{name}/stat", "rb") as file:
                # The name in parentheses may hold anything; the last ")" ends it.
                fields = file.read().rpartition(b")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(name))
    return found
