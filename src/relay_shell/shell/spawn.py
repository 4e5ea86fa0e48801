"""Start a program by posix_spawn(3): a session and a cgroup of its own, nothing inherited.

Nothing of ours runs between fork and exec, so a worker's size does not matter to the cost and no
lock of the interpreter can be held in the child. `os.posix_spawn` lacks the working directory,
close-from and the cgroup, hence ctypes.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Mapping, Sequence

from ..wire.errors import RelayError

_SETSIGDEF = 0x04
_SETSIGMASK = 0x08
_SETSID = 0x80
_SETCGROUP = 0x100
"""Flags of spawn.h; SETSID since glibc 2.26, SETCGROUP since 2.39."""

_ATTRIBUTES = 512
_ACTIONS = 256
"""Octets set aside for posix_spawnattr_t (336) and posix_spawn_file_actions_t (80)."""

_libc = ctypes.CDLL(None, use_errno=True)
_spawn = _libc.posix_spawn
_adddup2 = _libc.posix_spawn_file_actions_adddup2
_addopen = _libc.posix_spawn_file_actions_addopen
_addclosefrom = _libc.posix_spawn_file_actions_addclosefrom_np
_addchdir = _libc.posix_spawn_file_actions_addchdir_np
_actions_init = _libc.posix_spawn_file_actions_init
_actions_destroy = _libc.posix_spawn_file_actions_destroy
_setcgroup = getattr(_libc, "posix_spawnattr_setcgroup_np", None)

_ENCODING = sys.getfilesystemencoding()
_ERRORS = sys.getfilesystemencodeerrors()

KEPT = 3
"""The descriptor as which a program finds the first that was passed in `keep`."""

_FREE = 16
"""Above every number that a program finds a descriptor as."""


def _attributes(flags: int) -> ctypes.Array[ctypes.c_char]:
    attributes = ctypes.create_string_buffer(_ATTRIBUTES)
    signals = ctypes.create_string_buffer(128)
    _libc.posix_spawnattr_init(attributes)
    # Python ignores SIGPIPE and SIGXFSZ; every signal goes back to its default, none is blocked.
    _libc.posix_spawnattr_setsigmask(attributes, signals)
    # sigfillset(3) leaves out the two signals of glibc's own, which the child would then ignore.
    ctypes.memset(signals, 0xFF, len(signals))
    _libc.posix_spawnattr_setsigdefault(attributes, signals)
    _libc.posix_spawnattr_setflags(attributes, ctypes.c_short(flags))
    return attributes


_PLAIN = _attributes(_SETSIGDEF | _SETSIGMASK | _SETSID)
_GROUPED = None if _setcgroup is None else _attributes(_SETSIGDEF | _SETSIGMASK | _SETSID | 0x100)


_CGROUP_ERRORS = (errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EBUSY, errno.ENODEV)


class CgroupUnsupported(Exception):
    """The kernel, the C library or the unit's system call filter refuses spawning into a cgroup.

    RestrictNamespaces= answers clone3(2) with ENOSYS, which posix_spawn reports as ENOTSUP. The
    other errors can also stem from the program itself; a second try without tells which.

    Args:
        lasting: whether every other spawn into a cgroup will fail too.
    """

    def __init__(self, reason: str, lasting: bool) -> None:
        self.lasting = lasting
        super().__init__(reason)


def can_set_cgroup() -> bool:
    """Tell whether the C library has POSIX_SPAWN_SETCGROUP (glibc 2.39)."""
    return _setcgroup is not None


def find_program(name: str, path: str, cwd: str) -> str:
    """Resolve a program's name as a shell does, in `path` rather than the worker's own PATH.

    Raises:
        RelayError: kind Spawn, if no directory of `path` has an executable of that name.
    """
    if "/" in name:
        return name
    found = ""
    for directory in path.split(":"):
        # An empty element is the current directory (POSIX, XBD 8.3).
        candidate = os.path.join(cwd, directory or ".", name)
        try:
            if stat.S_ISREG(os.stat(candidate).st_mode):
                if os.access(candidate, os.X_OK):
                    return candidate
                found = found or candidate
        except (OSError, ValueError):
            continue
    reason = f"{found} is not executable" if found else f"not found in PATH ({path})"
    raise RelayError("Spawn", program=name, reason=reason)


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    stdin: int = -1,
    stdout: int = -1,
    stderr: int = -1,
    keep: Sequence[int] = (),
    terminal: str | None = None,
    cgroup: int | None = None,
    program: str | None = None,
) -> int:
    """Start a program as leader of a new session and return its pid.

    Args:
        env: the whole environment; its PATH finds argv[0].
        cwd: directory to start in.
        stdin, stdout, stderr: descriptors for the standard streams (without `terminal`).
        keep: further descriptors, which the program finds from `KEPT` on; all others are closed.
        terminal: path of a pty's slave; it becomes the controlling terminal and the three
            standard streams (opened by a session leader without one, termios(3)).
        cgroup: descriptor of a cgroup2 directory in which the program starts.
        program: path of the program; without it, argv[0] is found in PATH.

    Raises:
        RelayError: kind Spawn, with what the kernel said; kind InvalidArguments, for text that
            no argument, variable or path can hold.
        CgroupUnsupported: `cgroup` was given and cannot be used; nothing was started.
    """
    directory = octets(cwd)
    if program is None:
        program = find_program(argv[0], env.get("PATH", ""), cwd)
    pid = ctypes.c_int(0)
    actions = ctypes.create_string_buffer(_ACTIONS)
    attributes = _PLAIN
    if cgroup is not None:
        if _GROUPED is None or _setcgroup is None:
            raise CgroupUnsupported("the C library is older than glibc 2.39", lasting=True)
        attributes = _GROUPED
        _setcgroup(attributes, cgroup)
    words = _vector(argv)
    variables = _vector([f"{name}={value}" for name, value in env.items()])
    moved: list[int] = []
    _actions_init(actions)
    try:
        if terminal is not None:
            _addopen(actions, 0, os.fsencode(terminal), os.O_RDWR, 0)
            _adddup2(actions, 0, 1)
            _adddup2(actions, 0, 2)
        else:
            for source, target in ((stdin, 0), (stdout, 1), (stderr, 2)):
                _adddup2(actions, source, target)
        for target, source in enumerate(keep, KEPT):
            if source < target:
                # An action before this one has put another file in its place.
                moved.append(source := fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _FREE))
            _adddup2(actions, source, target)
        _addclosefrom(actions, KEPT + len(keep))
        _addchdir(actions, directory)
        code = _spawn(ctypes.byref(pid), octets(program), actions, attributes, words, variables)
    finally:
        _actions_destroy(actions)
        for fd in moved:
            os.close(fd)
    if code == 0:
        return pid.value
    if cgroup is not None and code in _CGROUP_ERRORS:
        raise CgroupUnsupported(os.strerror(code), code in (errno.ENOTSUP, errno.ENOSYS))
    raise RelayError("Spawn", program=argv[0], reason=_explain(code, program, cwd))


def octets(text: str) -> bytes:
    """A text as the kernel takes it.

    Raises:
        RelayError: kind InvalidArguments, for text that no argument, variable or path can hold.
    """
    try:
        data = os.fsencode(text)
    except UnicodeEncodeError:
        raise RelayError("InvalidArguments", reason="text is not valid Unicode") from None
    if b"\0" in data:
        raise RelayError("InvalidArguments", reason="text contains a NUL character")
    return data


def _vector(words: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    # All at once: a look at each word for what it cannot hold costs as much as the system call.
    try:
        data = [word.encode(_ENCODING, _ERRORS) for word in words]
    except UnicodeEncodeError:
        raise RelayError("InvalidArguments", reason="text is not valid Unicode") from None
    if b"\0" in b"".join(data):
        raise RelayError("InvalidArguments", reason="text contains a NUL character")
    return (ctypes.c_char_p * (len(data) + 1))(*data, None)


def _explain(code: int, program: str, cwd: str) -> str:
    if not os.path.isdir(cwd):
        return f"{cwd} is not a directory"
    if not os.access(cwd, os.X_OK):
        return f"{cwd} may not be entered"
    if code == errno.E2BIG:
        return "the arguments are too long for the kernel; pass the text to shell_script or stdin"
    if code == errno.ENOENT and os.path.exists(os.path.join(cwd, program)):
        return "the interpreter of its first line or its loader does not exist"
    if code == errno.ENOEXEC:
        return "it is neither a program nor a script with a #! line"
    return os.strerror(code)
