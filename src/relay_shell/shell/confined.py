"""Enforced calls as the rest of the worker sees them: scratch, environment, launch, refusals."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pwd
from collections.abc import Mapping, Sequence
from typing import Any

from ..wire.errors import RelayError
from . import children, environment, readonly
from .launcher import Command, Launcher
from .plan import Account
from .querydesk import QueryDesk, directories
from .spawn import KEPT, find_program, spawn

READERS = ("relay-shell-reader", "nobody")
"""Accounts for a root worker's enforced commands; the package creates the first."""

APT = "/usr/lib/relay-shell/apt-readonly.conf"
"""Settings by which apt(8) tells a root worker's reader what it tells root (apt.conf(5))."""

_REFUSALS = tuple(
    os.strerror(number)
    for number in (errno.EPERM, errno.EACCES, errno.EROFS, errno.EAFNOSUPPORT, errno.ENOSYS)
)
_MOST_REFUSALS = 8


class Enforcer:
    """Gives calls what their verdict's enforcement demands.

    Args:
        settings: the worker's, looked at for each call (worker.readonly_network).
    """

    def __init__(self, account: environment.Account, settings: Mapping[str, Any]) -> None:
        self._account = account
        self._settings = settings
        self._launchers: dict[bool, Launcher] = {}

    def confine(self, enforcement: str) -> Confined | None:
        """Return what an enforced call runs in, None where nothing is demanded.

        Raises:
            RelayError: kind Enforcement; the call must not run then.
        """
        if enforcement == "none":
            return None
        if enforcement != "readonly":
            raise RelayError("Enforcement", reason=f"unknown enforcement {enforcement[:32]!r}")
        network = self._settings.get("worker.readonly_network", "off") == "on"
        launcher = self._launchers.get(network)
        if launcher is None:
            # The filters take some milliseconds to build, once.
            launcher = Launcher(network=network, account=_reader())
            self._launchers[network] = launcher
        return Confined(launcher, self._account)


class Confined:
    """One enforced call or session: a scratch directory, a desk for questions, a launcher."""

    def __init__(self, launcher: Launcher, account: environment.Account) -> None:
        self._launcher = launcher
        self._desk: QueryDesk | None = None
        try:
            # Only enforced calls want it, and it costs each start of a worker several milliseconds.
            import tempfile

            self.scratch = tempfile.mkdtemp(prefix="readonly-", dir=account.tmp)
        except OSError as error:
            raise RelayError("Enforcement", reason=f"scratch: {error.strerror}") from None

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """The call's variables, with those that keep readers quiet; the call's own win.

        HOME stays: what a reader finds there (~/.ssh, ~/.kube) is part of the answer.
        """
        given = {name: value for name, value in env.items() if name != "TMPDIR"}
        made = {**readonly.environment(self.scratch), **given}
        if os.geteuid() == 0 and os.path.exists(APT):
            made.setdefault("APT_CONFIG", APT)
        made["PATH"] = ":".join([*directories(), made["PATH"]])
        return made

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdin: int,
        stdout: int,
        stderr: int,
        keep: Sequence[int],
        terminal: str | None,
        cgroup: int | None,
    ) -> int:
        """Start the program, as `shell.spawn.spawn` does, and return its pid.

        Raises:
            RelayError: kinds Enforcement, Spawn and InvalidArguments; nothing runs then.
            CgroupUnsupported: as `shell.spawn.spawn`.
        """
        variables = self.environment(env)
        program = find_program(argv[0], variables["PATH"], cwd)
        if self._desk is not None:
            # The start before this one failed for its cgroup.
            self._desk.close()
        self._desk = QueryDesk(cgroup)
        inherit = (*keep, self._desk.theirs.fileno())
        variables["RELAY_SHELL_DESK"] = str(KEPT - 1 + len(inherit))
        try:
            return self._launcher.start(
                Command(
                    argv,
                    program,
                    variables,
                    cwd,
                    (stdin, stdout, stderr),
                    self.scratch,
                    cgroup,
                    terminal,
                    inherit,
                )
            )
        except OSError as error:
            raise RelayError("Enforcement", reason=str(error)) from None
        finally:
            self._desk.theirs.close()

    def close(self) -> None:
        """Stop answering questions and remove the scratch directory; idempotent."""
        if self._desk is not None:
            self._desk.close()
            self._desk = None
        if self.scratch:
            scratch, self.scratch = self.scratch, ""
            try:
                os.rmdir(scratch)
            except OSError:
                _remove(scratch)


def refusals(stderr: str) -> list[str]:
    """The diagnostics that tell of a refused change or connection, at most a few.

    The texts are strerror(3)'s of what the confinement answers; enforced commands run in an
    English locale.
    """
    found = [
        line.strip()[:300]
        for line in stderr.splitlines()
        if any(text in line for text in _REFUSALS)
    ]
    return found[:_MOST_REFUSALS]


def _reader() -> Account | None:
    if os.geteuid() != 0:
        return None
    for name in READERS:
        with contextlib.suppress(KeyError):
            row = pwd.getpwnam(name)
            return Account(row.pw_uid, row.pw_gid)
    raise RelayError("Enforcement", reason=f"there is no account {READERS[0]}")


def _remove(directory: str) -> None:
    """Remove a tree that a command made, however deep, without holding up the loop."""
    loop = asyncio.get_running_loop()
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        pid = spawn(
            ["rm", "-rf", "--one-file-system", "--", directory],
            env={"PATH": environment.PATH},
            cwd="/",
            stdin=null,
            stdout=null,
            stderr=null,
        )
    except RelayError:
        return
    finally:
        os.close(null)
    children.hold(pid)
    pidfd = os.pidfd_open(pid)

    def ended() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        children.release(pid)

    loop.add_reader(pidfd, ended)
