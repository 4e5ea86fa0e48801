"""One client's stream socket: bounded in both directions, and never a reason to wait."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from collections import deque
from collections.abc import Callable

from .lines import Budget, LineReader, Oversized

logger = logging.getLogger(__name__)

READ = 64 * 1024
TURN = 64
"""Lines handled in one turn of the event loop, so that one client's flood delays nobody."""

QUEUE_PAUSE = 1024 * 1024
"""Octets unread by the client beyond which none of its requests is taken."""

QUEUE_MAX = 32 * 1024 * 1024
"""Octets unread by the client beyond which it is dropped: two results of the largest size."""

STALL = 60.0
"""Seconds in which a client with waiting output must take at least one octet."""

FINISH = 2.0
"""Seconds for a client that is let go to take what is queued for it."""


class Channel:
    """A connected AF_UNIX stream socket with newline-delimited messages.

    Args:
        sock: the client's socket; the channel owns it from here on.
        on_line: called with each line, in order.
        on_end: called once when the client has said its last word (it may still read).
        on_close: called once with the reason when the socket is gone.
        limit: octets of one line.
        budget: bound of unfinished lines over all connections; output: bound of what waits to be
            read by all clients, beyond `QUEUE_PAUSE` for each.
        stall: seconds, see `STALL`.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        on_line: Callable[[bytes | Oversized], None],
        on_end: Callable[[], None],
        on_close: Callable[[str], None],
        limit: int,
        budget: Budget,
        output: Budget,
        stall: float = STALL,
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._output = output
        self._taken = 0
        self.closed = False
        self._on_line = on_line
        self._on_end = on_end
        self._on_close = on_close
        self._reader = LineReader(limit, budget)
        self._stall = stall
        self._loop = asyncio.get_running_loop()
        self._lines: deque[bytes | Oversized] = deque()
        self._turning = False
        self._reading = False
        self._ended = False
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        self._progress = False
        self._stalled: asyncio.TimerHandle | None = None
        self._closing: str | None = None

    # ---- in ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to read."""
        if not (self._reading or self._ended or self.closed):
            self._reading = True
            self._loop.add_reader(self.sock, self._readable)

    def _stop(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self.sock)

    def _readable(self) -> None:
        try:
            data = self.sock.recv(READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(f"read: {error.strerror}")
            return
        if data:
            self._lines.extend(self._reader.feed(data))
        else:
            self._ended = True
            self._stop()
            last = self._reader.end()
            if last is not None:
                self._lines.append(last)
        if not self._turning:
            self._turn()

    def _turn(self) -> None:
        self._turning = False
        for _ in range(TURN):
            if not self._lines or self.closed:
                break
            try:
                self._on_line(self._lines.popleft())
            except Exception as error:
                logger.error("a message was not handled: %s", type(error).__name__)
                self.close("internal error")
        if self.closed:
            return
        if self._lines and self._queued <= QUEUE_PAUSE:
            self._turning = True
            self._loop.call_soon(self._turn)
        if self._lines or self._queued > QUEUE_PAUSE:
            self._stop()
        elif self._ended:
            self._on_end()
        else:
            self.start()

    def hung_up(self) -> bool:
        """Whether the client has gone altogether, not only finished writing (poll(2), POLLHUP)."""
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self.sock, 0)
        return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))

    # ---- out -----------------------------------------------------------------------------

    def send(self, data: bytes, *, optional: bool = False) -> None:
        """Queue octets; `optional` ones are dropped while the client lags behind."""
        if self.closed or self._closing is not None:
            return
        if not self._queue:
            try:
                sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self.close(f"write: {error.strerror}")
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.add_writer(self.sock, self._writable)
            self._watch()
        elif optional and self._queued > QUEUE_PAUSE // 4:
            return
        self._queue.append(memoryview(data))
        self._queued += len(data)
        want = self._queued - QUEUE_PAUSE - self._taken
        if self._queued > QUEUE_MAX or (want > 0 and not self._output.take(want)):
            self.close("the client does not read")
        elif want > 0:
            self._taken += want

    def _writable(self) -> None:
        while self._queue:
            piece = self._queue[0]
            try:
                sent = self.sock.send(piece)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self.close(f"write: {error.strerror}")
                return
            self._progress = True
            self._queued -= sent
            spare = min(sent, self._taken)
            self._taken -= spare
            self._output.give(spare)
            if sent < len(piece):
                self._queue[0] = piece[sent:]
                return
            self._queue.popleft()
        self._loop.remove_writer(self.sock)
        self._unwatch()
        if self._closing is not None:
            self.close(self._closing)
        elif not self._turning:
            self._turn()

    def _watch(self) -> None:
        self._progress = False
        self._stalled = self._loop.call_later(self._stall, self._check)

    def _unwatch(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _check(self) -> None:
        if self._progress:
            self._watch()
        else:
            self.close("the client does not read")

    # ---- end -----------------------------------------------------------------------------

    def finish(self, reason: str, within: float = FINISH) -> None:
        """Close once everything queued has been taken, at the latest after `within` seconds."""
        if self.closed or self._closing is not None:
            return
        self._stop()
        self._lines.clear()
        if self._queue:
            self._closing = reason
            self._loop.call_later(within, self.close, reason)
        else:
            self.close(reason)

    def close(self, reason: str) -> None:
        """Close now. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._stop()
        if self._queue:
            self._loop.remove_writer(self.sock)
        self._unwatch()
        self._output.give(self._taken)
        self._taken = 0
        self._queue.clear()
        self._lines.clear()
        self._reader.close()
        self.sock.close()
        self._on_close(reason)
