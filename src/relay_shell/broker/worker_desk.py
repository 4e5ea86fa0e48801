"""What a worker may ask: it says hello, begins and ends calls, and reads its principal's record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from typing import Any

from ..wire.errors import RelayError
from ..wire.link import Link, RequestHandler
from ..wire.messages import VERSION
from . import arguments, peer, spares
from .admission import Admission
from .calls import LiveCall
from .explaining import explained
from .history import History
from .outcomes import reopened
from .peer import Peer, PeerError
from .recording_desk import RecordingDesk
from .state import State
from .workers import Worker

logger = logging.getLogger(__name__)

Body = dict[str, Any]

RETURN = 30.0
"""Seconds in which a worker that lives but lost its link must come back, or its calls count as
interrupted; more than the worker's own wait for a broker that restarts."""

CLAIM = 5.0
"""Seconds in which a worker that came back says how a call ended that it no longer runs."""

SHOWN_SESSIONS = 1024


class WorkerDesk:
    """Handlers of the workers' messages, and the care for workers that vanish.

    Args:
        local: whether the worker is in this very process.
    """

    def __init__(
        self,
        state: State,
        admission: Admission,
        history: History,
        recordings: RecordingDesk,
        *,
        local: bool = False,
    ) -> None:
        self._state = state
        self._admission = admission
        self._history = history
        self._recordings = recordings
        self._local = local
        self.requests: dict[str, RequestHandler] = {
            "hello_worker": self.hello,
            "begin": self.begin,
            "end": self.end,
            "audit_tail": self.audit_tail,
            "explain": self.explain,
            **recordings.requests,
        }
        self.notices = {"note": self.note, "busy": self.busy}

    # ---- hello ---------------------------------------------------------------------------

    async def hello(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Enter a new worker by its ticket, or know one again after a restart of the broker."""
        if body["version"] != VERSION:
            raise RelayError("VersionMismatch", theirs=body["version"], ours=VERSION)
        found: Peer = link.context
        try:
            posture = self._state.accounts.worker_peer(found)
            if "ticket" in body:
                worker, resume = self._enter(link, found, posture, body["ticket"])
            else:
                resume = body.get("resume", "")
                worker = self._return(found, body.get("worker", ""), resume)
        except RelayError as error:
            if not isinstance(error, spares.Outdated):
                self._refuse(found, body.get("worker", ""), error.message)
            raise
        except OSError as error:
            logger.error(
                "worker cannot be kept in %s: %s", self._state.settings["paths.runtime"], error
            )
            raise RelayError("Internal", reason=f"state not kept: {error.strerror}") from None
        self._attach(worker, link)
        if "ticket" not in body:
            self._claim(worker, body.get("calls", []))
        if worker.stopping:
            # It was told while it had no link.
            asyncio.get_running_loop().call_soon(self.stop, worker, worker.stopping)
        self._state.changed()
        state = self._state
        return {
            "worker": worker.id,
            "resume": resume,
            "principal": worker.principal,
            "user": worker.user,
            "posture": worker.posture,
            "settings": state.worker_settings(worker),
            **state.told_worker(worker),
        }

    def _enter(self, link: Link, found: Peer, posture: str, ticket: str) -> tuple[Worker, str]:
        state = self._state
        conn, waited = state.tickets.take(ticket)
        connection = state.connections.get(conn)
        spares.check(state, found, posture, connection, waited)
        one_each = state.accounts.check_units
        if one_each and state.workers.of_process(found.pid, found.start) is not None:
            raise RelayError("PermissionDenied", reason="the process is a worker already")
        worker = Worker(
            id="",
            principal=connection.principal.name,
            user=connection.principal.user,
            uid=connection.principal.uid,
            pid=found.pid,
            start=found.start,
            unit=found.unit,
            posture=posture,
            resume="",
            conns=[conn],
        )
        resume = state.workers.add(worker)
        connection.posture = posture
        state.trail.note(event="worker", **(connection.facts() | worker.facts()), what="started")
        return worker, resume

    def _return(self, found: Peer, ident: str, resume: str) -> Worker:
        state = self._state
        worker = state.workers.resume(ident, resume, found)
        if worker.link is not None:
            # The same process was proven, so the older link is half dead.
            stale, worker.link = worker.link, None
            stale.close("replaced by a newer link of the same worker")
        state.trail.note(
            event="worker", principal=worker.principal, **worker.facts(), what="returned"
        )
        return worker

    def _refuse(self, found: Peer, ident: str, reason: str) -> None:
        self._state.refused += 1
        self._state.floods.record(
            f"worker uid {found.uid}",
            event="refused",
            what="worker",
            uid=found.uid,
            pid=found.pid,
            unit=found.unit or None,
            worker=ident[:32] or None,
            error=reason,
        )

    def _attach(self, worker: Worker, link: Link) -> None:
        link.context = worker
        worker.link = link
        if worker.pidfd < 0 and not self._local:
            with contextlib.suppress(PeerError):
                self._watch(worker, peer.open_pidfd(link.sock, worker.pid))

    def _watch(self, worker: Worker, pidfd: int) -> None:
        """Notice the end of a worker's process by its pidfd."""
        if not peer.runs(worker.pid, worker.start):
            # The pid was another process's by the time the descriptor was opened.
            os.close(pidfd)
            return
        worker.pidfd = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._ended, worker)

    def _claim(self, worker: Worker, claimed: list[Any]) -> None:
        """Compare the calls of the record with those that the worker says it runs."""
        unclaimed = []
        for call in self._state.calls.of_worker(worker.id):
            call.claimed = call.id in claimed
            if not call.claimed:
                unclaimed.append(call)
        if unclaimed:
            loop = asyncio.get_running_loop()
            loop.call_later(CLAIM, self._give_up_calls, unclaimed)

    def _give_up_calls(self, calls: list[LiveCall]) -> None:
        if self._state.closing:
            return
        for call in calls:
            if not call.claimed:
                self._admission.interrupted(call, "the worker returned without it")

    # ---- calls ---------------------------------------------------------------------------

    async def begin(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Decide on a call."""
        work = self._admission.begin(self._worker(link), body)
        return await self._state.tally.verdict(body["tool"], work)

    def end(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Record how a call ended; these may be the last words of a worker that is gone now."""
        worker = link.context
        if not isinstance(worker, Worker) or worker.link not in (link, None):
            raise RelayError("Protocol", reason="this link is no worker's any more")
        return self._admission.end(worker, body)

    async def audit_tail(self, link: Link, body: Body, fds: list[int]) -> Body:
        """The last records of this worker's principal, whatever the filters say."""
        worker = self._worker(link)
        filters = body["filters"] | {"principal": worker.principal}
        return {"records": await self._history.last(worker.id, body["count"], filters)}

    async def explain(self, link: Link, body: Body, fds: list[int]) -> Body:
        """The verdict that a call would get."""
        return await explained(self._state, self._admission, self._worker(link), body["args"])

    def note(self, link: Link, body: Body) -> None:
        """Record what a worker says of a session or call."""
        worker, state = link.context, self._state
        if not isinstance(worker, Worker):
            return
        what = body["what"]
        limit = state.settings["evidence.args_bytes"]
        facts = arguments.shown(body["facts"], state.judge.redact, limit)
        session = what.startswith("session")
        if what == "session_end":
            told = body["facts"]
            state.budgets.charge(worker.principal, told.get("cpu_ms"), told.get("bytes"))
        state.floods.record(
            f"worker {worker.id}",
            event="session" if session else "note",
            call_id=body.get("call"),
            conn=worker.conns[-1] if worker.conns else None,
            principal=worker.principal,
            **worker.facts(),
            what=what,
            detail=str(body["facts"].get("session", ""))[:256] or None if session else None,
            facts=facts if isinstance(facts, dict) else {"cut": facts},
        )

    def busy(self, link: Link, body: Body) -> None:
        """Keep what a worker says that it holds, for `relay-shell status`."""
        worker = link.context
        if isinstance(worker, Worker):
            sessions = body["sessions"][:SHOWN_SESSIONS]
            fits = len(str(sessions)) <= 256 * SHOWN_SESSIONS
            worker.sessions = sessions if fits else [f"{len(sessions)} sessions"]
            self._state.changed()

    def _worker(self, link: Link) -> Worker:
        worker = link.context
        if not isinstance(worker, Worker) or worker.link is not link:
            raise RelayError("Protocol", reason="this link is no worker's any more")
        return worker

    # ---- the end of workers --------------------------------------------------------------

    def lost(self, link: Link) -> None:
        """A worker's link ended: its process did too, or it comes back."""
        worker = link.context
        if not isinstance(worker, Worker) or worker.link is not link:
            return
        worker.link = None
        if self._state.closing:
            return
        loop = asyncio.get_running_loop()
        if self._local or not self._lives(worker):
            # Its last words may still be on their way through the handlers.
            loop.call_soon(self.gone, worker, "the worker ended")
        else:
            loop.call_later(RETURN, self._give_up, worker)
        self._state.changed()

    def _lives(self, worker: Worker) -> bool:
        if worker.pidfd >= 0:
            return peer.alive(worker.pidfd)
        return peer.runs(worker.pid, worker.start)

    def _ended(self, worker: Worker) -> None:
        """The process of a worker ended; what it said before is read first."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(worker.pidfd)
        if worker.link is None:
            self.gone(worker, "the worker ended")
        else:
            loop.call_later(1.0, self._close_dead, worker)

    def _close_dead(self, worker: Worker) -> None:
        if worker.link is not None:
            worker.link.close("the worker ended")

    def _give_up(self, worker: Worker) -> None:
        if worker.link is not None or self._state.workers.find(worker.id) is not worker:
            return
        if self._lives(worker):
            for call in self._state.calls.of_worker(worker.id):
                self._admission.interrupted(call, "the worker lost its link and did not return")
        else:
            self.gone(worker, "the worker ended")

    def gone(self, worker: Worker, reason: str) -> None:
        """Account for a worker that ended: each of its open calls is interrupted."""
        state = self._state
        if state.workers.find(worker.id) is not worker or state.closing:
            return
        if worker.stopping:
            reason = f"{reason}; it was told to: {worker.stopping}"
        for call in state.calls.of_worker(worker.id):
            self._admission.interrupted(call, reason)
        if worker.pidfd >= 0:
            asyncio.get_running_loop().remove_reader(worker.pidfd)
        state.workers.remove(worker)
        self._admission.gone(worker)
        self._recordings.gone(worker.id, "the worker ended")
        state.floods.end(f"worker {worker.id}")
        state.trail.note(
            event="worker",
            principal=worker.principal,
            **worker.facts(),
            what="ended",
            detail=worker.stopping or None,
            duration_ms=round((time.time() - worker.since) * 1000),
        )
        state.changed()

    def stop(self, worker: Worker, reason: str) -> bool:
        """Tell a worker to end with all that it started."""
        worker.stopping = worker.stopping or reason
        if worker.link is None:
            return False
        with contextlib.suppress(RelayError):
            worker.link.notify("stop", {"reason": reason[:4096]})
            return True
        return False

    # ---- after a restart of the broker ---------------------------------------------------

    def restore(self, unfinished: list[dict[str, Any]]) -> None:
        """Take over the workers and the open calls that a former broker left."""
        state = self._state
        living, lost = state.workers.restore()
        for ident, reason in lost:
            state.trail.note(event="worker", worker=ident, what="lost", detail=reason)
        calls = (str(intent["call_id"]) for intent in unfinished)
        self._admission.restore(calls, (worker.id for worker in living))
        self.restore_calls(unfinished)
        loop = asyncio.get_running_loop()
        for worker in living:
            with contextlib.suppress(OSError):
                self._watch(worker, os.pidfd_open(worker.pid))
            loop.call_later(RETURN, self._give_up, worker)
            loop.call_later(RETURN, self._check_conns, worker)

    def _check_conns(self, worker: Worker) -> None:
        """Account for clients that left while the broker was down: no front announced them."""
        state = self._state
        if state.closing or state.workers.find(worker.id) is not worker:
            return
        for conn in [conn for conn in worker.conns if state.connections.find(conn) is None]:
            worker.conns.remove(conn)
            state.trail.note(
                event="disconnect",
                conn=conn,
                principal=worker.principal,
                uid=worker.uid,
                detail="gone when the broker returned",
            )
        with contextlib.suppress(OSError):
            state.workers.keep(worker)

    def restore_calls(self, unfinished: list[dict[str, Any]]) -> None:
        """Wait for the workers of open calls; a call whose worker is gone is interrupted."""
        state = self._state
        for intent in unfinished:
            call = reopened(intent)
            if call.id in state.calls:
                continue
            state.calls.add(call)
            worker = state.workers.find(call.worker)
            if worker is None or worker.principal != call.principal:
                self._admission.interrupted(call, "broker and worker ended during the call")
