"""Landlock by its three system calls (landlock(7)), through ctypes.

No package of Debian's binds them for Python. A ruleset is made, filled with what stays allowed,
and entered; a process never leaves it, and its children inherit it.
"""

from __future__ import annotations

import ctypes
import enum
import os
import stat
import struct
from typing import NamedTuple

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""The same numbers on every architecture (include/uapi/asm-generic/unistd.h)."""

_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Fs(enum.IntFlag):
    """Access rights to files, LANDLOCK_ACCESS_FS_*."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


class Net(enum.IntFlag):
    """Access rights to TCP ports, LANDLOCK_ACCESS_NET_*."""

    BIND_TCP = 1 << 0
    CONNECT_TCP = 1 << 1


class Scope(enum.IntFlag):
    """What may not cross the domain's border, LANDLOCK_SCOPE_*."""

    ABSTRACT_UNIX_SOCKET = 1 << 0
    SIGNAL = 1 << 1


READ = Fs.EXECUTE | Fs.READ_FILE | Fs.READ_DIR
MAKE = (
    Fs.MAKE_CHAR | Fs.MAKE_DIR | Fs.MAKE_REG | Fs.MAKE_SOCK | Fs.MAKE_FIFO | Fs.MAKE_BLOCK
) | Fs.MAKE_SYM
WRITE = Fs.WRITE_FILE | Fs.TRUNCATE | Fs.REMOVE_DIR | Fs.REMOVE_FILE | Fs.REFER | MAKE
_OF_A_FILE = Fs.EXECUTE | Fs.WRITE_FILE | Fs.READ_FILE | Fs.TRUNCATE | Fs.IOCTL_DEV


class Place(enum.IntEnum):
    """What a rule is about; the launcher treats each in its own way (src/native/plan.h)."""

    REQUIRED = 0
    OPTIONAL = 1
    """A file that may be missing, which leaves fewer rights."""
    SCRATCH = 2
    """A directory, and no symbolic link to one."""


class Rule(NamedTuple):
    """Rights beneath a path."""

    path: str
    rights: Fs
    place: Place = Place.REQUIRED


class Domain(NamedTuple):
    """A ruleset before it is made: what it handles is denied unless a rule allows it."""

    fs: Fs
    net: Net
    scope: Scope
    rules: tuple[Rule, ...]


ABI_SCOPES = 6
"""First ABI with scopes (Linux 6.12, Debian 13's); it has every right named here."""


def abi() -> int:
    """Return the kernel's Landlock ABI version, 0 where there is none or it is switched off."""
    version = _libc.syscall(
        ctypes.c_long(_CREATE_RULESET),
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint32(_CREATE_RULESET_VERSION),
    )
    return max(int(version), 0)


class Ruleset:
    """A ruleset under construction: what it handles is denied unless a rule allows it.

    Raises:
        OSError: the kernel has no Landlock (ENOSYS, EOPNOTSUPP), or not this version of it.
    """

    def __init__(self, *, fs: Fs | int = 0, net: Net | int = 0, scope: Scope | int = 0) -> None:
        attributes = struct.pack("=QQQ", fs, net, scope)
        self._handled = Fs(fs)
        self._fd = _call(
            _CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)
        )

    def allow(self, path: str, rights: Fs) -> bool:
        """Allow rights beneath a path; False if it does not exist or may not be reached."""
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                rights &= _OF_A_FILE
            rights &= self._handled
            if rights:
                rule = struct.pack("=Qi", rights, fd)
                _call(
                    _ADD_RULE,
                    ctypes.c_int(self._fd),
                    ctypes.c_int(_RULE_PATH_BENEATH),
                    rule,
                    ctypes.c_uint32(0),
                )
        finally:
            os.close(fd)
        return True

    def enter(self) -> None:
        """Confine the calling thread and all that it will start, irrevocably.

        Sets no_new_privs, which the kernel demands of an unprivileged caller.
        """
        if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
        _call(_RESTRICT_SELF, ctypes.c_int(self._fd), ctypes.c_uint32(0))

    def close(self) -> None:
        """Release the descriptor; a domain that was entered stays."""
        os.close(self._fd)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock system call {number}: {os.strerror(error)}")
    return result
