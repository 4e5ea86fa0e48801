"""What a command might try against its host: each attempt is harmless also where it succeeds.

An attempt returns what it saw, or raises OSError where the kernel refused. Each runs in a child of
its own, since some change the process that makes them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import socket
from collections.abc import Callable
from pathlib import Path

Attempt = Callable[[], str]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
# glibc wraps none of these (asm/unistd_64.h, asm-generic/unistd.h).
_NUMBERS = {
    "x86_64": {"init_module": 175, "settimeofday": 164, "bpf": 321},
    "aarch64": {"init_module": 105, "settimeofday": 170, "bpf": 280},
}
_CLONE_NEWUSER = 0x10000000
_PTRACE_SEIZE = 0x4206
_PR_GET_NO_NEW_PRIVS = 39
_SYSLOG_ACTION_READ_ALL = 3
_NO_COMMAND = 0x12345678
"""None of reboot(2)'s commands; the kernel asks for the capability before it looks."""


def wrapper(name: str, *arguments: object) -> str:
    """Call a function of the C library that returns -1 and errno."""
    return _result(int(getattr(_libc, name)(*arguments)))


def raw(name: str, *arguments: object) -> str:
    """Make a system call that has no wrapper."""
    number = _NUMBERS[platform.machine()][name]
    return _result(int(_libc.syscall(ctypes.c_long(number), *arguments)))


def _result(value: int) -> str:
    if value < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return "done"


def create_in(*directories: str) -> Attempt:
    """Make a file without a name (open(2), O_TMPFILE) in any of the directories."""

    def attempt() -> str:
        error = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        for directory in directories:
            try:
                os.close(os.open(directory, os.O_TMPFILE | os.O_WRONLY, 0o600))
                return f"created a file in {directory}"
            except OSError as refused:
                error = refused
        raise error

    return attempt


def opened(path: str, flags: int = os.O_RDONLY) -> Attempt:
    """Open an existing file, and neither read nor write."""

    def attempt() -> str:
        os.close(os.open(path, flags))
        return f"opened {path}"

    return attempt


def open_for_writing(path: str) -> Attempt:
    """Open an existing file for writing, and write nothing."""
    return opened(path, os.O_WRONLY)


def read(path: str) -> Attempt:
    """Read a file, or list a directory."""

    def attempt() -> str:
        if os.path.isdir(path):
            names = os.listdir(path)
            if not names:
                # What InaccessiblePaths= puts there is an empty directory, which root may list.
                raise FileNotFoundError(errno.ENOENT, "nothing is there to see", path)
            return f"{len(names)} names in {path}"
        with open(path, "rb") as file:
            return f"{len(file.read(4096))} bytes of {path}"

    return attempt


def connect_to(path: str, kind: int) -> Attempt:
    """Connect to a Unix socket."""

    def attempt() -> str:
        with socket.socket(socket.AF_UNIX, kind) as sock:
            sock.connect(path)
        return f"connected to {path}"

    return attempt


def capability(number: int) -> Attempt:
    """Have a capability in the bounding set, from which execve(2) of a root program gains it."""

    def attempt() -> str:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("CapBnd:") and int(line.split()[1], 16) >> number & 1:
                return f"capability {number} can be had"
        raise PermissionError(errno.EPERM, "not in the bounding set")

    return attempt


def any_capability() -> str:
    """Have any capability at all."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    words = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    had = int(words["CapBnd"], 16) | int(words["CapEff"], 16) | int(words["CapAmb"], 16)
    if not had:
        raise PermissionError(errno.EPERM, "all sets are empty")
    return f"capabilities {had:x}"


def gain_by_program() -> str:
    """Gain privilege by a set-user-ID program."""
    if _libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1:
        raise PermissionError(errno.EPERM, "no_new_privs is set")
    return "set-user-ID programs are honoured"


def become_root() -> str:
    """Become root by setresuid(2)."""
    os.setresuid(0, 0, 0)
    return "is root"


def mount() -> str:
    """Mount a file system, on a directory that does not exist and that nobody can make."""
    try:
        return wrapper("mount", b"none", b"/proc/nonexistent", b"tmpfs", ctypes.c_ulong(0), None)
    except FileNotFoundError:
        return "only the directory was missing"


def new_user_namespace() -> str:
    """Become root of a user namespace (unshare(2))."""
    return wrapper("unshare", ctypes.c_int(_CLONE_NEWUSER))


def load_module() -> str:
    """Load a kernel module, an empty one."""
    return _but(("init_module", None, ctypes.c_ulong(0), b""), errno.ENOEXEC, errno.EFAULT)


def load_program() -> str:
    """Load a BPF program, an empty one."""
    attributes = bytes(128)
    return _but(("bpf", ctypes.c_int(5), attributes, ctypes.c_uint(128)), errno.EINVAL, errno.E2BIG)


def _but(call: tuple[object, ...], *late: int) -> str:
    """Make a raw call; errors that come after the permission was given count as success."""
    name, *arguments = call
    try:
        return raw(str(name), *arguments)
    except OSError as error:
        if error.errno in late:
            return "only the argument was wrong"
        raise


def set_clock() -> str:
    """Set the clock, to nothing."""
    return raw("settimeofday", None, None)


def set_hostname() -> str:
    """Set the host's name, to what it is."""
    name = os.uname().nodename.encode()
    return wrapper("sethostname", name, ctypes.c_size_t(len(name)))


def reboot() -> str:
    """Ask for a reboot, with a command that there is not."""
    try:
        return wrapper("reboot", ctypes.c_int(_NO_COMMAND))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return "only the command was wrong"
        raise


def kernel_log() -> str:
    """Read the kernel's log (klogctl(3))."""
    buffer = ctypes.create_string_buffer(4096)
    return wrapper("klogctl", ctypes.c_int(_SYSLOG_ACTION_READ_ALL), buffer, ctypes.c_int(4096))


def raw_packets() -> str:
    """Open a packet socket."""
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    return "has a packet socket"


def internet() -> str:
    """Open a socket of the Internet protocols."""
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    return "has a TCP socket"


def signal_to(pid: int) -> Attempt:
    """Send a process the signal 0, which it never sees."""

    def attempt() -> str:
        os.kill(pid, 0)
        return f"may signal {pid}"

    return attempt


def limit(pid: int) -> Attempt:
    """Set a resource limit of a process to what it is."""

    def attempt() -> str:
        now = resource.prlimit(pid, resource.RLIMIT_CORE)
        resource.prlimit(pid, resource.RLIMIT_CORE, now)
        return f"may set limits of {pid}"

    return attempt


def trace(pid: int) -> Attempt:
    """Trace a process without stopping it (PTRACE_SEIZE); the end of the attempt lets it go."""

    def attempt() -> str:
        return wrapper("ptrace", ctypes.c_long(_PTRACE_SEIZE), ctypes.c_long(pid), None, None)

    return attempt


def exceed(path: str) -> Attempt:
    """Use more than a limit of the own cgroup, which is refused where there is a limit.

    The attempt's OSError has errno ENOENT where the kernel gives no such controller.
    """

    def attempt() -> str:
        limit = Path(path).read_text(encoding="ascii").strip()
        if limit != "max":
            raise OSError(errno.EDQUOT, f"limited to {limit}")
        return f"{path} is max"

    return attempt
