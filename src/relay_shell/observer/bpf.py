"""bpf(2): maps, programs and raw tracepoints, without a library beyond the C library."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator
from typing import NamedTuple

HASH, ARRAY, PERCPU_ARRAY, RINGBUF = 1, 2, 6, 27
"""Types of maps (linux/bpf.h)."""

_MAP_CREATE, _LOOKUP, _UPDATE, _DELETE, _NEXT_KEY, _PROG_LOAD = range(6)
_INFO_BY_FD, _RAW_TRACEPOINT_OPEN = 15, 17
_RAW_TRACEPOINT = 17
"""Type of the programs."""

_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361}
_LICENSE = b"Dual BSD/GPL"
"""What the programs declare to the kernel: some helpers are for such programs only."""

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


class BpfError(OSError):
    """The kernel refused; `log` is the verifier's."""

    log = ""


def _bpf(command: int, attributes: bytes) -> int:
    number = _NUMBERS.get(platform.machine())
    if number is None:
        raise BpfError(errno.ENOSYS, f"no bpf(2) is known for {platform.machine()}")
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), 128))
    done: int = _syscall(
        ctypes.c_long(number), ctypes.c_int(command), buffer, ctypes.c_uint(len(buffer))
    )
    if done < 0:
        code = ctypes.get_errno()
        raise BpfError(code, os.strerror(code))
    return done


def _address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


class Map:
    """One map; keys and values are octets of the sizes given.

    Raises:
        BpfError: the kernel refuses.
    """

    def __init__(self, kind: int, key: int, value: int, entries: int, name: str) -> None:
        self.key = key
        self.value = value
        attributes = struct.pack("=IIIII8x16s", kind, key, value, entries, 0, name.encode())
        self.fd = _bpf(_MAP_CREATE, attributes)
        self._key = ctypes.create_string_buffer(max(key, 1))
        self._value = ctypes.create_string_buffer(max(value, 1))

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None if there is none."""
        self._key.raw = key
        try:
            _bpf(_LOOKUP, self._element())
        except BpfError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return self._value.raw

    def put(self, key: bytes, value: bytes, new: bool = False) -> bool:
        """Set a key's value; False if it was to be new and is not, or the map is full."""
        self._key.raw, self._value.raw = key, value
        try:
            _bpf(_UPDATE, self._element(1 if new else 0))
        except BpfError as error:
            if error.errno in (errno.EEXIST, errno.E2BIG):
                return False
            raise
        return True

    def delete(self, key: bytes) -> None:
        """Forget a key; it need not be there."""
        self._key.raw = key
        try:
            _bpf(_DELETE, struct.pack("=I4xQ", self.fd, _address(self._key)))
        except BpfError as error:
            if error.errno != errno.ENOENT:
                raise

    def keys(self) -> Iterator[bytes]:
        """All keys, as far as they stay while this goes on."""
        last: bytes | None = None
        for _ in range(1 << 20):
            if last is not None:
                self._key.raw = last
            key = 0 if last is None else _address(self._key)
            try:
                _bpf(_NEXT_KEY, struct.pack("=I4xQQ", self.fd, key, _address(self._value)))
            except BpfError as error:
                if error.errno == errno.ENOENT:
                    return
                raise
            last = self._value.raw[: self.key]
            yield last

    def _element(self, flags: int = 0) -> bytes:
        return struct.pack("=I4xQQQ", self.fd, _address(self._key), _address(self._value), flags)

    def close(self) -> None:
        """Release the descriptor; idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Statistics(NamedTuple):
    """Of one program: time in ns and runs, where kernel.bpf_stats_enabled is set, and how often the
    kernel did not run it, because it ran already on that processor."""

    nanoseconds: int
    runs: int
    missed: int


class Program:
    """One program, attached to a raw tracepoint until it is closed.

    Raises:
        BpfError: the kernel refuses it; `log` says why.
    """

    def __init__(self, name: str, code: bytes, tracepoint: str) -> None:
        self.tracepoint = tracepoint
        self._fd = _load(name, code)
        self._link = -1
        try:
            text = ctypes.create_string_buffer(tracepoint.encode())
            self._link = _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("=QI4x", _address(text), self._fd))
        except BaseException:
            self.close()
            raise

    def statistics(self) -> Statistics:
        """What the kernel counts of it."""
        info = ctypes.create_string_buffer(256)
        try:
            _bpf(_INFO_BY_FD, struct.pack("=IIQ", self._fd, len(info), _address(info)))
        except BpfError:
            return Statistics(0, 0, 0)
        # run_time_ns, run_cnt and recursion_misses of bpf_prog_info.
        return Statistics(*struct.unpack_from("=QQQ", info, 192))

    def close(self) -> None:
        """Detach it; idempotent."""
        for fd in (self._link, self._fd):
            if fd >= 0:
                os.close(fd)
        self._link = self._fd = -1


def _load(name: str, code: bytes) -> int:
    instructions = ctypes.create_string_buffer(code, len(code))
    license_ = ctypes.create_string_buffer(_LICENSE)

    def attributes(level: int, log: int, room: int) -> bytes:
        return struct.pack(
            "=IIQQIIQII16s",
            _RAW_TRACEPOINT,
            len(code) // 8,
            _address(instructions),
            _address(license_),
            level,
            room,
            log,
            0,
            0,
            name.encode(),
        )

    try:
        return _bpf(_PROG_LOAD, attributes(0, 0, 0))
    except BpfError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES, errno.E2BIG):
            raise
        room = ctypes.create_string_buffer(1 << 20)
        try:
            return _bpf(_PROG_LOAD, attributes(1, _address(room), len(room)))
        except BpfError as again:
            again.log = room.value.decode("ascii", "replace")[-4000:]
            raise
