"""What a call's processes used, and where each figure comes from.

The kernel's own accounting of the call's cgroup says it of all its processes; where a controller is
not delegated, getrusage(2) says it of the main process and of those descendants that were waited
for. Its blocks count what was put into the page cache to be written, which the cgroup is charged
for only when it reaches the device, perhaps after the call: of both the larger is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .cgroup import Group

if TYPE_CHECKING:
    import resource

BLOCK = 512
"""Octets of a block of ru_inblock and ru_oublock."""


class Usage(NamedTuple):
    """Times in milliseconds, sizes in octets; None is not known here."""

    cpu_ms: int | None
    mem_peak: int | None
    io_read: int | None
    io_write: int | None
    io_reads: int | None
    io_writes: int | None
    tasks_peak: int | None
    """Most processes and threads at once."""
    accounting: str | None
    """The source of each figure, as "cpu=cgroup mem=cgroup io=cgroup+rusage tasks=cgroup"."""

    def facts(self) -> dict[str, int | str]:
        """What is known, by the names of the record."""
        return {name: value for name, value in self._asdict().items() if value is not None}


ELSEWHERE = Usage(None, None, None, None, None, None, None, None)
"""What is known of a command that another machine ran."""


def measure(group: Group | None, spent: resource.struct_rusage) -> Usage:
    """Sum up a tree that has ended, before its group goes.

    Args:
        group: the tree's cgroup, None where it has none.
        spent: what wait4(2) said of the main process.
    """
    cpu_ms = round((spent.ru_utime + spent.ru_stime) * 1000)
    peak: int = spent.ru_maxrss * 1024
    # execve(2) counts the memory of the process that called posix_spawn; below that the figure
    # says nothing about the program.
    mem_peak = peak if peak > _own_peak() else None
    read, written = spent.ru_inblock * BLOCK, spent.ru_oublock * BLOCK
    reads = writes = tasks = None
    sources = dict.fromkeys(("cpu", "mem", "io"), "rusage") | {"tasks": "none"}
    if mem_peak is None:
        sources["mem"] = "none"
    if group is not None:
        usec = group.cpu_usec()
        if usec is not None:
            cpu_ms = max(cpu_ms, round(usec / 1000))
            sources["cpu"] = "cgroup"
        if charged := group.memory_peak():
            mem_peak = charged
            sources["mem"] = "cgroup"
        if (moved := group.io()) is not None:
            read, written = max(read, moved.read), max(written, moved.write)
            reads, writes = moved.reads, moved.writes
            sources["io"] = "cgroup+rusage"
        if (tasks := group.tasks_peak()) is not None:
            sources["tasks"] = "cgroup"
    accounting = " ".join(f"{name}={source}" for name, source in sources.items())
    return Usage(cpu_ms, mem_peak, read, written, reads, writes, tasks, accounting)


def _own_peak() -> int:
    # Not at the start of a worker, which is waited for.
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
