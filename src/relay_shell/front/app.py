"""The front as one object: listeners, clients, the broker, the workers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from mcp_types import INTERNAL_ERROR

from ..config.table import FRONT, TABLE
from ..tools.base import Tool
from ..wire.errors import RelayError
from . import jsonrpc
from .broker import WAIT, BrokerLink, Dial
from .catalogue import Catalogue
from .channel import STALL
from .client import GRACE, Client, Shared
from .lines import Budget
from .server import build
from .warm import warm
from .workers import Pool, Store

logger = logging.getLogger(__name__)

BUDGET = 96 * 1024 * 1024
"""Octets of unfinished lines and of requests in progress, over all connections."""

OUTPUT = 192 * 1024 * 1024
"""Octets that wait to be read by clients, over all connections; the unit has 1 GiB of memory."""

ACCEPTS = 64
"""Connections accepted in one turn of the event loop."""

DEFAULTS = {row.name: row.default for row in TABLE.values() if FRONT in row.audience}
"""What holds until the broker has sent the settings in force."""


class Front:
    """Serves MCP clients on any number of listeners.

    Args:
        tools: the registry.
        broker: dials the broker; worker: dials a new worker.
        store: systemd's fd store, if there is one.
        restored: name and socket of each worker link that the store gave back.
        wait: seconds that a call waits for the broker.
        stall, grace: see `channel.STALL` and `client.GRACE`.
        transport: what the broker is told of how clients connect.
        spares: whether workers are started ahead of need, as the setting says.
    """

    def __init__(
        self,
        tools: Mapping[str, Tool],
        *,
        broker: Dial,
        worker: Callable[[], Awaitable[socket.socket]],
        store: Store | None = None,
        restored: Iterable[tuple[str, socket.socket]] = (),
        wait: float = WAIT,
        stall: float = STALL,
        grace: float = GRACE,
        transport: str = "unix",
        spares: bool = True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners: list[socket.socket] = []
        self._clients: set[Client] = set()
        self._ending: set[Client] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._restored = list(restored)
        self.broker = BrokerLink(
            broker,
            on_up=self._broker_up,
            on_down=self._broker_down,
            on_access=self._access,
            on_close=self._close,
            wait=wait,
        )
        self.pool = Pool(
            worker,
            self.broker.request,
            store,
            # A worker's unit wants the broker's socket: a spare would undo its stop.
            spares=lambda: self.setting("worker.spare") if spares and self.broker.up else 0,
        )
        server, options = build()
        self._shared = Shared(
            server=server,
            options=options,
            catalogue=Catalogue(tools),
            broker=self.broker,
            pool=self.pool,
            budget=Budget(BUDGET),
            output=Budget(OUTPUT),
            limit=DEFAULTS["limits.message"],
            disabled=[],
            stall=stall,
            grace=grace,
            transport=transport,
        )
        self.idle = asyncio.Event()
        """Set while there is no client."""
        self.idle.set()
        self.changed: Callable[[], None] = lambda: None
        """Called when a client comes or goes."""

    # ---- life ----------------------------------------------------------------------------

    async def start(self, wait: float = 1.0) -> None:
        """Connect to the broker; go on without it after `wait` seconds, and keep trying."""
        await warm(self._shared)
        self.broker.start()
        with contextlib.suppress(RelayError):
            await self.broker.ready(wait)

    def listen(self, sock: socket.socket) -> None:
        """Accept clients on a listening stream socket, owned from here on."""
        sock.setblocking(False)
        self._listeners.append(sock)
        self._loop.add_reader(sock, self._acceptable, sock)

    def unlisten(self) -> None:
        """Accept no more; who connects now waits for the next front."""
        for sock in self._listeners:
            self._loop.remove_reader(sock)
            sock.close()
        self._listeners.clear()

    async def stop(self, reason: str, wait: float = 3.0) -> None:
        """End every connection, say so to broker and workers, and close all links."""
        self.unlisten()
        for client in list(self._clients):
            client.end(reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                for client in list(self._clients | self._ending):
                    await client.settle()
                while self._clients:
                    await asyncio.sleep(0.02)
        for client in list(self._clients):
            client.channel.close(reason)
        await asyncio.sleep(0)
        self.pool.close()
        await self.broker.close()

    # ---- clients -------------------------------------------------------------------------

    def setting(self, name: str) -> Any:
        """A setting as the broker sent it, else its default."""
        return self.broker.settings.get(name, DEFAULTS[name])

    @property
    def clients(self) -> int:
        """Connected clients."""
        return len(self._clients)

    def users(self) -> Counter[str]:
        """Connected clients by user."""
        return Counter(client.user or "?" for client in self._clients)

    def _acceptable(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                # The backlog stays readable; without a pause the loop would spin on it.
                logger.error("accept: %s", error.strerror)
                self._loop.remove_reader(listener)
                self._loop.call_later(0.2, self._resume, listener)
                return
            self.accept(sock)

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._acceptable, listener)

    def accept(self, sock: socket.socket) -> Client | None:
        """Serve one connected client; None if there are too many."""
        limit = self.setting("limits.connections")
        if len(self._clients) >= limit:
            refusal = RelayError("Busy", reason=f"{limit} clients are connected")
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                sock.send(jsonrpc.error(None, INTERNAL_ERROR, f"{refusal.kind}: {refusal.message}"))
            sock.close()
            return None
        self._shared.limit = self.setting("limits.message")
        self._shared.disabled = self.setting("tools.disabled")
        client = Client(sock, self._shared, on_gone=self._gone, on_admitted=self._admitted)
        self._clients.add(client)
        self.idle.clear()
        task = self._loop.create_task(client.open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        self.changed()
        return client

    def _admitted(self) -> None:
        if self._clients:
            self.pool.spares.attend()
        self.changed()

    def _gone(self, client: Client) -> None:
        self._clients.discard(client)
        self._ending.add(client)
        task = self._loop.create_task(self._settled(client))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        if not self._clients:
            self.idle.set()
            self.pool.spares.leave()
        self.changed()

    async def _settled(self, client: Client) -> None:
        try:
            await client.settle()
        finally:
            self._ending.discard(client)

    # ---- broker --------------------------------------------------------------------------

    def _broker_up(self) -> None:
        if self._restored:
            task = self._loop.create_task(self._restore())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        for client in self._clients:
            client.admit()

    def _broker_down(self) -> None:
        for client in self._clients:
            client.withdraw()

    async def _restore(self) -> None:
        stored, self._restored = self._restored, []
        try:
            known = (await self.broker.request_now("workers", {}))["workers"]
        except RelayError as error:
            logger.warning("workers: %s", error.message)
            self._restored = stored
            return
        self.pool.restore(stored, [row for row in known if isinstance(row, dict)])

    def _find(self, conn: str) -> Client | None:
        return next((client for client in self._clients if client.conn == conn), None)

    def _access(self, body: dict[str, Any]) -> None:
        client = self._find(body["conn"])
        if client is not None:
            client.access(body)

    def _close(self, body: dict[str, Any]) -> None:
        client = self._find(body["conn"])
        if client is not None:
            logger.info("connection %s closed by the broker: %s", client.conn, body["reason"])
            client.end(body["reason"])
