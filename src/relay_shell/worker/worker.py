"""A worker's life: started by the front, entered at the broker, parked, adopted, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import Any

from ..shell import confine
from ..shell.cgroup import Groups
from ..tools.registry import TOOLS
from ..wire import notify
from ..wire.errors import RelayError
from ..wire.link import Link
from .broker import BrokerLink, Dial
from .dispatch import Dispatch
from .services import WorkerServices

logger = logging.getLogger(__name__)

Body = dict[str, Any]

UNCONFINED = ("privileged", "standalone")
"""Postures that enter no Landlock domain: administration needs signals and mounts."""

QUIET = 0.3
"""Seconds without a word of the front after which this worker is a spare, and gets ready ahead."""

SPARE = "spare: waits for a connection, belongs to no agent"
"""What `systemctl status` says of a worker that waits for the front to say `start`."""

TELL = 0.2
"""Seconds after a change until broker and service manager are told of it."""

LAST_WORDS = 3.0
"""Seconds for a worker that stops to end its processes and tell the broker."""


class Worker:
    """One worker on a connected socket of the front.

    Args:
        front: SOCK_SEQPACKET socket; the worker owns it from here on.
        dial: connects to the broker.
        own_process: this process is the worker's alone: it may be confined, and the service
            manager is told how it does. False where several roles share a process.
        agent: descriptor that is connected to an ssh-agent, close-on-exec.
    """

    def __init__(
        self, front: socket.socket, dial: Dial, *, own_process: bool, agent: int | None = None
    ) -> None:
        self._own_process = own_process
        self._agent = agent
        self._loop = asyncio.get_running_loop()
        self._settings: dict[str, Any] = {}
        self._identity: dict[str, Any] = {}
        self._conns: set[str] = set()
        self._services: WorkerServices | None = None
        self._dispatch: Dispatch | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._parked: asyncio.TimerHandle | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._asked = False
        self._stopping = False
        self.done: asyncio.Future[str] = self._loop.create_future()
        """Set to the reason once the worker has ended."""
        self._broker = BrokerLink(
            dial,
            running=self._running,
            wait=lambda: float(self._settings.get("worker.broker_wait", 10)),
            notices={
                "stop": lambda body: self.stop(f"stopped: {body['reason']}"),
                "abort": self._abort,
                "settings": self._set,
            },
            lost=self.stop,
        )
        self._front = Link(
            front,
            "worker",
            "front",
            requests={"start": self._start, "attach": self._attach, "call": self._call},
            notices={"detach": self._detach, "cancel": self._cancel},
            on_close=self._front_closed,
        )
        confine.adopt_orphans()
        if own_process:
            # Before there is a domain around it: other processes of the account run already.
            confine.undumpable()
        self._quiet = self._loop.call_later(QUIET, self._spare)

    def dismiss(self) -> None:
        """End if nobody has said for whom this worker is."""
        if not self._asked:
            self.stop("a spare that is not wanted any more")

    def _spare(self) -> None:
        """Load what the first call needs while there is nobody to wait for it."""
        if self._own_process:
            from ..shell import landlock

            landlock.abi()

    # ---- the front's messages ------------------------------------------------------------

    async def _start(self, link: Link, body: Body, fds: list[int]) -> Body:
        """The hello: enter at the broker by the ticket, confine, and be ready for calls."""
        self._asked = True
        self._quiet.cancel()
        try:
            hello = await self._broker.hello(body["ticket"])
            self._settings.update(hello["settings"])
            own = ("settings", "resume", "access_hosts")
            self._identity = {key: value for key, value in hello.items() if key not in own}
            self._grant(hello)
            self._compose()
        except RelayError as error:
            self._loop.call_soon(self.stop, f"not started: {error.message}")
            raise
        self._conns.add(body["conn"])
        if self._own_process:
            notify.status(f"{self._identity['principal']}: started")
        self._tell_soon()
        return {"worker": self._identity["worker"], "pid": os.getpid()}

    def _compose(self) -> None:
        groups = Groups.find() if self._own_process else None
        contained = []
        if self._own_process:
            if groups is not None:
                # The domain forbids it afterwards.
                groups.account()
            wanted = self._settings.get("worker.landlock", "require") != "off"
            if wanted and self._identity["posture"] not in UNCONFINED:
                confine.enter(groups)
                contained.append("Landlock domain of this worker")
        self._services = WorkerServices(
            self._broker,
            self._identity,
            self._settings,
            groups,
            contained,
            self._changed,
            agent=-1 if self._agent is None else self._agent,
        )
        self._dispatch = Dispatch(
            self._broker,
            self._services,
            self._settings,
            self._progress,
            self._tell_soon,
            TOOLS,
            self._changed,
        )

    async def _call(self, link: Link, body: Body, fds: list[int]) -> Body:
        if self._dispatch is None:
            raise RelayError("Protocol", reason="call before start")
        return await self._dispatch.call(body)

    async def _attach(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Serve a new connection of the same principal."""
        if self._stopping:
            raise RelayError("WorkerUnavailable", reason="it is about to end")
        self._conns.add(body["conn"])
        self._unpark()
        self._tell_soon()
        return {"worker": self._identity["worker"]}

    def _detach(self, link: Link, body: Body) -> None:
        """The connection is gone: its calls are cancelled; then exit, or stay for what is held."""
        self._conns.discard(body["conn"])
        self._spawn(self._leave(body["conn"], f"the client is gone: {body['reason']}"))

    def _cancel(self, link: Link, body: Body) -> None:
        if self._dispatch is not None:
            self._dispatch.cancel(body["call"], "cancelled", body["reason"])

    def _front_closed(self, link: Link, reason: str) -> None:
        self._conns.clear()
        if not self._stopping:
            self._spawn(self._leave(None, f"the front is gone: {reason}"))

    def _progress(self, body: Body) -> None:
        if not self._front.closed:
            with contextlib.suppress(RelayError):
                self._front.notify("progress", body, optional=True)

    # ---- the broker's messages -----------------------------------------------------------

    def _abort(self, body: Body) -> None:
        if self._dispatch is not None:
            self._dispatch.cancel(body["call"], "killed", body["reason"])

    def _set(self, body: Body) -> None:
        shown = self._settings.get("redaction.output") != "on"
        self._settings.update(body["settings"])
        if shown and self._settings.get("redaction.output") == "on" and self._dispatch is not None:
            # What was returned before holds secrets that may not be shown again.
            self._dispatch.results.clear()
        self._identity.update(
            {key: value for key, value in body.items() if key in ("mode", "ceiling", "groups")}
        )
        self._grant(body)

    def _grant(self, body: Body) -> None:
        """Keep which hosts are granted; the key is absent where all are."""
        self._identity.pop("hosts", None)
        if "access_hosts" in body:
            self._identity["hosts"] = body["access_hosts"]

    def _running(self) -> list[str]:
        running = [] if self._dispatch is None else self._dispatch.running()
        return list({*running, *self._broker.undelivered})

    # ---- parking -------------------------------------------------------------------------

    async def _leave(self, conn: str | None, reason: str) -> None:
        if self._dispatch is not None:
            self._dispatch.cancel_conn(conn, "cancelled", reason)
            if not self._conns:
                await self._dispatch.idle()
        self._settle(announce=True)

    def _settle(self, *, announce: bool) -> None:
        """Without a connection: park while something is held, else end."""
        if self._conns or self._stopping:
            return
        sessions, outputs = self._held()
        if self._front.closed:
            # Nobody can ask for an output again; a session may still be at work.
            outputs = 0
        if not sessions and not outputs:
            self.stop("no client, and nothing is held")
            return
        if announce and not self._front.closed:
            with contextlib.suppress(RelayError):
                self._front.notify("holding", {"sessions": sessions, "outputs": outputs})
        if self._parked is None:
            idle = float(self._settings.get("worker.idle", 1800))
            self._parked = self._loop.call_later(idle, self.stop, "idle without a client")

    def _held(self) -> tuple[int, int]:
        if self._services is None:
            return 0, 0
        results = 0 if self._dispatch is None else len(self._dispatch.results)
        return self._services.held, len(self._services.outputs) + results

    def _unpark(self) -> None:
        if self._parked is not None:
            self._parked.cancel()
            self._parked = None

    def _changed(self) -> None:
        """Sessions changed: tell it, and end if the last that was held has gone."""
        self._tell_soon()
        if self._parked is not None:
            self._spawn(self._settle_when_idle())

    async def _settle_when_idle(self) -> None:
        # The call that ended the last session has its answer to give first.
        if self._dispatch is not None:
            await self._dispatch.idle()
        self._settle(announce=False)

    # ---- telling -------------------------------------------------------------------------

    def _tell_soon(self) -> None:
        if self._telling is None and not self._stopping:
            self._telling = self._loop.call_later(TELL, self._tell)

    def _tell(self) -> None:
        self._telling = None
        if self._dispatch is None or self._services is None:
            return
        calls = list(self._dispatch.live)
        sessions = self._services.running()
        self._broker.notify("busy", {"calls": calls, "sessions": sessions})
        if self._own_process:
            state = "parked" if not self._conns else f"{len(calls)} calls"
            notify.status(f"{self._identity['principal']}: {state}, {len(sessions)} sessions")

    # ---- the end -------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """End with all that was started; idempotent."""
        if not self._stopping:
            self._stopping = True
            self._spawn(self._stop(reason))

    async def _stop(self, reason: str) -> None:
        if self._own_process:
            notify.stopping(reason[:200])
        self._unpark()
        self._quiet.cancel()
        if self._telling is not None:
            self._telling.cancel()
        try:
            async with asyncio.timeout(2 * LAST_WORDS):
                if self._dispatch is not None:
                    self._dispatch.refuse(reason)
                    self._dispatch.cancel_conn(None, "killed", reason)
                    self._dispatch.results.clear()
                if self._services is not None:
                    await self._services.close()
                if self._dispatch is not None:
                    await self._dispatch.idle()
                await self._broker.close(LAST_WORDS)
        except TimeoutError:
            # What is left dies with the unit (KillMode=control-group).
            logger.warning("not everything ended in time")
        finally:
            await self._broker.close(0)
            self._front.close(reason)
            if not self.done.done():
                self.done.set_result(reason)

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
