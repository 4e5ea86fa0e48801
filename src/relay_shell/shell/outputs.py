"""Whole outputs kept for a while, in unlinked files of the private /tmp, found by handle."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..wire.errors import RelayError
from .capture import MOST_OUTPUT
from .redaction import Redaction

if TYPE_CHECKING:
    from .paging import Pages

SHARE = 2
"""One output may take this part of the space (a half), so that it cannot displace all others."""


class Spill:
    """One stream on its way to a file: its beginning as far as there is room, and its tail.

    The file is sparse, so every octet has the offset that it has in the stream.

    Args:
        room: how many of so many octets this stream may still write.
    """

    def __init__(self, fd: int, room: Callable[[Spill, int], int]) -> None:
        self.fd = fd
        self.written = 0
        """Octets kept from the beginning on."""
        self.resume = 0
        """Offset at which kept octets go on; `written` where nothing is missing."""
        self.total = 0
        self.gap_lines = 0
        """Line ends among the octets that were not kept."""
        self.redacted = False
        """Whether secrets were hidden before the octets came here."""
        self._room = room
        self._full = False

    @property
    def kept(self) -> int:
        """Octets on disk."""
        return self.written + max(0, self.total - self.resume)

    def write(self, data: bytes | bytearray) -> None:
        """Append while there is room; what comes later is only counted."""
        if not self._full:
            part = data[: self._room(self, len(data))]
            done = 0
            if part:
                with contextlib.suppress(OSError):
                    done = os.pwrite(self.fd, part, self.written)
            self.written += done
            data = data[done:]
            # The beginning is contiguous: after the first octet without room none is taken.
            self._full = bool(data)
        if data:
            self.gap_lines += data.count(b"\n")

    def finish(self, tail: bytes, total: int) -> None:
        """Put the end of the stream, which is `total` octets long, at its place."""
        self.total = self.resume = total
        start = max(self.written, total - len(tail))
        rest = tail[len(tail) - (total - start) :] if total > start else b""
        if not rest:
            return
        with contextlib.suppress(OSError):
            if os.pwrite(self.fd, rest, start) == len(rest):
                self.resume = start
                self.gap_lines -= rest.count(b"\n")

    def close(self) -> None:
        """Give the file back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class OutputStore:
    """The outputs of one worker, oldest first out.

    Args:
        worker: the worker's id, which ends every handle.
        settings: limits.outputs and limits.outputs_bytes, read at each use.
        directory: where the files are made.
    """

    def __init__(self, worker: str, settings: Mapping[str, Any], directory: str) -> None:
        self._worker = worker
        self._settings = settings
        self._directory = directory
        self._redaction = Redaction(settings)
        self._stored: dict[str, dict[str, Spill]] = {}
        self._open: set[Spill] = set()
        self._next = 1

    def __len__(self) -> int:
        return len(self._stored)

    def spill(self) -> Spill | None:
        """Begin to keep a stream; None where nothing is kept or no file can be made."""
        if self._most() <= 0 or self._settings.get("limits.outputs", 64) <= 0:
            return None
        try:
            fd = temporary(self._directory)
        except OSError:
            return None
        spill = Spill(fd, self._room)
        self._open.add(spill)
        return spill

    def keep(self, streams: dict[str, Spill]) -> str:
        """Keep finished streams of one call and return their handle."""
        self._open.difference_update(streams.values())
        handle = f"o{self._next}.{self._worker}"
        self._next += 1
        self._stored[handle] = streams
        while len(self._stored) > max(1, self._settings.get("limits.outputs", 64)):
            self._evict()
        return handle

    def drop(self, spill: Spill) -> None:
        """Forget a stream that nobody will read."""
        self._open.discard(spill)
        spill.close()

    def get(self, handle: str, stream: str | None) -> Pages:
        """The pages of one stream, by default the one that is longer.

        Raises:
            RelayError: kind NotFound.
        """
        streams = self._stored.get(handle)
        if streams is None:
            raise RelayError(
                "NotFound", reason=f"no output {handle[:64]!r}; older ones make room for new ones"
            )
        if stream is None:
            stream = max(streams, key=lambda name: streams[name].total)
        spill = streams.get(stream)
        if spill is None:
            raise RelayError("NotFound", reason=f"{stream} of {handle} was short: it was shown")
        if self._redaction.on and not spill.redacted:
            # A page of it cannot be redacted by itself: a secret may begin on the one before.
            reason = f"{handle} was kept before redaction.output was switched on; run it again"
            raise RelayError("NotFound", reason=reason)
        from .paging import Pages

        most = min(self._settings.get("limits.output_max", 1 << 20), MOST_OUTPUT)
        return Pages(spill, stream, most, self._redaction.counts)

    def clear(self) -> None:
        """Drop everything."""
        while self._stored:
            self._evict()
        for spill in list(self._open):
            self.drop(spill)

    def _most(self) -> int:
        return int(self._settings.get("limits.outputs_bytes", 64 << 20))

    def _room(self, spill: Spill, wanted: int) -> int:
        most = self._most()
        wanted = min(wanted, most // SHARE - spill.written)
        while self._used() + wanted > most and self._stored:
            self._evict()
        return max(0, min(wanted, most - self._used()))

    def _used(self) -> int:
        stored = sum(s.kept for streams in self._stored.values() for s in streams.values())
        return stored + sum(spill.written for spill in self._open)

    def _evict(self) -> None:
        oldest = next(iter(self._stored))
        for spill in self._stored.pop(oldest).values():
            spill.close()


def temporary(directory: str) -> int:
    """An unlinked file on disk.

    Raises:
        OSError: none can be made there.
    """
    with contextlib.suppress(OSError):
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    # Some file systems have no O_TMPFILE (overlayfs before Linux 6.1, NFS). The tempfile module
    # costs 10 ms at start for the same two calls.
    path = os.path.join(directory, f"relay-shell-{os.urandom(12).hex()}")
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return fd
