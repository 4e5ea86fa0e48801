"""What a session shows and takes, sent to the broker as it happens, in bounded memory.

The worker never holds a recording: its commands have its account. It sends numbered events and the
broker writes them; what was not answered is sent again, to the next broker too.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from ..wire.errors import RelayError
from . import prompts

logger = logging.getLogger(__name__)

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]

QUEUE = 1024 * 1024
"""Octets that wait for the broker; with more, the session is held up, and then a gap is marked."""

BATCH = 128 * 1024
"""Octets sent at once."""

MOST = 1024
"""Events sent at once."""

JOIN = 16 * 1024
"""Octets up to which output that comes together becomes one event."""

TOGETHER = 0.005
DELAY = 0.05
"""Seconds that a short batch waits for more."""

RETRY = 0.5
"""Seconds between two attempts to have events written."""

GIVE_UP = 30.0
"""Seconds after a session's end in which what cannot be written is tried again."""

COST = 96
"""Octets that an event takes beside its text."""

_LATER = ("BrokerUnavailable", "EvidenceUnavailable", "Busy")


class _Event:
    __slots__ = ("code", "data", "time")

    def __init__(self, time: float, code: str, data: bytes) -> None:
        self.time = time
        self.code = code
        self.data = data

    def as_wire(self) -> list[Any]:
        try:
            return [self.time, self.code, self.data.decode()]
        except UnicodeDecodeError:
            raw = base64.b64encode(self.data).decode()
            return [self.time, self.code, self.data.decode("utf-8", "replace"), raw]


class Recorder:
    """The recording of one session.

    Args:
        ask: sends a request to the broker.
        ident: what the broker calls the recording.
        typed: whether what is typed is recorded, not only marked.
        wait: seconds for which a session is held up that writes faster than it is recorded.
    """

    def __init__(self, ask: Ask, ident: str, *, typed: bool, wait: float) -> None:
        self._ask = ask
        self._ident = ident
        self._typed = typed
        self._wait = wait
        self._holding: asyncio.TimerHandle | None = None
        self._pause: Callable[[], None] = lambda: None
        self._resume: Callable[[], None] = lambda: None
        self._master = -1
        self._recent = b""
        """The last output as it came, in which a prompt is looked for."""
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._queue: deque[_Event] = deque()
        self._size = 0
        self._sent = 0
        """Events that the broker has written."""
        self._tail = b""
        self._dropping = self._over = self._lost = self._unwritable = False
        self._gap = 0
        self.dropped = 0
        """Octets of output that are not in the recording."""
        self.masked = 0
        """How often something typed was masked."""
        self._last: dict[str, Any] | None = None
        self._until = float("inf")
        self._task: asyncio.Task[None] | None = None

    @property
    def done(self) -> bool:
        """Whether all there will be is with the broker, or lost."""
        return self._task is None or self._task.done()

    def begin(
        self, call_id: str, master: int, pause: Callable[[], None], resume: Callable[[], None]
    ) -> None:
        """The program runs.

        Args:
            master: its terminal's.
            pause, resume: let its output wait, and read on.
        """
        self._master, self._pause, self._resume = master, pause, resume
        self.mark(call_id)

    def came(self, data: bytes) -> bool:
        """The session read this; whether it is held up from here on."""
        self._recent = (self._recent + data)[-prompts.LINE :]
        if self._size <= QUEUE or self._dropping or self._lost or self._last is not None:
            return False
        if self._holding is None:
            self._pause()
            self._holding = self._loop.call_later(self._wait, self._waited)
        return True

    def _waited(self) -> None:
        # Long enough: what comes is left out until there is room.
        self._dropping = True
        self._release()

    def _release(self) -> None:
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None
            if self._last is None:
                self._resume()

    # ---- events --------------------------------------------------------------------------

    def output(self, data: bytes) -> None:
        """The session has written; characters stay whole."""
        if not data:
            return
        if self._dropping or self._over or self._lost:
            self._drop(data)
            return
        data = self._tail + data
        cut = _whole(data)
        self._tail = data[cut:]
        if cut:
            self._add("o", data[:cut])

    def typing(self, call_id: str, data: bytes) -> None:
        """A call is about to type."""
        self.mark(call_id)
        if not self._typed:
            return
        if prompts.secret(self._master, self._recent):
            self.masked += 1
            data = prompts.masked(data)
        self._add("i", data)

    def resize(self, rows: int, columns: int) -> None:
        """The terminal has another size."""
        self._add("r", f"{columns}x{rows}".encode())

    def mark(self, text: str) -> None:
        """Which call acts."""
        self._add("m", text.encode("utf-8", "replace"))

    def finish(self, reason: str, status: int | None) -> None:
        """The session has ended; what waits is still sent."""
        if self._last is not None:
            return
        self._release()
        if self._tail:
            tail, self._tail = self._tail, b""
            self._add("o", tail)
        self._note_gap()
        self._last = {"reason": reason[:4096]}
        self._until = self._loop.time() + GIVE_UP
        if status is not None:
            self._last["exit"] = status
        self._wake()

    async def flushed(self, timeout: float) -> bool:
        """Wait until everything has been written; False if it takes longer than `timeout` s."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await asyncio.shield(self._task)
        return self.done

    def cancel(self) -> None:
        """Give up what was not written."""
        if self._task is not None:
            self._task.cancel()

    def _drop(self, data: bytes) -> None:
        lost = len(self._tail) + len(data)
        self._tail = b""
        self.dropped += lost
        if not self._over:
            self._gap += lost

    def _note_gap(self) -> None:
        if self._gap:
            gap, self._gap = self._gap, 0
            self._put("g", str(gap).encode())

    def _add(self, code: str, data: bytes) -> None:
        if self._lost or (self._dropping and self._size > 2 * QUEUE):
            # Even what is no output has its bound.
            return
        if not self._dropping:
            self._note_gap()
        self._put(code, data)

    def _put(self, code: str, data: bytes) -> None:
        now = round(self._loop.time() - self._start, 6)
        last = self._queue[-1] if self._queue else None
        if (
            last is not None
            and code == last.code == "o"
            and now - last.time < TOGETHER
            and len(last.data) + len(data) <= JOIN
        ):
            last.data += data
            self._size += len(data)
        else:
            self._queue.append(_Event(now, code, data))
            self._size += len(data) + COST
        self._wake()

    # ---- sending -------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._send())

    async def _send(self) -> None:
        while not self._lost:
            if self._queue:
                if self._size < BATCH and self._last is None:
                    await asyncio.sleep(DELAY)
                await self._batch()
            elif self._last is not None:
                body = {
                    "recording": self._ident,
                    "first": self._sent,
                    "dropped": self.dropped,
                    "masked": self.masked,
                    **self._last,
                }
                if await self._tell("record_close", body) is not None:
                    return
            else:
                return

    async def _batch(self) -> None:
        # Taken out of the queue, so that nothing joins what is on its way.
        taken: list[_Event] = []
        size = 0
        while self._queue and len(taken) < MOST and (not taken or size < BATCH):
            event = self._queue.popleft()
            taken.append(event)
            size += len(event.data) + COST
        body = {
            "recording": self._ident,
            "first": self._sent,
            "events": [event.as_wire() for event in taken],
        }
        reply: Mapping[str, Any] | None = None
        while reply is None and not self._lost:
            reply = await self._tell("record", body)
            if reply is None and self._unwritable and self._loop.time() > self._until:
                # The numbers tell the broker that events are missing.
                self.dropped += sum(len(event.data) for event in taken if event.code == "o")
                break
        self._size -= size
        self._sent += len(taken)
        if reply is not None and not reply["more"]:
            self._over = True
        if self._size <= QUEUE // 2:
            self._dropping = False
            self._release()

    async def _tell(self, name: str, body: dict[str, Any]) -> Mapping[str, Any] | None:
        """The answer; None where it must be asked again."""
        try:
            return await self._ask(name, body)
        except RelayError as error:
            if error.kind in _LATER:
                self._unwritable = error.kind != "BrokerUnavailable"
                await asyncio.sleep(RETRY)
                return None
            logger.error("recording %s is lost: %s", self._ident, error.message)
        except Exception:
            logger.exception("recording %s is lost", self._ident)
        self._lost = True
        self._queue.clear()
        self._release()
        return None


def _whole(data: bytes) -> int:
    """Length without a character of UTF-8 that the end cuts off (RFC 3629)."""
    for back in range(1, min(3, len(data)) + 1):
        octet = data[-back]
        if octet & 0xC0 == 0x80:
            continue
        need = 2 if octet & 0xE0 == 0xC0 else 3 if octet & 0xF0 == 0xE0 else 4
        if octet < 0xC0 or octet > 0xF4 or back >= need:
            return len(data)
        return len(data) - back
    return len(data)


async def open_recorder(
    ask: Ask | None, body: Mapping[str, Any], wait: float
) -> tuple[Recorder | None, str]:
    """Ask the broker for a recording; return it, and how sessions are recorded.

    Raises:
        RelayError: the session must not start without a recording, and there can be none.
    """
    if ask is None:
        return None, "off"
    asked = asyncio.ensure_future(ask("record_open", dict(body)))
    try:
        # Which does not cancel what it waits for.
        await asyncio.wait([asked])
    except asyncio.CancelledError:
        # The broker begins it all the same, and keeps it open until it is told otherwise.
        asked.add_done_callback(partial(_unwanted, ask))
        raise
    reply = asked.result()
    if not reply["recording"]:
        return None, str(reply["mode"])
    mode = str(reply["mode"])
    typed = mode == "full"
    return Recorder(ask, str(reply["recording"]), typed=typed, wait=wait), mode


def _unwanted(ask: Ask, asked: asyncio.Future[dict[str, Any]]) -> None:
    if not asked.cancelled() and asked.exception() is None and asked.result()["recording"]:
        ident = str(asked.result()["recording"])
        Recorder(ask, ident, typed=False, wait=0).finish("not started", None)
