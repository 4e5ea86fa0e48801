"""Start a command so that the kernel refuses what would change the machine.

What confines a command must be done in its own process, between fork and exec, and there nothing of
Python's can run at an acceptable price: forking a worker takes milliseconds. So the worker spawns a
small native program (src/native) as it spawns any command, into the call's session and cgroup,
and hands it a plan. The program confines itself step by step and becomes the command. Whatever
cannot be set up stops it before exec, and the reason comes back; nothing runs unenforced.

What the confinement is: see `readonly`.
"""

from __future__ import annotations

import os
import select
import signal
import stat
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..wire.errors import RelayError
from . import landlock, plan, readonly
from .memfile import sealed
from .plan import Account
from .spawn import KEPT, spawn

INSTALLED = "/usr/lib/relay-shell/relay-shell-enforce"
"""Where the package has the native program. Nobody's PATH or environment leads elsewhere."""

SETUP_SECONDS = 10.0
"""Bound for the few calls before exec; a launcher that hangs in them is killed."""


class Command(NamedTuple):
    """What to start.

    Attributes:
        executable: what to execute, from `cwd` on if relative; argv[0] is only its name.
        stdio: descriptors to become 0, 1 and 2 (without `terminal`).
        scratch: a directory of this call alone; the only place that it may write.
        cgroup: descriptor of the call's cgroup directory.
        terminal: path of a pty's slave, as `shell.spawn.spawn` takes it.
        inherit: further descriptors to pass, as the numbers from 3 on.
    """

    argv: Sequence[str]
    executable: str
    env: Mapping[str, str]
    cwd: str
    stdio: tuple[int, int, int]
    scratch: str
    cgroup: int | None = None
    terminal: str | None = None
    inherit: tuple[int, ...] = ()


class Launcher:
    """Starts enforced commands for one worker.

    Args:
        network: leave TCP and UDP open to the command.
        account: required of a root worker, None for an unprivileged one.

    Raises:
        RelayError: kind Enforcement, if this kernel cannot refuse every change, or the native
            program is not what the package installed.
    """

    def __init__(self, *, network: bool = False, account: Account | None = None) -> None:
        if os.geteuid() == 0 and account is None:
            raise RelayError("Enforcement", reason="a root worker needs an account to drop to")
        version = landlock.abi()
        if version < landlock.ABI_SCOPES:
            raise RelayError(
                "Enforcement", reason=f"Landlock ABI {version}, {landlock.ABI_SCOPES} is needed"
            )
        self._program = trusted(program())
        self._network = network
        self._account = account
        try:
            filters = readonly.programs(network=network, metadata=account is not None)
        except OSError as error:
            raise RelayError("Enforcement", reason=f"seccomp: {error}") from None
        self._filters = b"".join(map(plan.seccomp, filters))
        self._limits = plan.limits(readonly.LIMITS)

    def plan(self, command: Command) -> bytes:
        """What the native program is to do.

        Raises:
            RelayError: kind InvalidArguments, for text that no argument or path can hold.
        """
        account = self._account
        directory = plan.directory(command.cwd)
        confinement = [directory]
        if account is not None:
            mounts = plan.mounts(readonly.mounts(command.scratch))
            confinement = [mounts, directory, plan.account(account, readonly.CAPABILITIES)]
        domain = readonly.domain(
            command.scratch,
            network=self._network,
            devices=account is not None,
            terminal=command.terminal,
        )
        confinement.append(plan.landlock(domain))
        return plan.assemble(
            KEPT + len(command.inherit),
            self._limits,
            *confinement,
            self._filters,
            plan.execute(command.executable, command.argv, command.env),
        )

    def start(self, command: Command) -> int:
        """Start one command, confined, and return its pid.

        Raises:
            RelayError: kind Enforcement if confining failed, Spawn if execve(2) did,
                InvalidArguments as `plan`.
            CgroupUnsupported: as `shell.spawn.spawn`; nothing was started.
            OSError: no memory or descriptor is left.
        """
        octets = self.plan(command)
        if len(octets) > plan.MAX:
            raise RelayError("Spawn", program=command.argv[0], reason="Argument list too long")
        steps = sealed(octets)
        try:
            status, report = os.pipe2(os.O_CLOEXEC)
            try:
                pid = self._spawn(command, (*command.inherit, steps, report))
            except BaseException:
                os.close(status)
                raise
            finally:
                os.close(report)
        finally:
            os.close(steps)
        return _await_exec(pid, status, command.argv[0])

    def _spawn(self, command: Command, keep: Sequence[int]) -> int:
        stdin, stdout, stderr = command.stdio
        try:
            return spawn(
                [self._program, str(KEPT + len(command.inherit))],
                # Nothing of the call's: these are for the launcher, the command's are in the plan.
                env={},
                cwd="/",
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                keep=keep,
                terminal=command.terminal,
                cgroup=command.cgroup,
            )
        except RelayError as error:
            raise RelayError("Enforcement", reason=f"launcher: {error.message}") from None


def program() -> str:
    """Path of the native program that belongs to this code: the package's, or the tree's own."""
    above = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if os.path.basename(above) == "src":
        return os.path.join(os.path.dirname(above), "build/native/relay-shell-enforce")
    return INSTALLED


def trusted(path: str) -> str:
    """Return the path of a program that nobody else may have written.

    Raises:
        RelayError: kind Enforcement, if it is missing or could be another's.
    """
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError as error:
        raise RelayError("Enforcement", reason=f"{path}: {error.strerror}") from None
    if (
        not stat.S_ISREG(status.st_mode)
        or status.st_uid not in (0, os.geteuid())
        or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ):
        raise RelayError("Enforcement", reason=f"{path}: others than root may write it")
    return path


def _await_exec(pid: int, status: int, name: str) -> int:
    """Wait until the launcher has become the command, or has failed; closes `status`."""
    ended = select.poll()
    # Not the report but the end of all reports: only exec(2) and exit(2) close the pipe.
    ended.register(status, 0)
    try:
        if ended.poll(SETUP_SECONDS * 1000):
            failed = plan.failure(os.read(status, 512))
        else:
            failed = ("setup", "hangs")
    finally:
        os.close(status)
    if failed is None:
        return pid
    # Not reaped yet, so the number is still its own.
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    stage, reason = failed
    if stage in ("exec", "cwd"):
        raise RelayError("Spawn", program=name, reason=reason)
    raise RelayError("Enforcement", reason=f"{stage}: {reason}")
