"""seccomp(2) filters, built by libseccomp and loaded by hand.

libseccomp knows every architecture's numbers and writes the BPF; its Python binding cannot
load a program that was exported, so the few calls needed are bound here. A filter is built
once and exported to octets, which the launcher of a command enters (src/native/seccomp.c).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from typing import NamedTuple

ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_ATTR_ACT_BADARCH, _ATTR_CTL_OPTIMIZE = 2, 8
_BINARY_TREE = 2
_NATIVE = 0
_HIGHEST_NUMBER = 1024
"""Above every number that libseccomp resolves; unknown ones get the default action."""


def refuse(error: int) -> int:
    """The action that fails a system call with this errno."""
    return _ERRNO | error


class Compare(NamedTuple):
    """One condition on an argument (scmp_arg_cmp, seccomp_rule_add(3))."""

    argument: int
    operator: int
    a: int
    b: int = 0


def not_equal(argument: int, value: int) -> Compare:
    """All 64 bits are compared."""
    return Compare(argument, 1, value)


def masked(argument: int, mask: int, value: int) -> Compare:
    """Only the bits of the mask count: a 32-bit argument's upper half is the caller's to forge."""
    return Compare(argument, 7, mask, value)


def equal(argument: int, value: int) -> Compare:
    """The lower 32 bits are compared, which is what the kernel sees of an int."""
    return masked(argument, 0xFFFFFFFF, value)


class _ArgCmp(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class Filter:
    """A filter under construction.

    Args:
        default: action for what no rule names.

    Raises:
        OSError: libseccomp is not there or refuses.
    """

    def __init__(self, default: int) -> None:
        self._lib = _library()
        self._context = ctypes.c_void_p(self._lib.seccomp_init(ctypes.c_uint32(default)))
        if not self._context:
            raise OSError(errno.EINVAL, "seccomp_init")
        # The i386 and x32 entries would reach the kernel round this filter's numbers.
        self._set(_ATTR_ACT_BADARCH, refuse(errno.ENOSYS))

    def optimise(self) -> None:
        """Search the rules as a binary tree: a long list costs log n comparisons a call."""
        self._set(_ATTR_CTL_OPTIMIZE, _BINARY_TREE)

    def add(self, action: int, call: str, *compare: Compare) -> None:
        """Add a rule; a call that this architecture does not have is skipped."""
        number = self._lib.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return
        conditions = (_ArgCmp * len(compare))(*(_ArgCmp(*c) for c in compare))
        self._check(
            self._lib.seccomp_rule_add_array(
                self._context,
                ctypes.c_uint32(action),
                number,
                ctypes.c_uint(len(compare)),
                conditions,
            ),
            f"seccomp_rule_add {call}",
        )

    def build(self) -> bytes:
        """Return the BPF program and release the builder."""
        fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        try:
            self._check(self._lib.seccomp_export_bpf(self._context, fd), "seccomp_export_bpf")
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)
            self._lib.seccomp_release(self._context)

    def _set(self, attribute: int, value: int) -> None:
        self._check(
            self._lib.seccomp_attr_set(self._context, attribute, ctypes.c_uint32(value)),
            f"seccomp_attr_set {attribute}",
        )

    @staticmethod
    def _check(result: int, what: str) -> None:
        if result < 0:
            raise OSError(-result, f"{what}: {os.strerror(-result)}")


def known_calls() -> Iterator[str]:
    """Names of every system call of this architecture that libseccomp knows."""
    lib = _library()
    libc = ctypes.CDLL(None)
    libc.free.argtypes = [ctypes.c_void_p]
    native = lib.seccomp_arch_native()
    for number in range(_HIGHEST_NUMBER):
        pointer = lib.seccomp_syscall_resolve_num_arch(ctypes.c_uint32(native), number)
        if pointer:
            name = ctypes.string_at(pointer).decode()
            libc.free(pointer)
            yield name


_loaded: ctypes.CDLL | None = None


def _library() -> ctypes.CDLL:
    global _loaded  # noqa: PLW0603 - loaded at the first enforced call, not at start
    if _loaded is None:
        lib = ctypes.CDLL("libseccomp.so.2")
        lib.seccomp_init.restype = ctypes.c_void_p
        lib.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
        lib.seccomp_arch_native.restype = ctypes.c_uint32
        _loaded = lib
    return _loaded
