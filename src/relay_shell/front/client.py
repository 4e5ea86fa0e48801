"""One connected client: its socket, its protocol state, and what the broker says of it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcp.server import Server
from mcp.server.models import InitializationOptions
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp_types import INTERNAL_ERROR

from ..wire.errors import RelayError
from . import jsonrpc
from .broker import BrokerLink
from .catalogue import Catalogue
from .channel import STALL, Channel
from .lines import Budget, Oversized
from .session import Session
from .workers import Pool

logger = logging.getLogger(__name__)

Body = dict[str, Any]

SUBSCRIPTIONS = 16
"""Streams of subscriptions/listen that one connection may have open."""

GRACE = 5.0
"""Seconds for running requests to end after a client closed its side for writing only."""

REFUSED = 2.0
"""Seconds for a refused client to send the message that is answered with the reason."""

REPORT_INTERVAL = 1.0
"""Seconds between two records of malformed lines of one connection; each counts what came."""

_SHORT = 256
_TEXT = 4000


@dataclass(slots=True)
class Shared:
    """What all clients of a front have in common."""

    server: Server[Client]
    options: InitializationOptions
    catalogue: Catalogue
    broker: BrokerLink
    pool: Pool
    budget: Budget
    output: Budget
    limit: int
    """Octets of one message."""
    disabled: list[str]
    """Tool groups that are off for everybody."""
    transport: str = "unix"
    stall: float = STALL
    grace: float = GRACE


class Client:
    """A client's connection from accept to its end.

    Args:
        sock: the accepted socket, owned from here on.
        on_admitted: called when the broker has named the user.
        on_gone: called once when everything about the connection is over.
    """

    def __init__(
        self,
        sock: socket.socket,
        shared: Shared,
        *,
        on_gone: Callable[[Client], None],
        on_admitted: Callable[[], None] = lambda: None,
    ) -> None:
        self._shared = shared
        self._on_gone = on_gone
        self._on_admitted = on_admitted
        self.catalogue = shared.catalogue
        self.pool = shared.pool
        self.conn = ""
        self.principal = ""
        self.user = ""
        self.tools: frozenset[str] = frozenset()
        """Names of the tools that exist for this connection."""
        self.admitted = asyncio.Event()
        self._prepared = False
        self._refusal: RelayError | None = None
        self._said: Body | None = None
        self._ended: str | None = None
        self._over = asyncio.Event()
        self._malformed = 0
        self._listener: ListenHandler | None = None
        self._bus: InMemorySubscriptionBus | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.channel = Channel(
            sock,
            on_line=self._heard,
            on_end=self._half_closed,
            on_close=self._closed,
            limit=shared.limit,
            budget=shared.budget,
            output=shared.output,
            stall=shared.stall,
        )
        self.session = Session(
            shared.server, shared.options, self, self.channel.send, shared.budget
        )

    # ---- admission -----------------------------------------------------------------------

    async def open(self, wait: float = 1.0) -> None:
        """Ask the broker who this is, then read; without an answer in `wait` seconds, read too."""
        self.admit()
        with contextlib.suppress(RelayError):
            await self.ready(wait)
        self.channel.start()

    def admit(self) -> None:
        """Present the client's socket to a broker that has just come up."""
        self.admitted.clear()
        if self._shared.broker.up and not self.channel.closed:
            self._spawn(self._admit())

    def withdraw(self) -> None:
        """The broker is away: nothing that it has said holds until it says it again."""
        self.admitted.clear()

    async def _admit(self) -> None:
        body: Body = {"transport": self._shared.transport}
        if self.conn:
            body["conn"] = self.conn
        if self.channel.closed:
            return
        try:
            # Asked without a wait in between: the number must still be this client's socket.
            reply = await self._shared.broker.request_now(
                "connect", body, fds=[self.channel.sock.fileno()]
            )
        except RelayError as error:
            if error.kind != "BrokerUnavailable":
                self._refuse(error)
            return
        self.conn, self.principal, self.user = reply["conn"], reply["principal"], reply["user"]
        if self._ended is not None:
            await self._disconnect()
            return
        self._grant(reply["groups"])
        self.admitted.set()
        self._on_admitted()
        if self._said is not None:
            self._shared.broker.notify("client", {"conn": self.conn, **self._said})

    def access(self, body: Body) -> None:
        """Take a change of what this connection may do."""
        self._grant(body["groups"])

    def _grant(self, granted: list[Any]) -> None:
        names = [group for group in granted if isinstance(group, str)]
        tools = self.catalogue.visible(names, self._shared.disabled)
        if tools == self.tools:
            return
        self.tools = tools
        if self.session.initialized:
            self.session.notify("notifications/tools/list_changed", None)
        if self._bus is not None:
            self._spawn(self._bus.publish(ToolsListChanged()))

    def _refuse(self, error: RelayError) -> None:
        self._refusal = error
        self.admitted.set()
        if self.conn:
            self.end(error.message)
            return
        self.channel.start()
        # One that says nothing may not keep a place that others could have.
        loop = asyncio.get_running_loop()
        loop.call_later(REFUSED, self.channel.finish, error.message)

    async def ready(self, wait: float | None = None) -> None:
        """Wait until the broker knows this connection.

        Raises:
            RelayError: kind BrokerUnavailable after `wait` seconds, or why it was refused.
        """
        if not self.admitted.is_set():
            broker = self._shared.broker
            try:
                async with asyncio.timeout(broker.wait if wait is None else wait):
                    await self.admitted.wait()
            except TimeoutError:
                raise RelayError("BrokerUnavailable", reason=broker.reason) from None
        if self._refusal is not None:
            raise self._refusal

    def prepare(self) -> None:
        """Have a worker start while the model thinks, once a connection: it has been told the
        tools, which a mere probe does not ask for."""
        if not self._prepared and self.tools and self._ended is None:
            self._prepared = True
            self.pool.prepare(self)

    # ---- what the broker is told -----------------------------------------------------------

    async def identified(self, name: str, version: str, protocol: str) -> None:
        """The client has said what it is; for the record, never for a decision."""
        self._said = {
            "name": name[:_SHORT],
            "version": version[:_SHORT],
            "protocol": protocol[:_SHORT],
        }
        if self.admitted.is_set() and self.conn:
            self._shared.broker.notify("client", {"conn": self.conn, **self._said})

    async def reject(self, what: str, tool: str, detail: str, args: object = None) -> None:
        """Have a refusal recorded before it is answered.

        Raises:
            RelayError: kind BrokerUnavailable, if it cannot be.
        """
        await self.ready()
        body: Body = {"conn": self.conn, "what": what, "detail": detail[:_TEXT]}
        if tool:
            body["tool"] = tool[:_SHORT]
        if args is not None:
            text = json.dumps(args, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            data = text.encode("utf-8", "replace")
            body["sha256"] = hashlib.sha256(data).hexdigest()
            body["length"] = len(data)
        await self._shared.broker.request("rejected", body)

    async def reject_quietly(self, what: str, tool: str, detail: str, args: object = None) -> None:
        """As `reject`, where the answer is the same without a record: nothing could have run."""
        with contextlib.suppress(RelayError):
            await self.reject(what, tool, detail, args)

    async def refused_call(self, reason: str, params: object) -> None:
        """A tools/call whose parameters are not even of the right shape."""
        name = params.get("name") if isinstance(params, dict) else None
        await self.reject_quietly(
            "malformed call", name if isinstance(name, str) else "", reason, params
        )

    async def observe(self, what: str, name: str) -> None:
        """Have a read recorded before it is answered.

        Raises:
            RelayError: kind Denied, or BrokerUnavailable.
        """
        await self.ready()
        reply = await self._shared.broker.request(
            "observe", {"conn": self.conn, "what": what, "name": name[:_TEXT]}
        )
        if not reply["allowed"]:
            raise RelayError("Denied", reason=reply["reason"])

    def malformed(self, reason: str, length: int, sha256: str | None) -> None:
        """Record a malformed line; a flood of them becomes one record an interval."""
        self._malformed += 1
        if self._malformed == 1:
            self._spawn(self._report(reason, length, sha256))

    async def _report(self, reason: str, length: int, sha256: str | None) -> None:
        body: Body = {"what": "malformed message", "detail": reason[:_TEXT], "length": length}
        if sha256 is not None:
            body["sha256"] = sha256
        reported = 1
        while True:
            try:
                await self.ready()
                await self._shared.broker.request("rejected", {"conn": self.conn, **body})
            except RelayError as error:
                if error.kind != "BrokerUnavailable" or self._over.is_set():
                    return
                await self._pause()
                continue
            await self._pause()
            more = self._malformed - reported
            if not more:
                self._malformed = 0
                return
            reported += more
            body = {"what": "malformed message", "detail": f"{more} more malformed messages"}

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REPORT_INTERVAL):
                await self._over.wait()

    # ---- protocol --------------------------------------------------------------------------

    @property
    def listener(self) -> ListenHandler:
        """Serves subscriptions/listen of this connection."""
        if self._listener is None:
            self._bus = InMemorySubscriptionBus()
            self._listener = ListenHandler(
                self._bus, max_subscriptions=SUBSCRIPTIONS, max_buffered_events=64
            )
        return self._listener

    def _heard(self, line: bytes | Oversized) -> None:
        if self._refusal is None:
            self.session.hear(line)
            return
        # The first message is answered with the reason; then there is nothing to talk about.
        ident = None
        if isinstance(line, bytes):
            with contextlib.suppress(jsonrpc.Malformed):
                message = jsonrpc.parse(line)
                ident = message.ident if message is not None else None
        error = self._refusal
        self.channel.send(
            jsonrpc.error(
                ident,
                INTERNAL_ERROR,
                f"{error.kind}: {error.message}",
                {"kind": error.kind, "nextStep": error.next_step},
            )
        )
        self.channel.finish(error.message)

    def _half_closed(self) -> None:
        if self.channel.hung_up():
            self.channel.close("the client left")
        elif self.session.exchanges:
            self._spawn(self._linger())
        else:
            self.channel.finish("the client finished")

    async def _linger(self) -> None:
        # A client that closes its output may still read: what runs gets a moment to end. One that
        # left altogether is noticed by POLLHUP, which no event loop reports after an EOF.
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._shared.grace
        quiet = asyncio.Event()
        self.session.drained = quiet.set
        while self.session.exchanges and loop.time() < deadline and not self.channel.hung_up():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(quiet.wait(), 0.1)
        self.channel.finish("the client finished")

    # ---- end -------------------------------------------------------------------------------

    def end(self, reason: str) -> None:
        """Drop the connection, because the operator or the shutdown says so."""
        self.session.cancel_all(reason)
        self.channel.finish(reason)

    def _closed(self, reason: str) -> None:
        if self._ended is not None:
            return
        self._ended = reason
        self._over.set()
        self.session.cancel_all("the client disconnected")
        self._spawn(self._depart())
        self._on_gone(self)

    async def _depart(self) -> None:
        # The calls are cancelled one by one before the worker is told that nobody is left.
        running = [e.task for e in self.session.exchanges.values() if e.task is not None]
        await asyncio.gather(*running, return_exceptions=True)
        if self.conn:
            self.pool.release(self.conn, self._ended or "")
            await self._disconnect()

    async def _disconnect(self) -> None:
        body = {"conn": self.conn, "reason": (self._ended or "")[:_TEXT]}
        with contextlib.suppress(RelayError):
            await self._shared.broker.request("disconnect", body)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("connection %s", self.conn, exc_info=task.exception())

    async def settle(self) -> None:
        """Wait until what was begun for this connection is done."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))
