"""One file read by several processes: each vouches for runs of lines in a range of it, and the
scan that joins them reads for itself whatever none of them vouches for.

What is found does not depend on them. A run is taken only where it begins in the very state that
the scan is in, so that seams are checked like any other two lines; all else, damage included, is
judged by the scan on its own reading, in order.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import selectors
import signal
import struct
from collections.abc import Iterator
from typing import IO, Any, NoReturn

from .chain import link, parse
from .record import MAX_LINE
from .runs import Run, follow
from .scan import Scan, bound, moment, promised

RANGE = 4 * 1024 * 1024
"""Bytes of a range: what one process reads before it says what it found."""

WORTH = 4 * RANGE
"""Bytes from which on other processes are worth their start."""

_CHUNK = 128 * 1024
_SHORT = 16
"""Lines of a run that is not worth naming: it bounds what a range has to say."""

_AHEAD = 8
"""Ranges for each process that are read and not joined yet."""

_TOKEN = struct.Struct("=Q")
_HEAD = struct.Struct("=QQ")

Part = tuple[int, Any]
"""So many bytes, and the run that they are, or None for the scan to read."""


def read(scan: Scan, stream: IO[bytes], jobs: int) -> None:
    """Read a plain file with so many processes; what remains, its end at least, is left to read.

    Raises:
        OSError: the file cannot be read.
    """
    fd = stream.fileno()
    size = os.fstat(fd).st_size
    if size < WORTH:
        return
    edges = list(_edges(fd, size))
    at = 0
    with contextlib.closing(_Team(fd, edges, jobs)) as team:
        for index in range(len(edges) - 1):
            for length, run in team.parts(index):
                if run is None or not scan.take(Run(*run)):
                    stream.seek(at)
                    scan.stream(stream, length)
                at += length
    stream.seek(at)


def _edges(fd: int, size: int) -> Iterator[int]:
    """Where ranges begin and end: always after a line feed. What no line feed ends is in none."""
    edge = 0
    yield edge
    while edge + RANGE <= size:
        at = edge + RANGE
        # A longer line is no record; the range that it is in becomes so much longer.
        while data := os.pread(fd, _CHUNK, at - 1):
            found = data.find(b"\n")
            if found >= 0:
                edge = at + found
                yield edge
                break
            at += len(data)
        else:
            return


class _Team:
    """Child processes that survey ranges; each takes the next one that nobody has."""

    def __init__(self, fd: int, edges: list[int], jobs: int) -> None:
        self._edges = edges
        self._ready: dict[int, list[Part]] = {}
        self._next = 0
        self._selector = selectors.DefaultSelector()
        self._pids: list[int] = []
        source, self._tokens = os.pipe()
        try:
            for _ in range(jobs):
                self._spawn(fd, source)
        finally:
            os.close(source)
        for _ in range(_AHEAD * jobs):
            self._issue()

    def _spawn(self, fd: int, source: int) -> None:
        answers, sink = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            # Fewer do as well.
            os.close(answers)
            os.close(sink)
            return
        if not pid:
            for key in self._selector.get_map().values():
                os.close(key.fd)
            os.close(self._tokens)
            _child(fd, source, sink, self._edges)
        os.close(sink)
        self._pids.append(pid)
        self._selector.register(answers, selectors.EVENT_READ)

    def _issue(self) -> None:
        if self._next < len(self._edges) - 1 and self._tokens >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._tokens, _TOKEN.pack(self._next))
            self._next += 1

    def _dismiss(self) -> None:
        """Let those end who wait for a token."""
        if self._tokens >= 0:
            os.close(self._tokens)
            self._tokens = -1

    def parts(self, index: int) -> list[Part]:
        """What a range consists of; to be asked for in order. If the one who had it has died, it
        is for the scan to read."""
        while index not in self._ready and self._selector.get_map():
            for key, _ in self._selector.select():
                self._receive(key.fd)
        self._issue()
        whole: list[Part] = [(self._edges[index + 1] - self._edges[index], None)]
        return self._ready.pop(index, whole)

    def _receive(self, fd: int) -> None:
        head = _read(fd, _HEAD.size)
        if len(head) == _HEAD.size:
            index, length = _HEAD.unpack(head)
            data = _read(fd, length)
            if len(data) == length:
                # From a child of our own.
                self._ready[index] = marshal.loads(data)  # noqa: S302
                return
        self._selector.unregister(fd)
        os.close(fd)
        # It died, with a range perhaps: the others are not to wait for the tokens after it.
        self._dismiss()

    def close(self) -> None:
        """End the children."""
        self._dismiss()
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _read(fd: int, length: int) -> bytes:
    data = bytearray()
    while len(data) < length and (piece := os.read(fd, min(length - len(data), 1 << 20))):
        data += piece
    return bytes(data)


def _child(fd: int, source: int, sink: int, edges: list[int]) -> NoReturn:
    """Survey ranges until there are no more."""
    status = 1
    try:
        # Nobody but the kernel writes tokens and reads them whole: they are shorter than PIPE_BUF.
        while len(token := os.read(source, _TOKEN.size)) == _TOKEN.size:
            (index,) = _TOKEN.unpack(token)
            start, end = edges[index], edges[index + 1]
            data = marshal.dumps(survey(fd, start, end))
            rest = memoryview(_HEAD.pack(index, len(data)) + data)
            while rest:
                rest = rest[os.write(sink, rest) :]
        status = 0
    finally:
        os._exit(status)


def survey(fd: int, start: int, end: int) -> list[Part]:
    """The runs in a range that begins and ends with a line, and the bytes between them."""
    parts: list[Part] = []
    state = _State()
    rest = b""
    at = start
    while at < end and (chunk := os.pread(fd, min(_CHUNK, end - at), at)):
        at += len(chunk)
        if len(rest) > MAX_LINE and b"\n" not in chunk:
            # No record is as long. It is the scan's to say so.
            _add(parts, len(rest), None)
            rest = chunk
            state.known = False
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        _lines(parts, state, lines)
    if rest:
        _add(parts, len(rest), None)
    return parts


class _State:
    """What a scan knows that has judged the line before, if that was a record as it was written."""

    def __init__(self) -> None:
        self.known = False
        self.seq, self.promise = 0, 0
        self.chain = self.stamp = self.bound = b""

    def learn(self, line: bytes) -> None:
        found = link(line) if len(line) < MAX_LINE else None
        self.known = found is not None
        if found is None:
            return
        self.seq, self.chain = found.seq, found.chain.encode()
        record = parse(line) or {}
        ts = str(record.get("ts", ""))
        now = moment(ts)
        if now is None:
            self.known = False
            return
        self.stamp = ts[:26].encode("ascii", "replace")
        self.bound = bound(now, self.promise)
        promise = promised(record)
        if promise is not None:
            self.promise, self.bound = promise, b""


def _lines(parts: list[Part], state: _State, lines: list[bytes]) -> None:
    at, end = 0, len(lines)
    while at < end:
        if state.known:
            run = follow(lines, at, state.seq, state.chain, state.stamp, state.bound)
            if run is not None:
                state.seq += run.lines
                state.chain, state.stamp = run.last, run.until
                _add(parts, run.size, run)
                at += run.lines
                continue
        state.learn(lines[at])
        _add(parts, len(lines[at]) + 1, None)
        at += 1


def _add(parts: list[Part], length: int, run: Run | None) -> None:
    """Add a part, as one with the part before it where that is of the same kind."""
    if parts:
        before, last = parts[-1]
        if run is None and last is None:
            parts[-1] = (before + length, None)
            return
        if last is not None and run is not None and last[5:7] == (run.chain, run.stamp):
            joined = (*last[:3], last[3] + run.lines, last[4] + run.size, run.last, run.until)
            parts[-1] = (before + length, joined)
            return
        if run is None and last is not None and last[3] < _SHORT:
            # The scan reads so few as fast.
            parts.pop()
            _add(parts, before + length, None)
            return
    parts.append((length, None if run is None else tuple(run)))
