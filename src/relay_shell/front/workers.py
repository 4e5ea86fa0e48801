"""The workers: one for each connection that calls tools, kept while it holds something.

A worker belongs to a principal. Its link is also in systemd's fd store, so that a restarted front
finds it again; when its connection ends it either exits or says that it holds sessions or
outputs, and is then taken over by the principal's next connection. A new one is a spare that was
started before (`spares`), where there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from ..wire.errors import RelayError
from ..wire.link import Link
from .spares import Spares

logger = logging.getLogger(__name__)

Body = dict[str, Any]
OnProgress = Callable[[float, str], None]

_ID = re.compile(r"[a-z0-9]{1,32}")

START = 20.0
"""Seconds for a worker unit to start and say hello to the broker."""

UNUSED = 60.0
"""Seconds that a worker which was started ahead waits for a first call; a model has answered by
then, and a client that only looks keeps no process."""

PREPARING = 2
"""Workers that start at once while none is started ahead of a call: calls go first."""


class Store(Protocol):
    """Keeps a descriptor while this process is away (systemd's fd store)."""

    def put(self, name: str, fd: int) -> None: ...

    def drop(self, name: str) -> None: ...


class Owner(Protocol):
    """A connection, as far as the pool needs to know it."""

    conn: str
    principal: str


class Worker:
    """One worker and what the front knows of it."""

    def __init__(self, ident: str, principal: str, pid: int = 0) -> None:
        self.id = ident
        self.principal = principal
        self.pid = pid
        self.link: Link | None = None
        self.conn: str | None = None
        """The connection it serves; None while it is parked."""
        self.parked = False
        self.used = False
        """Whether a call of its connection has come."""
        self.calls: dict[str, OnProgress | None] = {}

    @property
    def alive(self) -> bool:
        return self.link is not None and not self.link.closed

    async def call(self, body: Body, on_progress: OnProgress | None) -> Body:
        """Run one call to its end; cancelling the awaiting task cancels it in the worker.

        Raises:
            RelayError: WorkerLost, or what the worker answered.
        """
        link, ident = self.link, body["call"]
        if link is None or link.closed:
            raise RelayError("WorkerLost", reason="it ended before the call was handed over")
        self.calls[ident] = on_progress
        try:
            return await link.request("call", body)
        except asyncio.CancelledError as cancelled:
            reason = str(cancelled.args[0]) if cancelled.args else "cancelled"
            with contextlib.suppress(RelayError):
                link.notify("cancel", {"call": ident, "reason": reason[:1000]})
            raise
        except RelayError as error:
            if error.kind == "Protocol" and link.closed:
                raise RelayError("WorkerLost", reason=error.message) from None
            raise
        finally:
            del self.calls[ident]

    def progress(self, body: Body) -> None:
        """Hand a `progress` notice to whoever waits for that call."""
        report = self.calls.get(body["call"])
        if report is not None:
            report(body["progress"], body["message"])


class Pool:
    """The table principal -> workers.

    Args:
        dial: returns a socket connected to a new worker.
        ask: the broker's request function.
        store: the fd store, if there is one.
        unused: seconds, see `UNUSED`.
        spares: how many workers to have ready, asked again and again.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[socket.socket]],
        ask: Callable[[str, Body], Awaitable[Body]],
        store: Store | None = None,
        unused: float = UNUSED,
        spares: Callable[[], int] = lambda: 0,
    ) -> None:
        self.unused = unused
        self.spares = Spares(self._connect, spares, self._recount)
        self._dial = dial
        self._ask = ask
        self._store = store
        self._workers: dict[str, Worker] = {}
        self._starting: dict[str, asyncio.Task[Worker]] = {}
        self.changed: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def calls(self) -> int:
        """Calls that run now."""
        return sum(len(worker.calls) for worker in self._workers.values())

    def of(self, principal: str) -> list[Worker]:
        """A principal's live workers, in a stable order."""
        return [w for w in self._workers.values() if w.principal == principal and w.alive]

    def holder(self, principal: str, handle: object) -> Worker | None:
        """The principal's worker that made a handle such as "s1.abcdefgh"."""
        if not isinstance(handle, str):
            return None
        worker = self._workers.get(handle.rpartition(".")[2])
        if worker is None or worker.principal != principal or not worker.alive:
            return None
        return worker

    def serving(self, conn: str) -> Worker | None:
        """The worker of a connection, if it has one."""
        for worker in self._workers.values():
            if worker.conn == conn and worker.alive:
                return worker
        return None

    async def obtain(self, owner: Owner, wanted: Worker | None = None) -> Worker:
        """The worker of a connection: its own, a parked one of its principal, or a new one.

        Args:
            wanted: which of the parked ones to prefer.

        Raises:
            RelayError: WorkerUnavailable, BrokerUnavailable, or what the broker answered.
        """
        worker = self.serving(owner.conn)
        if worker is None:
            task = self._starting.get(owner.conn) or self._begin(owner, wanted)
            # Several first calls of a connection wait for the same worker; one that is cancelled
            # must not take it from the others.
            worker = await asyncio.shield(task)
        worker.used = True
        return worker

    def prepare(self, owner: Owner) -> None:
        """Start a connection's worker ahead of its first call; without one it ends again.

        A parked worker is left to whoever calls, and a failure to the call that meets it.
        """
        if self.serving(owner.conn) is not None or owner.conn in self._starting:
            return
        parked = any(worker.parked for worker in self.of(owner.principal))
        if not parked and len(self._starting) < PREPARING:
            self._begin(owner, None).add_done_callback(self._prepared)

    def _begin(self, owner: Owner, wanted: Worker | None) -> asyncio.Task[Worker]:
        task = asyncio.get_running_loop().create_task(self._provide(owner, wanted))
        self._starting[owner.conn] = task
        task.add_done_callback(lambda done: self._started(owner.conn, done))
        return task

    def _prepared(self, task: asyncio.Task[Worker]) -> None:
        if not task.cancelled() and task.exception() is None:
            loop = asyncio.get_running_loop()
            loop.call_later(self.unused, self._dismiss, task.result())

    def _dismiss(self, worker: Worker) -> None:
        if not worker.used and worker.conn is not None:
            self._detach(worker, worker.conn, f"no call came in {self.unused:g} s")

    def _started(self, conn: str, task: asyncio.Task[Worker]) -> None:
        self._starting.pop(conn, None)
        if not task.cancelled():
            # Retrieved here too, for when every call that waited has been cancelled.
            task.exception()

    async def _provide(self, owner: Owner, wanted: Worker | None) -> Worker:
        for worker in sorted(self.of(owner.principal), key=lambda worker: worker is not wanted):
            if worker.parked and await self._adopt(worker, owner):
                return worker
        fresh, again = False, True
        while True:
            ticket = (await self._ask("ticket", {"conn": owner.conn}))["ticket"]
            spare = None if fresh else self.spares.take()
            try:
                worker = await self._enter(spare or await self._connect(), owner, ticket)
            except RelayError as error:
                refused = error.kind == "PermissionDenied"
                if refused and again:
                    # A broker that was restarted meanwhile knows no ticket of the one before it;
                    # or the spare's unit has changed since, and so has that of the others.
                    again = False
                    self.spares.drop(error.message)
                elif refused or spare is None or error.kind != "WorkerUnavailable":
                    raise
                fresh = True
                logger.info("worker not admitted, another is started: %s", error.message)
            else:
                if spare is not None:
                    self.spares.proven()
                return worker

    async def _adopt(self, worker: Worker, owner: Owner) -> bool:
        worker.parked = False
        worker.conn = owner.conn
        link = worker.link
        assert link is not None
        try:
            await self._ask("adopt", {"worker": worker.id, "conn": owner.conn})
            await link.request("attach", {"conn": owner.conn}, timeout=START)
        except RelayError as error:
            logger.info("worker %s not taken over: %s", worker.id, error.message)
            worker.conn = None
            return False
        return worker.alive

    async def _connect(self) -> Worker:
        """A worker that has not been told for whom it is."""
        try:
            sock = await self._dial()
        except OSError as error:
            raise RelayError("WorkerUnavailable", reason=error.strerror or str(error)) from None
        worker = Worker("", "")
        self._link(sock, worker)
        return worker

    async def _enter(self, worker: Worker, owner: Owner, ticket: str) -> Worker:
        """Tell a worker for whom it is; it is closed if it does not come to serve."""
        link = worker.link
        assert link is not None
        try:
            hello = await link.request(
                "start", {"ticket": ticket, "conn": owner.conn}, timeout=START
            )
        except RelayError as error:
            link.close("not started")
            if error.kind != "Protocol":
                raise
            raise RelayError("WorkerUnavailable", reason=error.message) from None
        except BaseException:
            link.close("not wanted any more")
            raise
        ident = hello["worker"]
        # The id becomes a line of sd_notify and the tail of handles: nothing else may be in it.
        if not _ID.fullmatch(ident) or ident in self._workers or link.closed:
            link.close("not usable")
            raise RelayError("WorkerUnavailable", reason="it ended at once")
        worker.id, worker.pid, worker.conn = ident, hello["pid"], owner.conn
        worker.principal = owner.principal
        self._add(worker, link)
        if self._store is not None:
            self._store.put(f"worker-{worker.id}", link.sock.fileno())
        return worker

    def _link(self, sock: socket.socket, worker: Worker, *, greeted: bool = False) -> Link:
        link = Link(
            sock,
            "front",
            "worker",
            notices={
                "progress": lambda link, body: worker.progress(body),
                "holding": lambda link, body: self._holding(worker, body),
            },
            on_close=self._ended,
            greeted=greeted,
        )
        link.context = worker
        worker.link = link
        return link

    def _add(self, worker: Worker, link: Link) -> None:
        self._workers[worker.id] = worker
        self.changed()

    def _recount(self) -> None:
        self.changed()

    def _holding(self, worker: Worker, body: Body) -> None:
        worker.parked = worker.conn is None and body["sessions"] + body["outputs"] > 0

    def _ended(self, link: Link, reason: str) -> None:
        worker: Worker = link.context
        self.spares.ended(worker)
        if self._workers.get(worker.id) is worker:
            del self._workers[worker.id]
            if self._store is not None:
                self._store.drop(f"worker-{worker.id}")
            self.changed()

    def release(self, conn: str, reason: str) -> None:
        """The connection has ended: its worker cancels what it ran, then exits or parks."""
        task = self._starting.pop(conn, None)
        if task is not None:
            # Cancelling could lose a worker between its start and our table.
            task.add_done_callback(lambda _: self.release(conn, reason))
        worker = self.serving(conn)
        if worker is not None:
            self._detach(worker, conn, reason)

    def _detach(self, worker: Worker, conn: str, reason: str) -> None:
        worker.conn = None
        if worker.link is not None:
            with contextlib.suppress(RelayError):
                worker.link.notify("detach", {"conn": conn, "reason": reason[:1000]})

    def restore(self, stored: Iterable[tuple[str, socket.socket]], known: list[Body]) -> None:
        """Take up workers from the fd store; `known` is the broker's list of live workers.

        One that the broker does not know has no principal, and is let go.
        """
        rows = {row["worker"]: row for row in known if isinstance(row.get("worker"), str)}
        for ident, sock in stored:
            row = rows.get(ident)
            if row is None or not isinstance(row.get("principal"), str):
                logger.warning("worker %s is unknown to the broker; letting it go", ident)
                sock.close()
                if self._store is not None:
                    self._store.drop(f"worker-{ident}")
                continue
            worker = Worker(ident, row["principal"], row.get("pid", 0))
            link = self._link(sock, worker, greeted=True)
            worker.parked = True
            self._add(worker, link)
            conn = row.get("conn")
            if isinstance(conn, str) and conn:
                with contextlib.suppress(RelayError):
                    link.notify("detach", {"conn": conn, "reason": "the front was restarted"})

    def close(self) -> None:
        """Close our ends of all links; those in the fd store live on there."""
        self._store = None
        self.spares.close("the front ends")
        for worker in list(self._workers.values()):
            if worker.link is not None:
                worker.link.close("the front ends")
