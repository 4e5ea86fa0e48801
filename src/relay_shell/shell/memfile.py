"""Data that a program reads from a descriptor: no writer has to be served for it."""

from __future__ import annotations

import fcntl
import os

from .outputs import temporary

PIPE = 65_536
"""Octets that a new pipe takes without blocking (pipe(7))."""

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def readable(data: bytes, directory: str) -> int:
    """A descriptor from which `data` can be read: a pipe, or a file for more than that holds."""
    if len(data) > PIPE:
        return anonymous(data, directory)
    source, sink = os.pipe2(os.O_CLOEXEC)
    try:
        os.set_blocking(sink, False)
        if os.write(sink, data) == len(data):
            return source
    except BlockingIOError:
        # A user over pipe-user-pages-soft gets pipes of one page.
        pass
    finally:
        os.close(sink)
    os.close(source)
    return anonymous(data, directory)


def anonymous(data: bytes, directory: str) -> int:
    """An anonymous file with `data`, sealed where the kernel can, positioned at its start."""
    try:
        fd = _memory()
    except OSError:
        return _filled(temporary(directory), data, seals=0)
    return _filled(fd, data, seals=SEALS)


def sealed(data: bytes) -> int:
    """An anonymous file that nobody can change any more, not even through another descriptor.

    Raises:
        OSError: the kernel has no sealed files, or no memory.
    """
    return _filled(_memory(), data, seals=SEALS)


def _memory() -> int:
    return os.memfd_create("relay-shell", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def _filled(fd: int, data: bytes, *, seals: int) -> int:
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        if seals:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(fd)
        raise
    return fd
