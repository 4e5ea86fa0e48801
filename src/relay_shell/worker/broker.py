"""The worker's link to the broker: kept alive over the broker's restarts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..wire.errors import RelayError
from ..wire.link import Link
from ..wire.messages import VERSION

logger = logging.getLogger(__name__)

Body = dict[str, Any]
Dial = Callable[[], Awaitable[socket.socket]]

ANSWER = 30.0
"""Seconds within which the broker answers a hello."""

RETRY = (0.05, 1.0)
"""First and longest pause, in seconds, between two attempts to reach a lost broker."""

NOTES = 1024
"""Notes kept while there is no broker; the oldest go first."""

_FATAL = ("PermissionDenied", "VersionMismatch", "NotFound", "InvalidArguments")


class BrokerLink:
    """Requests to the broker, through as many connections as its restarts need.

    Args:
        dial: connects to the broker's socket; raises OSError.
        running: ids of the calls that run or whose end is still to be told.
        wait: seconds that a request waits for a broker that is away.
        notices: handlers of the broker's notices.
        lost: called with a reason when the broker will not have this worker back.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        running: Callable[[], list[str]],
        wait: Callable[[], float],
        notices: Mapping[str, Callable[[Body], None]],
        lost: Callable[[str], None],
    ) -> None:
        self._dial = dial
        self._running = running
        self._wait = wait
        self._notices = notices
        self._lost = lost
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._worker = self._resume = ""
        self._retrying: asyncio.Task[None] | None = None
        self._notes: deque[tuple[str, Body]] = deque(maxlen=NOTES)
        self._ends: dict[str, Body] = {}
        self._late: set[str] = set()
        """Calls whose end nobody waits to deliver any more; the next connection does."""
        self._flushing: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def undelivered(self) -> list[str]:
        """Calls whose end has not reached the broker yet."""
        return list(self._ends)

    async def hello(self, ticket: str) -> Body:
        """Say hello with a ticket; return what the broker says of this worker.

        Raises:
            RelayError: kind BrokerUnavailable, or what the broker answered.
        """
        try:
            return await self._greet({"version": VERSION, "ticket": ticket})
        except OSError as error:
            raise RelayError("BrokerUnavailable", reason=error.strerror or str(error)) from None

    async def request(self, name: str, body: Body) -> Body:
        """Ask; a request that loses its link is asked anew, as the broker allows for `begin`.

        Raises:
            RelayError: kind BrokerUnavailable after the wait, or what the broker answered.
        """
        deadline = asyncio.get_running_loop().time() + self._wait()
        while True:
            link = await self._available(deadline)
            try:
                return await link.request(name, body)
            except RelayError as error:
                if error.kind != "Protocol" or not link.closed:
                    raise

    async def end(self, body: Body) -> bool:
        """Tell how a call ended; False if that could not be delivered yet (it will be)."""
        self._ends[body["call"]] = body
        try:
            await self.request("end", body)
        except RelayError as error:
            if error.kind == "BrokerUnavailable":
                self._late.add(body["call"])
                return False
            # The broker has it: what it could not write it keeps in memory.
            logger.warning("end of %s: %s", body["call"], error.message)
        self._ends.pop(body["call"], None)
        return True

    def note(self, what: str, call: str, facts: Mapping[str, Any]) -> None:
        """Tell a fact for the record; kept while there is no broker."""
        self.notify("note", {"what": what, "call": call, "facts": dict(facts)}, keep=True)

    def notify(self, name: str, body: Body, *, keep: bool = False) -> None:
        """Say without an answer; dropped while there is no broker unless `keep`."""
        link = self._link
        if link is not None and not link.closed:
            with contextlib.suppress(RelayError):
                link.notify(name, body)
                return
        if keep:
            self._notes.append((name, body))

    async def close(self, timeout: float) -> None:
        """Deliver what is left within `timeout` seconds, then end the link."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._ends and not self._closing:
                    await self._up.wait()
                    await asyncio.sleep(0.01)
        self._closing = True
        for task in (self._retrying, self._flushing):
            if task is not None:
                task.cancel()
        if self._link is not None:
            self._link.close("the worker ends")

    # ---- the connection ------------------------------------------------------------------

    async def _greet(self, body: Body) -> Body:
        sock = await self._dial()
        link = Link(
            sock,
            "worker",
            "broker",
            notices={name: self._noticing(handler) for name, handler in self._notices.items()},
            on_close=self._closed,
        )
        try:
            hello = await link.request("hello_worker", body, timeout=ANSWER)
        except RelayError as error:
            link.close("no hello")
            if error.kind == "Protocol":
                raise RelayError("BrokerUnavailable", reason=error.message) from None
            raise
        self._worker, self._resume = hello["worker"], hello["resume"]
        self._link = link
        if link.closed:
            self._closed(link, "closed after the hello")
            return hello
        self._up.set()
        while self._notes:
            name, note = self._notes.popleft()
            link.notify(name, note)
        if self._late:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())
        return hello

    @staticmethod
    def _noticing(handler: Callable[[Body], None]) -> Callable[[Link, Body], None]:
        return lambda link, body: handler(body)

    async def _available(self, deadline: float) -> Link:
        loop = asyncio.get_running_loop()
        while True:
            link = self._link
            if link is not None and not link.closed and self._up.is_set():
                return link
            left = deadline - loop.time()
            if left <= 0 or self._closing:
                raise RelayError("BrokerUnavailable", reason="it does not answer")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._up.wait()

    def _closed(self, link: Link, reason: str) -> None:
        if self._link is not link:
            return
        self._link = None
        self._up.clear()
        if not self._closing and self._retrying is None:
            logger.info("broker link: %s; reconnecting", reason)
            self._retrying = asyncio.get_running_loop().create_task(self._retry())

    async def _retry(self) -> None:
        pause = RETRY[0]
        while not self._closing and self._link is None:
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY[1])
            body: Body = {
                "version": VERSION,
                "worker": self._worker,
                "resume": self._resume,
                "calls": self._running(),
            }
            try:
                await self._greet(body)
            except OSError:
                continue
            except RelayError as error:
                if error.kind in _FATAL:
                    self._lost(f"the broker refused to have it back: {error.message}")
                    break
        self._retrying = None

    async def _flush(self) -> None:
        """Deliver ends whose first delivery gave up."""
        for call in list(self._late):
            link = self._link
            if link is None:
                return
            try:
                await link.request("end", self._ends[call])
            except RelayError as error:
                if error.kind == "Protocol" and link.closed:
                    return
            self._late.discard(call)
            self._ends.pop(call, None)
