"""One connection between two of our processes, on an asyncio loop.

A link knows the role at each end, so it refuses a message that this peer may not say, one that
is not legal before the hello, and a body that the table does not allow; each of these ends the
link, because a peer of ours that errs is either a different version or an intruder.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from .checking import check
from .errors import RelayError
from .frame import PAYLOAD, Decoder, encode
from .messages import LARGE, TABLE

logger = logging.getLogger(__name__)

Body = dict[str, Any]
Reply = Mapping[str, Any]
RequestHandler = Callable[["Link", Body, list[int]], Awaitable[Reply] | Reply]
NoticeHandler = Callable[["Link", Body], None]

MAX_FDS = 4
QUEUE_HIGH = 32 * 1024 * 1024
"""Octets that may wait for a peer that does not read; beyond, the link ends."""

QUEUE_LOW = 256 * 1024
"""Octets below which `drain` returns and an optional notice is still worth queueing."""

IN_FLIGHT = 1024
"""Requests of a peer handled at once; reading stops until some are answered."""

_ANCILLARY = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
# As plain numbers: an operation on the enumerations costs as much as the system call.
_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)
_CUT = int(socket.MSG_TRUNC) | int(socket.MSG_CTRUNC)
LAST_WORDS = 5.0
"""Seconds in which all is read that a peer said before it was gone."""

_BATCH = 64


class Link:
    """A connected SOCK_SEQPACKET socket that speaks the table.

    Args:
        sock: connected socket; the link owns it from here on.
        role: our role; peer: the other end's ("front", "broker", "worker", "operator").
        requests: handlers by message name; each returns the reply's body or raises RelayError.
            One that never waits is a plain function, and is answered in the same turn.
        notices: handlers by message name, called in order of arrival.
        on_close: called once with the link and the reason.
        greeted: True where the hello has already been said on this connection (a stored one).
        limit: octets of the largest frame that this peer has reason to send.
    """

    def __init__(
        self,
        sock: socket.socket,
        role: str,
        peer: str,
        *,
        requests: Mapping[str, RequestHandler] | None = None,
        notices: Mapping[str, NoticeHandler] | None = None,
        on_close: Callable[[Link, str], None] | None = None,
        greeted: bool = False,
        limit: int = LARGE,
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.role = role
        self.peer = peer
        self.context: Any = None
        self.greeted = greeted
        self._requests = requests or {}
        self._notices = notices or {}
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder(limit)
        # Replies to a predecessor's requests may still arrive on a stored connection; ids that it
        # cannot have used keep them from answering ours.
        self._next_id = int.from_bytes(os.urandom(5)) if greeted else 0
        self._waiting: dict[int, tuple[str, asyncio.Future[Body]]] = {}
        self._queue: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._queued = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._fds: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = True
        self._deaf = False
        """Whether the peer hears nothing any more; what it said before is still read."""
        self.closed = False
        self._loop.add_reader(sock, self._readable)

    # ---- saying --------------------------------------------------------------------------

    async def request(
        self, name: str, body: Body | None = None, *, fds: Sequence[int] = (), timeout: float = 0
    ) -> Body:
        """Ask, and return the reply's body.

        Args:
            fds: descriptors to pass; duplicates are sent, the caller keeps its own.
            timeout: seconds, 0 for none.

        Raises:
            RelayError: what the peer answered; Protocol if the link ends first or time runs out.
        """
        self._may_say(name, reply=True)
        self._next_id += 1
        ident = self._next_id
        future: asyncio.Future[Body] = self._loop.create_future()
        self._waiting[ident] = (name, future)
        try:
            self._send({"m": name, "i": ident, "b": body or {}}, fds)
            if not timeout:
                return await future
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise RelayError("Protocol", reason=f"no answer to {name} in {timeout:g} s") from None
        finally:
            self._waiting.pop(ident, None)

    def notify(self, name: str, body: Body | None = None, *, optional: bool = False) -> bool:
        """Say without an answer; an `optional` notice is dropped while the peer reads slowly."""
        self._may_say(name, reply=False)
        if optional and self._queued > QUEUE_LOW:
            return False
        self._send({"m": name, "b": body or {}}, ())
        return True

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was said."""
        await self._drained.wait()

    def _may_say(self, name: str, *, reply: bool) -> None:
        row = TABLE[name]
        if row.sender != self.role or row.receiver != self.peer or (row.reply is not None) != reply:
            raise RelayError("Protocol", reason=f"{self.role} may not say {name} to {self.peer}")
        if self.closed:
            raise RelayError("Protocol", reason=f"the link to the {self.peer} is closed")

    def _send(self, frame: dict[str, Any], fds: Sequence[int]) -> None:
        if self.closed:
            return
        packets = encode(frame)
        # The descriptors ride on the first packet; the queue keeps its own duplicates.
        for n, packet in enumerate(packets):
            passed = tuple(fds) if n == 0 else ()
            if self._queue or not self._write(packet, passed):
                self._enqueue(packet, tuple(os.dup(fd) for fd in passed))
            if self.closed:
                return

    def _write(self, packet: bytes, fds: tuple[int, ...]) -> bool:
        if self._deaf:
            return True
        try:
            if fds:
                socket.send_fds(self.sock, [packet], list(fds))
            else:
                self.sock.send(packet)
        except (BlockingIOError, InterruptedError):
            return False
        except (BrokenPipeError, ConnectionResetError) as error:
            # The kernel keeps what a closed peer had sent: the last words of a killed worker.
            self._deaf = True
            self._loop.call_later(LAST_WORDS, self.close, f"{self.peer} is gone: {error.strerror}")
        except OSError as error:
            self.close(f"{self.peer} is gone: {error.strerror}")
        return True

    def _enqueue(self, packet: bytes, fds: tuple[int, ...]) -> None:
        if not self._queue:
            self._loop.add_writer(self.sock, self._writable)
        self._queue.append((packet, fds))
        self._queued += len(packet)
        if self._queued > QUEUE_LOW:
            self._drained.clear()
        if self._queued > QUEUE_HIGH:
            self.close(f"{self.peer} does not read")

    def _writable(self) -> None:
        while self._queue:
            packet, fds = self._queue[0]
            if not self._write(packet, fds):
                return
            if self.closed:
                return
            self._queue.popleft()
            self._queued -= len(packet)
            _close(fds)
        self._drained.set()
        self._loop.remove_writer(self.sock)

    # ---- hearing -------------------------------------------------------------------------

    def _readable(self) -> None:
        for _ in range(_BATCH):
            if self.closed or not self._reading:
                return
            try:
                packet, ancillary, flags, _ = self.sock.recvmsg(PAYLOAD + 1, _ANCILLARY, _CLOEXEC)
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionResetError:
                # Said once, of a peer that closed with answers unread, and before what it had sent.
                continue
            except OSError as error:
                self.close(f"{self.peer} is gone: {error.strerror}")
                return
            self._take_fds(ancillary)
            if not packet:
                self.close(f"{self.peer} closed the link")
                return
            try:
                if flags & _CUT:
                    raise RelayError("Protocol", reason="oversized packet")
                frame = self._decoder.feed(packet)
                if frame is not None:
                    self._dispatch(frame)
            except RelayError as error:
                logger.warning("%s link: %s", self.peer, error.message)
                self.close(error.message)

    def _take_fds(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
                self._fds.extend(fds)
        if len(self._fds) > MAX_FDS:
            _close(self._fds)
            self._fds = []

    def _dispatch(self, frame: dict[str, Any]) -> None:
        if "r" in frame:
            self._answered(frame)
            return
        name, ident, body = frame.get("m"), frame.get("i"), frame.get("b")
        row = TABLE.get(name) if isinstance(name, str) else None
        if row is None or row.sender != self.peer or row.receiver != self.role:
            raise RelayError("Protocol", reason=f"{self.peer} may not say {str(name)[:64]!r}")
        assert isinstance(name, str)
        if row.hello == self.greeted:
            raise RelayError("Protocol", reason=f"{name} out of phase")
        body = check(name, body, row.body)
        if len(self._fds) != row.fds:
            raise RelayError("Protocol", reason=f"{name} carries {len(self._fds)} descriptors")
        if row.reply is None:
            notice = self._notices.get(name)
            if notice is not None:
                notice(self, body)
            return
        if not isinstance(ident, int) or isinstance(ident, bool):
            raise RelayError("Protocol", reason=f"{name} without an id")
        fds, self._fds = self._fds, []
        try:
            handler = self._requests.get(name)
            if handler is None:
                raise RelayError("Protocol", reason=f"{self.role} does not serve {name}")
            answer = handler(self, body, fds)
            if not isinstance(answer, Awaitable):
                self._reply(name, ident, answer, fds)
                return
        except Exception as error:
            self._reply(name, ident, _failure(name, error), fds)
            return
        task = _start(self._loop, self._serve(name, ident, answer, fds))
        if task.done():
            return
        self._tasks.add(task)
        task.add_done_callback(self._served)
        # Nothing else may be heard until the hello is answered.
        if row.hello or len(self._tasks) >= IN_FLIGHT:
            self._pause()

    async def _serve(self, name: str, ident: int, answer: Awaitable[Reply], fds: list[int]) -> None:
        reply: Reply | RelayError
        try:
            reply = await answer
        except Exception as error:
            reply = _failure(name, error)
        except BaseException:
            _close(fds)
            raise
        self._reply(name, ident, reply, fds)

    def _reply(self, name: str, ident: int, reply: Reply | RelayError, fds: list[int]) -> None:
        # A handler that keeps a descriptor duplicates it.
        _close(fds)
        frame: dict[str, Any] = {"r": ident}
        if isinstance(reply, RelayError):
            frame["e"] = reply.as_wire()
        else:
            frame["b"] = dict(reply)
            self.greeted = self.greeted or TABLE[name].hello
        try:
            self._send(frame, ())
        except RelayError as error:
            self._send({"r": ident, "e": error.as_wire()}, ())

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._reading and not self.closed and len(self._tasks) < IN_FLIGHT:
            self._reading = True
            self._loop.add_reader(self.sock, self._readable)

    def _pause(self) -> None:
        self._reading = False
        self._loop.remove_reader(self.sock)

    def _answered(self, frame: dict[str, Any]) -> None:
        ident = frame.get("r")
        waiting = self._waiting.get(ident) if isinstance(ident, int) else None
        if waiting is None or waiting[1].done():
            return
        name, future = waiting
        if "e" in frame:
            future.set_exception(RelayError.from_wire(frame["e"]))
            return
        reply = TABLE[name].reply
        assert reply is not None
        try:
            future.set_result(check(f"reply to {name}", frame.get("b"), reply))
        except RelayError as error:
            future.set_exception(error)
            raise
        finally:
            if TABLE[name].hello and not future.exception():
                self.greeted = True

    # ---- ending --------------------------------------------------------------------------

    def close(self, reason: str = "closed") -> None:
        """End the link; requests that wait fail with Protocol. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self.sock)
        self._loop.remove_writer(self.sock)
        self.sock.close()
        _close(self._fds)
        self._fds = []
        for _, fds in self._queue:
            _close(fds)
        self._queue.clear()
        self._drained.set()
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(RelayError("Protocol", reason=reason))
        if self._on_close is not None:
            self._on_close(self, reason)


def _start(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    if sys.version_info >= (3, 12):
        # Runs up to the first wait at once; what does not wait costs no turn of the loop.
        return asyncio.Task(work, loop=loop, eager_start=True)
    return loop.create_task(work)


def _failure(name: str, error: Exception) -> RelayError:
    if isinstance(error, RelayError):
        return error
    logger.error("%s failed", name, exc_info=error)
    return RelayError("Internal", reason=type(error).__name__)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
