"""The worker's delegated cgroup2 subtree: a group for each call and each session (cgroups(7)).

A group names every process that a command started, also one that called setsid(2) or forked
twice, which no process group or session does.
"""

from __future__ import annotations

import contextlib
import errno
import os

from .iostat import Moved, parse_io

DELEGATED = ("user.delegate", "trusted.delegate")
"""Extended attributes by which systemd marks a delegated cgroup (CGROUP_DELEGATION, systemd)."""


CONTROLLERS = ("memory", "io", "pids")
"""What accounts for each group, beside the processor time that every cgroup knows."""

_KINDS = ("call", "session")


class Groups:
    """A subtree that this process may divide.

    Args:
        base: directory of the delegated cgroup; the worker itself is in it or in a child of it.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self.spawnable = True
        """False once the kernel refused to start a process in a group (see `shell.spawn`)."""

    @classmethod
    def find(cls) -> Groups | None:
        """The subtree delegated to this process (Delegate=), None where there is none."""
        own = _own_cgroup()
        if own is None:
            return None
        # With DelegateSubgroup= the process is in a child of the delegated cgroup.
        for path in (own, os.path.dirname(own)):
            if _delegated(path) and os.access(os.path.join(path, "cgroup.procs"), os.W_OK):
                return cls(path)
        return None

    def account(self) -> None:
        """Have the kernel account for memory, I/O and tasks of each group, as far as it can.

        A controller that was not delegated, or is bound to the first version of cgroups, stays
        away; what the figures of a call come from is said with them.
        """
        try:
            with open(f"{self.base}/cgroup.controllers", encoding="ascii") as file:
                have = file.read().split()
            wanted = " ".join(f"+{name}" for name in CONTROLLERS if name in have)
            if wanted:
                with open(f"{self.base}/cgroup.subtree_control", "w", encoding="ascii") as file:
                    file.write(wanted)
        except OSError:
            # Processes in the base itself (no DelegateSubgroup=) keep controllers out.
            return

    def make(self, name: str) -> Group:
        """Create the group `name`.

        Raises:
            OSError: it exists, the name is none, or the subtree may not be written.
        """
        kind, _, rest = name.partition("-")
        if kind not in _KINDS or not (rest.isascii() and _plain(rest)) or len(rest) > 200:
            # Call ids come from the front, which parses hostile bytes.
            raise OSError(errno.EINVAL, "no name for a group", name)
        path = f"{self.base}/{name}"
        os.mkdir(path, 0o755)
        try:
            return Group(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError:
            os.rmdir(path)
            raise

    def group_of(self, pid: int) -> str | None:
        """Name of the group in which a process is, "" for the base, None if outside or gone."""
        path = _cgroup_of(pid)
        if path is None:
            return None
        if path == self.base:
            return ""
        if not path.startswith(self.base + "/"):
            return None
        return path[len(self.base) + 1 :].split("/", 1)[0]


class Group:
    """One cgroup; `fd` is what a process is started into."""

    __slots__ = ("fd", "path")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self.fd = fd

    def pids(self) -> list[int]:
        """Processes in the group and in groups that its processes made below it."""
        found = _pids(self.fd)
        if self._has_children():
            with _Below(self.fd) as below:
                for _, _, fd in below.found:
                    found += _pids(fd)
        return found

    def kill_at_once(self) -> bool:
        """Write cgroup.kill (Linux 5.14); False where this process may not."""
        try:
            fd = os.open("cgroup.kill", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self.fd)
        except OSError:
            return False
        try:
            os.write(fd, b"1")
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    def cpu_usec(self) -> int | None:
        """CPU time of all that ran in the group, in microseconds."""
        for line in _read(self.fd, "cpu.stat").splitlines():
            if line.startswith(b"usage_usec "):
                return int(line[11:])
        return None

    def memory_peak(self) -> int | None:
        """Most memory charged to the group, in bytes; None without the memory controller."""
        value = _read(self.fd, "memory.peak").strip()
        return int(value) if value.isdigit() else None

    def io(self) -> Moved | None:
        """What the group moved to and from devices; None without the io controller."""
        text = _content(self.fd, "io.stat")
        return None if text is None else parse_io(text)

    def tasks_peak(self) -> int | None:
        """Most tasks in the group at once; None without the pids controller, before Linux 6.6."""
        value = _read(self.fd, "pids.peak").strip()
        return int(value) if value.isdigit() else None

    def remove(self) -> bool:
        """Remove the group and those below it; False while a process is still in one."""
        if self._has_children():
            with _Below(self.fd) as below:
                for parent, name, _ in reversed(below.found):
                    if not _rmdir(name, parent):
                        return False
        if not _rmdir(self.path, None):
            return False
        self.close()
        return True

    def close(self) -> None:
        """Release the descriptor; idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _has_children(self) -> bool:
        try:
            # kernfs counts directories in st_nlink, so the usual group costs no listing.
            return os.fstat(self.fd).st_nlink > 2
        except OSError:
            return False


class _Below:
    """The groups below one, breadth first, as (parent's descriptor, name, descriptor).

    A process may nest groups without end; beyond the bound they are left to the search for
    orphans (`shell.orphans`), which does not follow directories.
    """

    MOST = 256

    def __init__(self, fd: int) -> None:
        self.found: list[tuple[int, str, int]] = []
        at = 0
        parent = fd
        while True:
            for name in _children(parent):
                if len(self.found) >= self.MOST:
                    return
                with contextlib.suppress(OSError):
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                    self.found.append((parent, name, os.open(name, flags, dir_fd=parent)))
            if at >= len(self.found):
                return
            parent = self.found[at][2]
            at += 1

    def __enter__(self) -> _Below:
        return self

    def __exit__(self, *error: object) -> None:
        for _, _, fd in self.found:
            os.close(fd)


def _children(fd: int) -> list[str]:
    try:
        with os.scandir(fd) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _rmdir(path: str, parent: int | None) -> bool:
    try:
        os.rmdir(path, dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _pids(fd: int) -> list[int]:
    # 0 stands for a process outside our pid namespace.
    return [int(pid) for pid in _read(fd, "cgroup.procs").split() if pid != b"0"]


def _read(directory: int, name: str) -> bytes:
    return _content(directory, name) or b""


def _content(directory: int, name: str) -> bytes | None:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return None
    try:
        parts = []
        while part := os.read(fd, 65_536):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return None
    finally:
        os.close(fd)


def _plain(name: str) -> bool:
    return name.replace("-", "").replace(".", "").isalnum()


def _delegated(path: str) -> bool:
    for name in DELEGATED:
        with contextlib.suppress(OSError):
            if os.getxattr(path, name) == b"1":
                return True
    return False


def _mount_point() -> str | None:
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                words = line.split(" ")
                if len(words) > 2 and words[2] == "cgroup2":
                    return words[1]
    except OSError:
        pass
    return None


def _cgroup_of(pid: int | str) -> str | None:
    global _mount  # noqa: PLW0603 - looked up once
    if _mount == "?":
        _mount = _mount_point()
    if _mount is None:
        return None
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                if line.startswith("0::/"):
                    return (_mount + line[3:].rstrip("\n")).rstrip("/")
    except OSError:
        pass
    return None


_mount: str | None = "?"


def _own_cgroup() -> str | None:
    return _cgroup_of("self")
