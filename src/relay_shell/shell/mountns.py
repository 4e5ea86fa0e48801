"""A root worker's way to read-only: every mount made so, then an account that can only read.

Runs in a child that is already in a mount namespace of its own (clone3(2) with CLONE_NEWNS).
"""

from __future__ import annotations

import ctypes
import os
import struct

_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID = 1, 2
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x4000, 1 << 18
_PR_SET_KEEPCAPS, _PR_CAPBSET_READ, _PR_CAPBSET_DROP = 8, 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 38, 47
_PR_CAP_AMBIENT_RAISE, _PR_CAP_AMBIENT_CLEAR_ALL = 2, 4
_CAPGET, _CAPSET = {"x86_64": (125, 126), "aarch64": (90, 91)}.get(os.uname().machine, (0, 0))
_CAPABILITY_VERSION_3 = 0x20080522

READ_CAPABILITIES = (2, 19, 34)
"""CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE (to look at other processes' /proc entries; ptrace(2) itself
is filtered and /proc is read-only), CAP_SYSLOG."""

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def make_read_only(scratch: str, size: str = "64m") -> None:
    """Make every mount of this namespace read-only, and mount a private tmpfs on scratch.

    Raises:
        OSError: the kernel refused a step; nothing may be run then.
    """
    _check(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "private /")
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID, 0, 0, 0)
    _check(
        _libc.syscall(
            ctypes.c_long(_MOUNT_SETATTR),
            ctypes.c_int(_AT_FDCWD),
            b"/",
            ctypes.c_uint(_AT_RECURSIVE),
            attributes,
            ctypes.c_size_t(len(attributes)),
        ),
        "mount_setattr",
    )
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    options = f"size={size},mode=1777".encode()
    _check(_libc.mount(b"tmpfs", os.fsencode(scratch), b"tmpfs", flags, options), "scratch")


def drop_to(uid: int, gid: int) -> None:
    """Become an account that keeps of root's capabilities only those to read.

    Raises:
        OSError: a step was refused; nothing may be run then.
    """
    keep = [number for number in READ_CAPABILITIES if _bounding(number)]
    number = 0
    while (present := _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0)) >= 0:
        if present and number not in keep:
            _check(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), "bounding set")
        number += 1
    _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient set")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    _check(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")
    os.setresuid(uid, uid, uid)
    keep = [number for number in keep if _permitted() >> number & 1]
    mask = sum(1 << number for number in keep)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = struct.pack("=6I", low, low, low, high, high, high)
    _check(_libc.syscall(ctypes.c_long(_CAPSET), header, data), "capset")
    for number in keep:
        _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0), "ambient set")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _bounding(number: int) -> bool:
    return bool(_libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1)


def _permitted() -> int:
    data = ctypes.create_string_buffer(24)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc.syscall(ctypes.c_long(_CAPGET), header, data), "capget")
    words = struct.unpack("=6I", data.raw)
    return int(words[1] | words[4] << 32)


def _check(result: int, what: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
