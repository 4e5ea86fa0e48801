"""One client's protocol state on the kernel of the official SDK, in either era.

The SDK's `ServerRunner` validates, dispatches and shapes every message; what is ours is the loop
around it, because the SDK's own stream loop drops unparseable lines, decides the era on a mere
`server/discover` probe, and answers a raising handler with code 0 and the exception's text.
"""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import anyio
from mcp.server import Server
from mcp.server.connection import Connection, NotifyOnlyOutbound
from mcp.server.models import InitializationOptions
from mcp.server.runner import ServerRunner
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request
from mcp.shared.transport_context import TransportContext
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PROTOCOL_VERSION_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from . import jsonrpc
from .jsonrpc import Json, Malformed, Message, RequestId
from .lines import Budget, Oversized

logger = logging.getLogger(__name__)

REQUESTS = 256
"""Requests of one connection in progress at once; the worker's own limit of calls is lower."""

HELD = 8 * 1024 * 1024
"""Octets of request lines in progress that one connection may hold."""

LEGACY = "legacy"
MODERN = "modern"

_TRANSPORT = TransportContext(kind="unix", can_send_request=False)


class Peer(Protocol):
    """What the session needs from the connection that it serves."""

    async def identified(self, name: str, version: str, protocol: str) -> None:
        """The client has said what it is."""

    def malformed(self, reason: str, length: int, sha256: str | None) -> None:
        """A line that is no message was answered."""

    async def refused_call(self, reason: str, params: object) -> None:
        """A tools/call that is no proper one was refused."""


class Exchange:
    """One request in progress: the SDK's DispatchContext."""

    __slots__ = ("_event", "_session", "cancelled", "ident", "reached", "size", "task", "token")

    transport = _TRANSPORT
    message_metadata = None
    can_send_request = False

    def __init__(self, session: Session, ident: RequestId | None, token: RequestId | None) -> None:
        self._session = session
        self._event: anyio.Event | None = None
        self.ident = ident
        self.token = token
        self.cancelled = False
        self.reached = False
        """Whether the request has come to its handler."""
        self.size = 0
        self.task: asyncio.Task[None] | None = None

    @property
    def request_id(self) -> RequestId | None:
        return self.ident

    @property
    def cancel_requested(self) -> anyio.Event:
        if self._event is None:
            self._event = anyio.Event()
            if self.cancelled:
                self._event.set()
        return self._event

    def cancel(self, reason: str) -> None:
        """End the request; nothing more is said about it."""
        if not self.cancelled:
            self.cancelled = True
            if self._event is not None:
                self._event.set()
            if self.task is not None:
                self.task.cancel(reason)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        if not self.cancelled and self._session.exchanges.get(self.ident) is self:
            self._session.notify(method, params)

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        self.report(progress, message or "")

    def report(self, progress: float, message: str) -> None:
        """Send a progress notification, if the client asked for them and keeps up."""
        if self.token is None or self.cancelled:
            return
        if self._session.exchanges.get(self.ident) is not self:
            return
        params: Json = {"progressToken": self.token, "progress": progress}
        if message:
            params["message"] = message
        self._session.notify("notifications/progress", params, optional=True)


class Outbound:
    """The connection's own channel to the client: notifications, never requests."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        self._session.notify(method, params)


class Session:
    """Protocol state of one connection.

    Args:
        server: the SDK server; every connection shares it.
        options: what `initialize` answers.
        peer: the connection; handlers find it as their lifespan context.
        send: queues octets to the client.
        budget: octets that all connections may hold.
    """

    def __init__(
        self,
        server: Server[Any],
        options: InitializationOptions,
        peer: Peer,
        send: Callable[..., None],
        budget: Budget,
    ) -> None:
        self._server = server
        self._peer = peer
        self._send = send
        self._budget = budget
        self._outbound = Outbound(self)
        self._runner = ServerRunner(
            server, Connection.for_loop(self._outbound), peer, init_options=options
        )
        # Built from the envelope alone, which hardly ever changes from request to request.
        self._modern: tuple[object, ServerRunner[Any]] | None = None
        self._held = 0
        self.era: str | None = None
        self.exchanges: dict[RequestId | None, Exchange] = {}
        self.drained: Callable[[], None] = lambda: None
        """Called when the last request in progress has been answered."""

    # ---- in ------------------------------------------------------------------------------

    def hear(self, line: bytes | Oversized) -> None:
        """Take one line from the client."""
        if isinstance(line, Oversized):
            reason = f"Invalid request: a line of {line.length} bytes is too long"
            self._peer.malformed(reason, line.length, line.sha256)
            self._send(jsonrpc.error(None, INVALID_REQUEST, reason))
            return
        try:
            message = jsonrpc.parse(line)
        except Malformed as fault:
            self._malformed(fault, line)
            return
        if message is None:
            return
        if message.ident is None:
            self._notified(message)
        else:
            self._requested(message, len(line))

    def _malformed(self, fault: Malformed, line: bytes) -> None:
        self._peer.malformed(fault.message, len(line), jsonrpc.digest(line))
        self._send(jsonrpc.error(fault.ident, fault.code, fault.message))

    def _requested(self, message: Message, size: int) -> None:
        refusal = None
        if message.ident in self.exchanges:
            refusal = (INVALID_REQUEST, "Invalid request: this id is in use")
        elif len(self.exchanges) >= REQUESTS:
            refusal = (INTERNAL_ERROR, f"Busy: {REQUESTS} requests are in progress")
        elif self._held + size > HELD or not self._budget.take(size):
            refusal = (INTERNAL_ERROR, "Busy: too many large requests are in progress")
        if refusal is not None:
            self._peer.malformed(refusal[1], size, None)
            self._send(jsonrpc.error(message.ident, *refusal))
            return
        self._held += size
        exchange = Exchange(self, message.ident, _progress_token(message.params))
        exchange.size = size
        self.exchanges[message.ident] = exchange
        exchange.task = asyncio.get_running_loop().create_task(self._serve(exchange, message))
        # A task that is cancelled before its first step runs none of its own clean-up.
        exchange.task.add_done_callback(lambda _: self._finish(exchange))

    async def _serve(self, exchange: Exchange, message: Message) -> None:
        ident = message.ident
        assert ident is not None
        try:
            line = jsonrpc.result(ident, await self._answer(exchange, message))
        except asyncio.CancelledError:
            exchange.cancelled = True
            line = b""
        except MCPError as fault:
            line = jsonrpc.error(ident, fault.error.code, fault.error.message, fault.error.data)
        except ValidationError:
            line = jsonrpc.error(ident, INVALID_PARAMS, "Invalid request parameters")
        except Exception as error:
            logger.error("%r failed: %s", message.method[:64], where(error))
            line = jsonrpc.error(ident, INTERNAL_ERROR, "Internal error")
        self._finish(exchange, line)

    def _finish(self, exchange: Exchange, line: bytes = b"") -> None:
        if self.exchanges.get(exchange.ident) is not exchange:
            return
        del self.exchanges[exchange.ident]
        self._held -= exchange.size
        self._budget.give(exchange.size)
        if line and not exchange.cancelled:
            self._send(line)
        if not self.exchanges:
            self.drained()

    async def _answer(self, exchange: Exchange, message: Message) -> Json:
        method, params = message.method, message.params
        if method == "initialize":
            return await self._initialize(exchange, params)
        try:
            if _has_envelope(params) or self.era == MODERN:
                return await self._answer_modern(exchange, method, params)
            return await self._runner.on_request(exchange, method, params)
        except (MCPError, ValidationError) as fault:
            # The handler records what it refuses; this call never came so far.
            if method == "tools/call" and not exchange.reached:
                await self._peer.refused_call(
                    fault.error.message if isinstance(fault, MCPError) else "malformed parameters",
                    params,
                )
            raise

    async def _initialize(self, exchange: Exchange, params: Json | None) -> Json:
        if self.era == MODERN:
            raise MCPError(
                code=UNSUPPORTED_PROTOCOL_VERSION,
                message="this connection serves 2026-07-28 and takes no initialize any more",
                data={
                    "supported": list(MODERN_PROTOCOL_VERSIONS),
                    "requested": (params or {}).get("protocolVersion"),
                },
            )
        result = await self._runner.on_request(exchange, "initialize", params)
        self.era = LEGACY
        client = self._runner.connection.client_params
        if client is not None:
            info = client.client_info
            version = self._runner.connection.protocol_version
            await self._peer.identified(info.name, info.version, version)
        return result

    async def _answer_modern(self, exchange: Exchange, method: str, params: Json | None) -> Json:
        if self.era == LEGACY:
            raise MCPError(
                code=INVALID_REQUEST,
                message="this connection began with initialize; "
                "requests with the 2026-07-28 envelope are not accepted on it",
            )
        route = classify_inbound_request({"method": method, "params": params})
        if isinstance(route, InboundLadderRejection):
            raise MCPError(code=route.code, message=route.message, data=route.data)
        # A probe decides nothing: clients send server/discover and then initialize
        # (anthropics/claude-code#96183, github/copilot-cli#4525).
        if method != "server/discover" and self.era is None:
            self.era = MODERN
            info = route.client_info if isinstance(route.client_info, dict) else {}
            await self._peer.identified(
                str(info.get("name", "")), str(info.get("version", "")), route.protocol_version
            )
        envelope = (route.protocol_version, route.client_info, route.client_capabilities)
        if self._modern is None or self._modern[0] != envelope:
            connection = Connection.from_envelope(
                *envelope, outbound=NotifyOnlyOutbound(self._outbound)
            )
            self._modern = (envelope, ServerRunner(self._server, connection, self._peer))
        return await self._modern[1].on_request(exchange, method, params)

    def _notified(self, message: Message) -> None:
        if message.method == "notifications/cancelled":
            params = message.params or {}
            exchange = self._find(params.get("requestId"))
            if exchange is not None:
                reason = params.get("reason")
                exchange.cancel(reason if isinstance(reason, str) and reason else "by the client")
        elif message.method == "notifications/initialized" and self.era == LEGACY:
            self._runner.connection.initialized.set()

    def _find(self, ident: object) -> Exchange | None:
        if not jsonrpc.is_id(ident):
            return None
        assert isinstance(ident, (int, str))
        exchange = self.exchanges.get(ident)
        if exchange is None and isinstance(ident, str) and ident.isdecimal() and len(ident) < 20:
            # Some clients cancel request 7 as "7".
            exchange = self.exchanges.get(int(ident))
        return exchange

    # ---- out -----------------------------------------------------------------------------

    def notify(
        self, method: str, params: Mapping[str, Any] | None, *, optional: bool = False
    ) -> None:
        """Queue a notification."""
        line = jsonrpc.notification(method, None if params is None else dict(params))
        self._send(line, optional=optional)

    @property
    def initialized(self) -> bool:
        """Whether a legacy client may be sent notifications of its own connection."""
        return self.era == LEGACY and self._runner.connection.initialized.is_set()

    def cancel_all(self, reason: str) -> None:
        """Cancel every request in progress; none of them is answered."""
        for exchange in list(self.exchanges.values()):
            exchange.cancel(reason)


def where(error: Exception) -> str:
    """Type and place of an error: its text may quote arguments or output, which no log may have."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = [f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in frames]
    return f"{type(error).__name__} at {' > '.join(places)}"


def _has_envelope(params: Json | None) -> bool:
    meta = params.get("_meta") if params else None
    return isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta


def _progress_token(params: Json | None) -> RequestId | None:
    meta = params.get("_meta") if params else None
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    return token if jsonrpc.is_id(token) else None
