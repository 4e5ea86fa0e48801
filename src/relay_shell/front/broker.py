"""The link to the broker: kept up, and asked with a bound on the wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..wire.errors import RelayError
from ..wire.link import Link
from ..wire.messages import VERSION

logger = logging.getLogger(__name__)

Body = dict[str, Any]
Dial = Callable[[], Awaitable[socket.socket]]

WAIT = 10.0
"""Seconds for which a call waits for the broker before it is refused."""

_BACKOFF = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class BrokerLink:
    """One link that comes back after every loss.

    Args:
        dial: returns a connected socket.
        on_up: called after each hello, before anything else is asked.
        on_down: called at each loss.
        on_access: an `access` notice's body; on_close: a `close` notice's.
        wait: seconds, see `WAIT`.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        on_up: Callable[[], None],
        on_down: Callable[[], None],
        on_access: Callable[[Body], None],
        on_close: Callable[[Body], None],
        wait: float = WAIT,
    ) -> None:
        self._dial = dial
        self._on_up = on_up
        self._on_down = on_down
        self._notices: dict[str, Callable[[Link, Body], None]] = {
            "access": lambda _, body: on_access(body),
            "close": lambda _, body: on_close(body),
            "front_settings": self._reloaded,
        }
        self.wait = wait
        self.settings: Body = {}
        self.reason = "not connected yet"
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether the broker has said hello and is there."""
        return self._up.is_set()

    def start(self) -> None:
        """Begin to connect, and to reconnect for ever."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def ready(self, wait: float | None = None) -> None:
        """Wait for the broker.

        Raises:
            RelayError: kind BrokerUnavailable, after `wait` seconds (default: the link's).
        """
        if self._up.is_set():
            return
        try:
            async with asyncio.timeout(self.wait if wait is None else wait):
                await self._up.wait()
        except TimeoutError:
            raise RelayError("BrokerUnavailable", reason=self.reason) from None

    async def request_now(self, name: str, body: Body, *, fds: Sequence[int] = ()) -> Body:
        """Ask the broker that is there now; the frame is sent before anything else happens.

        Raises:
            RelayError: what the broker answered, or kind BrokerUnavailable.
        """
        link = self._link
        if link is None or not self.up:
            raise RelayError("BrokerUnavailable", reason=self.reason)
        try:
            return await link.request(name, body, fds=fds, timeout=self.wait)
        except RelayError as error:
            if error.kind != "Protocol":
                raise
            raise RelayError("BrokerUnavailable", reason=error.message) from None

    async def request(self, name: str, body: Body) -> Body:
        """Ask; wait for the broker if it is away, and ask again if it went while asked.

        Raises:
            RelayError: what the broker answered, or kind BrokerUnavailable.
        """
        deadline = asyncio.get_running_loop().time() + self.wait
        while True:
            left = deadline - asyncio.get_running_loop().time()
            await self.ready(max(left, 0.0))
            link = self._link
            assert link is not None
            try:
                return await link.request(name, body, timeout=max(left, 0.05))
            except RelayError as error:
                if error.kind != "Protocol":
                    raise
                if not link.closed:
                    raise RelayError("BrokerUnavailable", reason=error.message) from None
                self.reason = error.message
                # The loss is noticed by the keeper in its own turn.
                await asyncio.sleep(0)

    def notify(self, name: str, body: Body) -> None:
        """Say without an answer; nothing is said while the broker is away."""
        if self._link is not None and not self._link.closed and self.up:
            with contextlib.suppress(RelayError):
                self._link.notify(name, body)

    async def close(self) -> None:
        """End the link for good."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._link is not None:
            link, self._link = self._link, None
            link.close("the front ends")

    async def _keep(self) -> None:
        tries = 0
        while True:
            try:
                await self._connect()
                tries = 0
                await self._lost.wait()
            except (OSError, RelayError) as error:
                self.reason = _reason(error)
                if tries == 0:
                    logger.warning("broker: %s", self.reason)
            await asyncio.sleep(_BACKOFF[min(tries, len(_BACKOFF) - 1)])
            tries += 1

    async def _connect(self) -> None:
        sock = await self._dial()
        self._lost.clear()
        link = Link(sock, "front", "broker", notices=self._notices, on_close=self._closed)
        self._link = link
        try:
            hello = await link.request("hello_front", {"version": VERSION}, timeout=5)
        except BaseException:
            link.close("no hello")
            raise
        self.settings = hello["settings"]
        self._up.set()
        self._on_up()

    def _reloaded(self, link: Link, body: Body) -> None:
        self.settings = body["settings"]

    def _closed(self, link: Link, reason: str) -> None:
        if link is not self._link:
            return
        self.reason = reason
        self._lost.set()
        if self._up.is_set():
            self._up.clear()
            logger.info("broker: %s", reason)
            self._on_down()


def _reason(error: Exception) -> str:
    if isinstance(error, RelayError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
