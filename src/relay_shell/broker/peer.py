"""What the kernel says about the process at the other end of a unix socket.

SO_PEERCRED and SO_PEERGROUPS (unix(7)) were taken when the peer connected and cannot be forged.
Everything read from /proc belongs to a process id, which another process may have by then:
SO_PEERPIDFD (Linux 6.5) names the process itself, and facts count only if that process still
lives after they were read.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import struct
from typing import NamedTuple

SO_PEERGROUPS = getattr(socket, "SO_PEERGROUPS", 59)
SO_PEERPIDFD = getattr(socket, "SO_PEERPIDFD", 77)
"""asm-generic/socket.h; the same on every architecture that Debian 13 releases for."""

UNSET_LOGINUID = 2**32 - 1

_UNIT = re.compile(
    r"[a-zA-Z0-9:_.\\-]+(@[a-zA-Z0-9:_.\\@-]*)?\.(service|scope|socket|mount|swap|timer|target)"
)


class PeerError(Exception):
    """The peer's identity cannot be established."""


class Facts(NamedTuple):
    """What /proc says of one process at one moment."""

    start: int
    """Clock ticks from boot to the process's start: with the pid, a name never used twice."""
    parent: int
    cgroup: str
    """Path of its cgroup, that of systemd's hierarchy on a hybrid host."""
    unit: str
    """systemd unit that the cgroup belongs to, "" if none."""
    inner: str
    """The part of the cgroup path below the unit."""
    loginuid: int | None


class Peer(NamedTuple):
    """One peer: credentials at the time of its connect, and facts of its process."""

    pid: int
    uid: int
    gid: int
    groups: tuple[int, ...]
    facts: Facts | None
    """None if the process is gone or was never visible here."""

    @property
    def unit(self) -> str:
        return self.facts.unit if self.facts else ""

    @property
    def start(self) -> int:
        return self.facts.start if self.facts else 0

    @property
    def loginuid(self) -> int | None:
        return self.facts.loginuid if self.facts else None


def of(sock: socket.socket) -> Peer:
    """Identify the peer of a connected unix socket.

    Raises:
        PeerError: the socket is no connected unix socket.
    """
    if sock.family != socket.AF_UNIX:
        raise PeerError("not a unix socket")
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid, uid, gid = struct.unpack("iII", raw)
    except OSError as error:
        raise PeerError(f"no credentials: {error.strerror}") from None
    if pid < 0 or uid == UNSET_LOGINUID:
        raise PeerError("the socket is not connected")
    return Peer(pid, uid, gid, _groups(sock), _facts_of(sock, pid))


def open_pidfd(sock: socket.socket, pid: int) -> int:
    """A descriptor of the peer's process, which the caller closes.

    Raises:
        PeerError: the process is gone, or the kernel has no pidfds.
    """
    try:
        fd: int = sock.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
        return fd
    except OSError:
        # Linux before 6.5. The pid may have been reused between connect and now; the callers
        # compare the start time where they have one.
        pass
    if pid <= 0:
        raise PeerError("the peer is outside this process namespace")
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        raise PeerError(f"process {pid} is gone: {error.strerror}") from None


def alive(pidfd: int) -> bool:
    """Whether the process of a pidfd runs still: a pidfd becomes readable at its end."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return not poller.poll(0)


def runs(pid: int, start: int) -> bool:
    """Whether that very process, named by pid and start time, runs still."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return facts(pid).start == start
    return False


def _groups(sock: socket.socket) -> tuple[int, ...]:
    size = 256
    while True:
        try:
            raw = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, size)
        except OSError as error:
            # ERANGE asks for room (NGROUPS_MAX is 65536); a kernel that does not know the option
            # leaves the primary group alone.
            if error.errno != 34 or size > 4 * 65536:
                return ()
            size *= 4
            continue
        return struct.unpack(f"{len(raw) // 4}I", raw)


def _facts_of(sock: socket.socket, pid: int) -> Facts | None:
    if pid <= 0:
        return None
    try:
        pidfd = open_pidfd(sock, pid)
    except PeerError:
        return None
    try:
        found = facts(pid)
        return found if alive(pidfd) else None
    except (OSError, ValueError, IndexError):
        return None
    finally:
        os.close(pidfd)


def facts(pid: int) -> Facts:
    """Read /proc/PID; the caller makes sure that the pid is still the process it means.

    Raises:
        OSError: no such process, or /proc hides it (ProtectProc=).
        ValueError, IndexError: the kernel's format is not the one of proc(5).
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        # The command name may hold spaces and parentheses; the last one closes it.
        stat = file.read().rpartition(b")")[2].split()
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as text:
        cgroup = systemd_cgroup(text.read())
    unit, inner = unit_of(cgroup)
    return Facts(int(stat[19]), int(stat[1]), cgroup, unit, inner, _loginuid(pid))


def _loginuid(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/loginuid", encoding="ascii") as file:
            loginuid = int(file.read())
    except (OSError, ValueError):
        return None
    return None if loginuid == UNSET_LOGINUID else loginuid


def systemd_cgroup(text: str) -> str:
    """The path in systemd's hierarchy, out of /proc/PID/cgroup (cgroups(7)).

    A pure cgroup2 host has the line "0::". A hybrid one has that line as well and
    "name=systemd"; which of the two systemd maintains differs by version, the other is "/".
    """
    found = ""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if (number == "0" and not controllers) or controllers == "name=systemd":
            found = path if len(path) > len(found) else found
    return found


def unit_of(cgroup: str) -> tuple[str, str]:
    """The unit that a cgroup path belongs to, and the path below it.

    It is the first component that is no slice, as in systemd's cg_path_get_unit: what a unit
    with delegation names below itself, a user manager included, is never taken for a unit.
    """
    parts = [part for part in cgroup.split("/") if part]
    for n, part in enumerate(parts):
        # systemd prefixes "_" where a name would look like a control file (cg_escape).
        name = part.removeprefix("_")
        if name.endswith(".slice"):
            continue
        if _UNIT.fullmatch(name) and len(name) < 256:
            return name, "/".join(parts[n + 1 :])
        return "", ""
    return "", ""
