"""The observer's part in the kernel: its maps, its programs, and the ring that they write to."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import struct
import threading
from collections.abc import Iterator
from typing import NamedTuple

from . import btf, layout
from .bpf import ARRAY, HASH, PERCPU_ARRAY, RINGBUF, Map, Program, Statistics
from .layout import GROUP
from .programs import Fds, Programs

RING = 4 * 1024 * 1024
"""Octets of the ring between the kernel and its reader."""

PROCESSES, GROUPS = 32_768, 8192
"""Processes and groups that can be known at once; the slice has TasksMax=8192."""

_BUSY, _DISCARD = 1 << 31, 1 << 30


class Counts(NamedTuple):
    """A group: live processes, processes and executions so far, executions that were lost."""

    live: int
    processes: int
    execs: int
    lost: int
    unit: str
    name: str


class Kernel:
    """Observes what is executed below one slice, until it is closed.

    Args:
        slice_id: id of the slice's cgroup, which is its inode number; 0 for none yet.
        most: executions kept of one group.

    Raises:
        BtfError: the kernel lacks type information.
        BpfError: it refuses a map or a program.
    """

    def __init__(self, slice_id: int, most: int) -> None:
        at = btf.kernel().offsets(layout.MEMBERS)
        self._maps: list[Map] = []
        self._programs: list[Program] = []
        try:
            self.labels = self._map(HASH, 4, 8, PROCESSES, "rs_labels")
            self.groups = self._map(HASH, 8, GROUP.size, GROUPS, "rs_groups")
            self.allowed = self._map(HASH, 8, 8, GROUPS, "rs_allowed")
            self._config = self._map(ARRAY, 4, 8, 3, "rs_config")
            scratch = self._map(PERCPU_ARRAY, 4, layout.SCRATCH, 1, "rs_scratch")
            ring = self._map(RINGBUF, 0, 0, RING, "rs_ring")
            self.slice(slice_id)
            self.most(most)
            fds = Fds(
                labels=self.labels.fd,
                groups=self.groups.fd,
                allowed=self.allowed.fd,
                config=self._config.fd,
                scratch=scratch.fd,
                ring=ring.fd,
            )
            code = Programs(at, fds).all()
            self.ring = Ring(ring.fd)
            for tracepoint, instructions in code.items():
                name = tracepoint.replace("sched_process", "rs")
                self._programs.append(Program(name, instructions, tracepoint))
        except BaseException:
            self.close()
            raise

    def _map(self, kind: int, key: int, value: int, entries: int, name: str) -> Map:
        made = Map(kind, key, value, entries, name)
        self._maps.append(made)
        return made

    def slice(self, ident: int) -> None:
        """Observe below this cgroup from now on."""
        self._config.put(struct.pack("=I", layout.SLICE), struct.pack("=Q", ident))

    def most(self, count: int) -> None:
        """Keep so many executions of each group for which `allow` says nothing else."""
        self._config.put(struct.pack("=I", layout.MOST), struct.pack("=Q", count))

    def allow(self, group: int, count: int) -> None:
        """Keep so many executions of one group, from its first on."""
        self.allowed.put(struct.pack("=Q", group), struct.pack("=Q", count))

    def group(self, group: int) -> Counts | None:
        """What is known of a group, None if nothing."""
        found = self.groups.get(struct.pack("=Q", group))
        if found is None:
            return None
        live, processes, execs, lost, unit, name = GROUP.unpack(found)
        return Counts(live, processes, execs, lost, _text(unit), _text(name))

    def seed(self, group: int, unit: str, name: str, pids: list[int]) -> bool:
        """Enter a group that was there before; False if it is known already."""
        fresh = GROUP.pack(len(pids), len(pids), 0, 0, unit.encode(), name.encode())
        new = self.groups.put(struct.pack("=Q", group), fresh, new=True)
        for pid in pids:
            self.labels.put(struct.pack("=I", pid), struct.pack("=Q", group), new=True)
        return new

    def forget(self, group: int) -> None:
        """Drop a group that has ended."""
        self.groups.delete(struct.pack("=Q", group))
        self.allowed.delete(struct.pack("=Q", group))

    def untracked(self) -> int:
        """Processes that found no room in the tables, and events that the kernel passed over."""
        found = self._config.get(struct.pack("=I", layout.UNTRACKED))
        missed = sum(program.statistics().missed for program in self._programs)
        return missed + (struct.unpack("=Q", found)[0] if found else 0)

    def statistics(self) -> dict[str, Statistics]:
        """What the kernel counts of each program, by tracepoint."""
        return {program.tracepoint: program.statistics() for program in self._programs}

    def close(self) -> None:
        """Observe no more; idempotent."""
        for program in self._programs:
            program.close()
        if hasattr(self, "ring"):
            self.ring.close()
        for each in self._maps:
            each.close()
        self._programs.clear()
        self._maps.clear()


class Ring:
    """The reader's side of a BPF ring buffer (Documentation/bpf/ringbuf.rst)."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        page = mmap.PAGESIZE
        self._control = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        # Behind the producer's page the data is mapped twice, so that no record is cut.
        self._data = mmap.mmap(fd, page + 2 * RING, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._consumer = ctypes.c_uint64.from_buffer(self._control)
        self._page = page
        self._fence = threading.Lock()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait until the kernel says that there is something."""
        return bool(self._poll.poll(seconds * 1000))

    def read(self) -> Iterator[bytes]:
        """What is there; each record is given back to the kernel once the next is asked for."""
        at = self._consumer.value
        while at < self._word(0, "=Q"):
            header = self._page + (at & (RING - 1))
            length = self._word(header, "=I")
            if length & _BUSY:
                return
            # Taking a lock orders the reads of the record after that of its header.
            with self._fence:
                size = length & ~_DISCARD
                record = b""
                if not length & _DISCARD:
                    record = self._data[header + 8 : header + 8 + size]
            at += (8 + size + 7) & ~7
            with self._fence:
                self._consumer.value = at
            if record:
                yield record

    def _word(self, at: int, form: str) -> int:
        return int(struct.unpack_from(form, self._data, at)[0])

    def close(self) -> None:
        """Unmap it; idempotent."""
        if not self._data.closed:
            del self._consumer
            self._control.close()
            self._data.close()


def cgroup_id(path: str) -> int:
    """The kernel's id of a cgroup, 0 if it is not there."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "backslashreplace")
