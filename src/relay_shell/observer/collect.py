"""From single executions to batches, one for each call that ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from . import layout
from .kernel import Counts

CHUNK, CHUNK_BYTES = 64, 64 * 1024
"""Executions, and octets of their paths and arguments, in one batch at most."""

HOLD = 2.0
"""Seconds that executions of a call that goes on wait for more."""

REFILL = 60.0
"""Seconds after which a session that goes on may have as many executions recorded again."""

SWEEP = 10.0
"""Seconds between two looks for groups that ended without a notice."""

Batch = dict[str, Any]


class Source(Protocol):
    """The kernel's part (`kernel.Kernel`)."""

    def group(self, group: int) -> Counts | None: ...
    def allow(self, group: int, count: int) -> None: ...
    def forget(self, group: int) -> None: ...


@dataclass(slots=True)
class _Group:
    ident: int
    unit: str
    name: str
    late: bool = False
    """Whether it was there before the observer."""
    execs: list[Batch] = field(default_factory=list)
    size: int = 0
    since: float = 0.0
    sent: int = 0
    """Executions handed on."""
    told: int = 0
    """Executions that were accounted for in the last batch."""
    refilled: float = 0.0
    allowed: int = 0
    ended: float = 0.0


class Collector:
    """Collects what the ring brings.

    Args:
        slice_path: cgroup directory of the slice.
        most: executions kept of a call, and of a session in `REFILL` seconds.
        deliver: takes a batch; never waits.
    """

    def __init__(
        self, source: Source, slice_path: str, most: int, deliver: Callable[[Batch], None]
    ) -> None:
        self._source = source
        self._slice = slice_path
        self.most = most
        self._deliver = deliver
        self._groups: dict[int, _Group] = {}
        self._swept = time.monotonic()
        # The kernel counts from boot, a record says the time of day.
        self._boot = 0
        self._set_clock()

    def __len__(self) -> int:
        return len(self._groups)

    def enter(self, group: int, unit: str, name: str) -> None:
        """Know a group that was there before the observer."""
        self._groups[group] = _Group(group, unit, name, late=True)

    def take(self, record: bytes) -> None:
        """Take one record of the ring."""
        kind, _, _, ident = layout.EVENT.unpack_from(record)
        group = self._group(ident)
        if group is None:
            return
        if kind == layout.END:
            self._flush(group, ended=True)
            return
        found, size = self._execution(record)
        if not group.execs:
            group.since = time.monotonic()
        group.execs.append(found)
        group.size += size
        if len(group.execs) >= CHUNK or group.size >= CHUNK_BYTES:
            self._flush(group)

    def tick(self) -> None:
        """Hand on what has waited long enough, and see what has ended; called every second."""
        now = time.monotonic()
        self._set_clock()
        for group in list(self._groups.values()):
            if group.execs and now - group.since >= HOLD:
                self._flush(group)
            if group.name.startswith("session-") and now - group.refilled >= REFILL:
                self._refill(group, now)
        if now - self._swept >= SWEEP:
            self._swept = now
            self.sweep()

    def flush(self) -> None:
        """Hand on everything; the observer ends."""
        for group in list(self._groups.values()):
            self._flush(group)

    def _group(self, ident: int) -> _Group | None:
        group = self._groups.get(ident)
        if group is None:
            found = self._source.group(ident)
            if found is None:
                return None
            group = self._groups[ident] = _Group(ident, found.unit, found.name)
            group.refilled = time.monotonic()
        return group

    def _execution(self, record: bytes) -> tuple[Batch, int]:
        (
            _,
            flags,
            nanoseconds,
            _,
            pid,
            parent,
            uid,
            euid,
            length,
            kept,
            path_length,
            number,
        ) = layout.EXECUTION.unpack_from(record)
        path = record[layout.HEADER : layout.HEADER + max(path_length - 1, 0)]
        start = layout.HEADER + layout.PATH
        words = record[start : start + kept].split(b"\0")
        cut = length > kept
        if not cut and words and not words[-1]:
            words.pop()
        found: Batch = {
            "at": self._moment(nanoseconds),
            "n": number + 1,
            "pid": pid,
            "ppid": parent,
            "uid": uid,
            "path": _text(path),
            "argv": [_text(word) for word in words],
        }
        if euid != uid:
            found["euid"] = euid
        if cut:
            found["cut"] = length
        if flags & layout.UNREADABLE:
            found["unreadable"] = True
        if flags & layout.MOVED:
            found["moved"] = True
        return found, len(path) + kept

    def _moment(self, nanoseconds: int) -> str:
        seconds = (self._boot + nanoseconds) / 1e9
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _set_clock(self) -> None:
        self._boot = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def _flush(self, group: _Group, ended: bool = False) -> None:
        counts = self._source.group(group.ident)
        total = counts.execs if counts else group.sent + len(group.execs)
        if ended and not group.ended:
            group.ended = time.monotonic()
        if not group.execs and total == group.told:
            return
        execs, group.execs, group.size = group.execs, [], 0
        group.sent += len(execs)
        group.told = total
        batch: Batch = {
            "unit": group.unit,
            "group": group.name,
            "execs": execs,
            "total": total,
            "recorded": group.sent,
            "lost": counts.lost if counts else 0,
            "processes": counts.processes if counts else 0,
            "ended": ended,
        }
        if group.late:
            batch["late"] = True
        self._deliver(batch)

    def _refill(self, group: _Group, now: float) -> None:
        counts = self._source.group(group.ident)
        group.refilled = now
        if counts is not None and counts.execs > group.allowed - self.most:
            group.allowed = counts.execs + self.most
            self._source.allow(group.ident, group.allowed)

    def sweep(self, older: float = SWEEP) -> None:
        """Forget the groups whose cgroup is gone; a notice of the end can be lost like any.

        Args:
            older: seconds for which a group that ended is still known.
        """
        now = time.monotonic()
        for group in list(self._groups.values()):
            if os.path.isdir(os.path.join(self._slice, group.unit, group.name)):
                continue
            if group.ended and now - group.ended < older:
                continue
            self._flush(group, ended=True)
            del self._groups[group.ident]
            self._source.forget(group.ident)


def groups_below(slice_path: str) -> Iterator[tuple[int, str, str, list[int]]]:
    """The calls and sessions that run below a slice: group, unit, name, processes."""
    for unit in _directories(slice_path):
        for name in _directories(os.path.join(slice_path, unit)):
            if not name.startswith(("call-", "session-")):
                continue
            path = os.path.join(slice_path, unit, name)
            pids: list[int] = []
            for directory, _, _ in os.walk(path):
                pids += _pids(os.path.join(directory, "cgroup.procs"))
            try:
                yield os.stat(path).st_ino, unit, name, pids
            except OSError:
                continue


def _directories(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _pids(path: str) -> list[int]:
    try:
        with open(path, encoding="ascii") as file:
            return [int(line) for line in file]
    except (OSError, ValueError):
        return []


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
