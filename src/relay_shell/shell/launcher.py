"""Start a command so that the kernel refuses what would change the machine.

Unlike `spawn`, something of ours must run between fork and exec, so the worker forks: one
clone3(2) straight into the call's cgroup, a few system calls, execve(2). Whatever cannot be set
up stops the child before exec, and the reason comes back; nothing runs unenforced.

An unprivileged worker confines by Landlock (`readonly.ruleset`). A root worker instead gives the
command a mount namespace in which every mount is read-only and an account of its own that keeps
only capabilities to read, because Landlock would hide other processes' descriptors from lsof(8).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import stat
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from ..wire.errors import RelayError
from . import landlock, mountns, readonly

_CLONE3 = 435
_CLONE_PIDFD, _CLONE_NEWNS, _CLONE_INTO_CGROUP = 0x1000, 0x20000, 0x200000000
_CLOSE_RANGE_CLOEXEC = 4
_TIOCSCTTY = 0x540E
_SETUP_SECONDS = 10.0
"""Bound for the child's few calls before exec; a child that hangs in them is killed."""


class Account(NamedTuple):
    """Whom a root worker's enforced commands run as."""

    uid: int
    gid: int


class Command(NamedTuple):
    """What to start.

    Attributes:
        executable: absolute path; argv[0] is only its name.
        stdio: descriptors to become 0, 1 and 2.
        scratch: a directory of this call alone; the only place that it may write.
        cgroup: descriptor of the call's cgroup directory.
        terminal: stdio[0] is a terminal to become the controlling one.
        inherit: further descriptors to pass, as the numbers from 3 on.
    """

    argv: Sequence[str]
    executable: str
    env: Mapping[str, str]
    cwd: str
    stdio: tuple[int, int, int]
    scratch: str
    cgroup: int | None = None
    terminal: bool = False
    inherit: tuple[int, ...] = ()


class Started(NamedTuple):
    """A confined process: the pidfd is the caller's to close."""

    pid: int
    pidfd: int


class _CloneArgs(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid"
            " set_tid_size cgroup"
        ).split()
    )


# PyDLL keeps the interpreter's lock, so that the child's copy of it is held by the child.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Launcher:
    """Starts enforced commands for one worker.

    Args:
        network: leave TCP and UDP open to the command.
        account: required of a root worker, None for an unprivileged one.

    Raises:
        RelayError: kind Enforcement, if this kernel cannot refuse every change.
    """

    def __init__(self, *, network: bool = False, account: Account | None = None) -> None:
        if os.geteuid() == 0 and account is None:
            raise RelayError("Enforcement", reason="a root worker needs an account to drop to")
        version = landlock.abi()
        if account is None and version < landlock.ABI_SCOPES:
            raise RelayError(
                "Enforcement", reason=f"Landlock ABI {version}, {landlock.ABI_SCOPES} is needed"
            )
        self._network = network
        self._account = account
        try:
            self._programs = readonly.Programs(network=network, metadata=account is not None)
        except OSError as error:
            raise RelayError("Enforcement", reason=f"seccomp: {error}") from None

    def start(self, command: Command) -> Started:
        """Start one command, confined.

        Raises:
            RelayError: kind Enforcement if confining failed, Spawn if execve(2) did.
        """
        rules = None
        try:
            if self._account is None:
                rules = readonly.ruleset(command.scratch, network=self._network)
        except OSError as error:
            raise RelayError("Enforcement", reason=str(error)) from None
        status_read, status_write = os.pipe2(os.O_CLOEXEC)
        # A signal that Python handled in the child would write to the loop's wakeup socket.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid, pidfd = self._clone(command.cgroup)
            if pid == 0:
                self._become(command, rules, status_write)
        except RelayError:
            os.close(status_read)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.close(status_write)
            if rules is not None:
                rules.close()
        return _await_exec(pid, pidfd, status_read, command.argv[0])

    def _clone(self, cgroup: int | None) -> tuple[int, int]:
        pidfd = ctypes.c_int(-1)
        flags = _CLONE_PIDFD
        if self._account is not None:
            flags |= _CLONE_NEWNS
        if cgroup is not None:
            flags |= _CLONE_INTO_CGROUP
        args = _CloneArgs(
            flags=flags,
            pidfd=ctypes.addressof(pidfd),
            exit_signal=signal.SIGCHLD,
            cgroup=cgroup if cgroup is not None else 0,
        )
        pid = _libc.syscall(
            ctypes.c_long(_CLONE3), ctypes.byref(args), ctypes.c_size_t(ctypes.sizeof(args))
        )
        if pid < 0:
            raise RelayError("Enforcement", reason=f"clone3: {os.strerror(ctypes.get_errno())}")
        return int(pid), pidfd.value

    def _become(self, command: Command, rules: landlock.Ruleset | None, status: int) -> NoReturn:
        """The child: confine, then exec. Never returns and never raises."""
        stage = "setup"
        try:
            os.setsid()
            # The numbers to fill may themselves be among the sources: move all out of the way.
            status = _high(status)
            wanted = (*command.stdio, *command.inherit)
            for number, source in enumerate([_high(fd) for fd in wanted]):
                os.dup2(source, number, inheritable=True)
            if command.terminal and _libc.ioctl(0, ctypes.c_ulong(_TIOCSCTTY), 0) != 0:
                raise OSError(ctypes.get_errno(), "controlling terminal")
            # execve(2) resets handlers, not what is ignored; the interpreter ignores these two.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            readonly.limit_resources()
            if self._account is not None:
                stage = "mount namespace"
                mountns.make_read_only(command.scratch)
            stage = "cwd"
            os.chdir(command.cwd)
            if self._account is not None:
                stage = "account"
                for number in range(3):
                    # /dev/stderr reopens the pipe by its inode, which the account must then own.
                    if stat.S_ISFIFO(os.fstat(number).st_mode):
                        os.fchown(number, self._account.uid, self._account.gid)
                mountns.drop_to(self._account.uid, self._account.gid)
            stage = "close_range"
            if _libc.close_range(len(wanted), 0xFFFFFFFF, _CLOSE_RANGE_CLOEXEC) != 0:
                raise OSError(ctypes.get_errno(), "close_range")
            stage = "Landlock"
            if rules is not None:
                rules.enter()
            stage = "seccomp"
            self._programs.load()
            stage = "exec"
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execve(command.executable, list(command.argv), command.env)
        except BaseException as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            os.write(status, f"{stage}: {reason}"[:500].encode("utf-8", "replace"))
        finally:
            os._exit(126)


def _await_exec(pid: int, pidfd: int, status: int, program: str) -> Started:
    try:
        ready, _, _ = select.select([status], [], [], _SETUP_SECONDS)
        report = os.read(status, 512).decode("utf-8", "replace") if ready else "setup: hangs"
    finally:
        os.close(status)
    if not report:
        return Started(pid, pidfd)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)
    stage, _, reason = report.partition(": ")
    if stage in ("exec", "cwd"):
        raise RelayError("Spawn", program=program, reason=reason)
    raise RelayError("Enforcement", reason=report)


def _high(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
