"""One started program: its tree, and the notice of its end through a pidfd (pidfd_open(2))."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from .cgroup import Group
from .children import Children
from .confined import Confined
from .spawn import CgroupUnsupported, spawn
from .tree import Tree
from .usage import Usage, measure

OOM_SCORE = b"500"
"""oom_score_adj of commands: they go before the worker, whose unit sets 200."""


class Status(NamedTuple):
    """How a process ended: `exit` for exit(3), else `signal`; and what its tree used."""

    exit: int | None
    signal: str | None
    signal_number: int
    used: Usage


class Process:
    """A program that runs, started by `start`.

    Once it has ended it stays a zombie until `reap`, which gives its tree the time to be ended
    under a process number that cannot be used again.

    Args:
        confined: what an enforced program runs in; closed with the process.
        on_exit: called once, when the process has ended.
    """

    def __init__(
        self,
        pid: int,
        tree: Tree,
        children: Children,
        confined: Confined | None,
        on_exit: Callable[[], None],
    ) -> None:
        self.pid = pid
        self.tree = tree
        self._confined = confined
        self._on_exit = on_exit
        self._children = children
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(pid)
        self._loop.add_reader(self._pidfd, self._ended)

    @property
    def exited(self) -> bool:
        """Whether the main process has ended."""
        return self.tree.exited

    def _ended(self) -> None:
        self.tree.exited = True
        self._close()
        self._on_exit()

    def _close(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def reap(self) -> Status:
        """Collect a process whose tree has ended, and remove its group."""
        self._close()
        if self._confined is not None:
            self._confined.close()
        reaped, code, usage = os.wait4(self.pid, os.WNOHANG)
        self._children.discard(self.pid, self.tree.owner)
        if reaped == 0:
            # Killed, but not gone within the bound; `Children.tidy` will collect it.
            code = signal.SIGKILL
        group = self.tree.group
        used = measure(group, usage)
        if group is not None and not group.remove():
            self._children.remove_later(group)
        number = os.WTERMSIG(code) if os.WIFSIGNALED(code) else 0
        return Status(
            exit=None if number else os.WEXITSTATUS(code),
            signal=signal_name(number) if number else None,
            signal_number=number,
            used=used,
        )


def start(
    owner: str,
    argv: Sequence[str],
    children: Children,
    *,
    env: Mapping[str, str],
    cwd: str,
    stdin: int = -1,
    stdout: int = -1,
    stderr: int = -1,
    keep: int = -1,
    terminal: str | None = None,
    confined: Confined | None = None,
    program: str | None = None,
    on_exit: Callable[[], None],
) -> Process:
    """Start a program in a group of its own, or in none where the kernel or the unit has none.

    Args:
        program: as in `shell.spawn.spawn`; not for a confined one.
        confined: starts the program in place of `spawn`; taken over, also on failure.

    Raises:
        RelayError: as `shell.spawn.spawn`; kind Enforcement, if it cannot be confined.
    """
    launch = partial(
        partial(spawn, program=program) if confined is None else confined.start,
        argv,
        env=env,
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        keep=(keep,) if keep >= 0 else (),
        terminal=terminal,
    )
    group = _group(owner, children)
    try:
        try:
            pid = launch(cgroup=None if group is None else group.fd)
        except CgroupUnsupported as error:
            assert group is not None and children.groups is not None
            group.remove()
            group = None
            pid = launch(cgroup=None)
            # The program itself was startable: it was the group that could not be used.
            if error.lasting:
                children.groups.spawnable = False
    except BaseException:
        if confined is not None:
            confined.close()
        if group is not None:
            group.remove()
        raise
    children.add(pid, owner)
    _prefer_for_oom(pid)
    return Process(pid, Tree(owner, pid, group, children), children, confined, on_exit)


def _group(owner: str, children: Children) -> Group | None:
    if children.groups is None or not children.groups.spawnable:
        return None
    try:
        return children.groups.make(owner)
    except OSError:
        return None


def _prefer_for_oom(pid: int) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, OOM_SCORE)
        finally:
            os.close(fd)


def signal_name(number: int) -> str:
    """SIGKILL and the like; a real-time signal by its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
