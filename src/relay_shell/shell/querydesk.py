"""Where an enforced command's questions arrive (see `queries`): one desk a call.

A packet is the argument vector, joined by NUL, with three descriptors: standard output, standard
error, and a pipe on which the answer is awaited, one octet of exit status and a text if it is
refused. What the command may write to it could write to itself: passing descriptors gives nothing.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import grp
import os
import pwd
import shutil
import socket
import stat

from ..wire.errors import RelayError
from . import children
from .hostqueries import OPTIONAL
from .queries import MAX_LENGTH, QUERIES, admit
from .spawn import spawn

HOME = "/usr/lib/relay-shell/query"
DIRECTORIES = {HOME: "", **{f"{HOME}-{name}": name for name in (*OPTIONAL, "docker", "podman")}}
"""Where the package installs the names in `QUERIES`, each a link to relay-shell-query; and which
program must be there for the directory to be used: an agent that looks for docker must not find it
where it is not."""

AT_ONCE = 8
"""Questions of one call that are answered at once; more are refused, not queued."""

_FDS = 3
_STATUS = {"Denied": 77, "Spawn": 127}
_UNAVAILABLE = 69
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_URLIFY": "0",
}


def directories() -> list[str]:
    """The directories to put in front of an enforced command's PATH, of those installed."""
    return [
        path
        for path, program in DIRECTORIES.items()
        if os.path.isdir(path) and (not program or _installed(program))
    ]


class QueryDesk:
    """Answers one enforced call's questions until it is closed.

    Args:
        cgroup: descriptor of the call's cgroup, so that the answering programs end with it.
    """

    def __init__(self, cgroup: int | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._cgroup = cgroup
        self._running: dict[int, tuple[int, int, str]] = {}
        self._socket, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._loop.add_reader(self._socket, self._readable)

    def close(self) -> None:
        """Stop answering and kill what still asks."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self.theirs.close()
        os.close(self._null)
        for pid, (pidfd, reply, _) in self._running.items():
            self._loop.remove_reader(pidfd)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
            os.close(pidfd)
            os.close(reply)
            os.waitpid(pid, 0)
            children.release(pid)
        self._running.clear()

    def _readable(self) -> None:
        try:
            packet, ancillary, flags, _ = self._socket.recvmsg(
                MAX_LENGTH, socket.CMSG_SPACE(8 * 4), socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            packet, ancillary, flags = b"", [], 0
        fds = _descriptors(ancillary)
        try:
            if not packet:
                self._loop.remove_reader(self._socket)
            elif len(fds) == _FDS and not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                self._answer(packet, *fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _answer(self, packet: bytes, stdout: int, stderr: int, reply: int) -> None:
        try:
            argv = admit([os.fsdecode(word) for word in packet.split(b"\0")])
            daemon = QUERIES[argv[0]].daemon
            if daemon and not _installed(argv[0]):
                raise RelayError("Denied", reason=f"{argv[0]} itself is not here")
            if len(self._running) >= AT_ONCE:
                raise RelayError("Busy", reason=f"{AT_ONCE} questions are being answered")
            pid = spawn(
                argv,
                env=_ENVIRONMENT,
                cwd="/",
                stdin=self._null,
                stdout=stdout,
                stderr=stderr,
                cgroup=self._cgroup,
            )
        except RelayError as error:
            _tell(reply, _STATUS.get(error.kind, _UNAVAILABLE), error.message)
            return
        children.hold(pid)
        pidfd = os.pidfd_open(pid)
        self._running[pid] = (pidfd, os.dup(reply), daemon)
        self._loop.add_reader(pidfd, self._ended, pid)

    def _ended(self, pid: int) -> None:
        pidfd, reply, daemon = self._running.pop(pid)
        self._loop.remove_reader(pidfd)
        os.close(pidfd)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        children.release(pid)
        hint = unreachable(daemon) if status and daemon else ""
        _tell(reply, status if status >= 0 else 128 - status, hint)
        os.close(reply)


def _installed(program: str) -> bool:
    """Whether the program is there; one that asks a daemon, itself, not a script in its name that
    does something else with the worker's rights (podman-docker's docker runs podman)."""
    path = shutil.which(program, path=_ENVIRONMENT["PATH"])
    if path is None or not QUERIES[program].daemon:
        return path is not None
    try:
        with open(path, "rb") as file:
            return file.read(2) != b"#!"
    except OSError:
        # It may be run and not be read.
        return True


def names() -> tuple[str, ...]:
    """The programs that have a desk: what the package links into `DIRECTORIES`."""
    return tuple(QUERIES)


def unreachable(path: str) -> str:
    """What is to be done where a daemon's socket is there but not the worker's to open; or ""."""
    try:
        facts = os.stat(path)
    except OSError:
        return ""
    if os.access(path, os.W_OK):
        return ""
    try:
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(facts.st_gid).gr_name
    except KeyError:
        user, group = str(os.geteuid()), str(facts.st_gid)
    hint = f"the account {user} may not open {path}"
    if facts.st_gid and facts.st_mode & stat.S_IWGRP:
        hint += (
            f"; where every agent's mode is readonly, an operator can let it ask, by"
            f" SupplementaryGroups={group} in a drop-in of relay-shell-worker@.service (to a"
            f" command that is not enforced this group gives all of the host)"
        )
    return hint


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _tell(reply: int, status: int, message: str = "") -> None:
    # The pipe is the command's: it may be closed, full, or no pipe at all.
    with contextlib.suppress(OSError):
        os.set_blocking(reply, False)
        os.write(reply, bytes([status & 0xFF]) + message.encode("utf-8", "replace"))
