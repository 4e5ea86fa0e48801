"""The operators' desk: see, freeze, kill, and read the record."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from typing import Any

from ..wire.errors import RelayError
from ..wire.link import Link
from ..wire.messages import TEXT, VERSION
from .calls import LiveCall
from .freeze import Freeze
from .history import History
from .peer import Peer
from .state import State
from .worker_desk import WorkerDesk
from .workers import Worker

logger = logging.getLogger(__name__)

Body = dict[str, Any]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILTERS = ("since", "until", "principal", "call")


class Operators:
    """Handlers of an operator's messages; what an operator does is recorded with the name."""

    def __init__(self, state: State, desk: WorkerDesk, history: History) -> None:
        self._state = state
        self._desk = desk
        self._history = history
        self._keeping = asyncio.Lock()
        self.requests = {
            "hello_operator": self.hello,
            "status": self.status,
            "freeze": self.freeze,
            "unfreeze": self.unfreeze,
            "kill": self.kill,
            "records": self.records,
            "reload": self.reload,
            "rotate": self.rotate,
            "checkpoint": self.checkpoint,
            "export": self.export,
            "verified": self.verified,
        }

    async def hello(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Greet."""
        from .. import __version__

        if body["version"] != VERSION:
            raise RelayError("VersionMismatch", theirs=body["version"], ours=VERSION)
        return {"instance": self._state.instance, "program": f"relay-shell {__version__}"}

    async def status(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Say who is connected and what runs."""
        return {"status": self._state.status()}

    async def records(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Return records, and record who read them."""
        found = await self._history.last(f"link {id(link)}", body["count"], body["filters"])
        self._state.floods.record(
            f"operator {_who(link)}",
            event="observe",
            what="records",
            **_by(link),
            facts={"count": len(found)},
        )
        return {"records": found}

    async def reload(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Read the configuration anew, and say why it was refused, if it was.

        Raises:
            RelayError: PermissionDenied, for who may not write the configuration either; Busy.
        """
        state = self._state
        peer: Peer = link.context[0]
        if peer.uid not in (0, os.geteuid()) or state.reload is None:
            raise RelayError("PermissionDenied", reason="root alone puts a configuration in force")
        await state.reload()
        refused = str(state.judge.redact(state.reload_error))
        return {"refused": refused[: 4 * TEXT], "needs_restart": list(state.needs_restart)}

    async def rotate(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Go on in the file that paths.audit names now; when this answers, nothing is written to
        any other, and all that was is durable.

        Raises:
            EvidenceError: the new file cannot be used.
        """
        writer = self._state.trail.writer
        writer.reopen()
        record = await self._state.trail.commit(event="rotate", what="asked", **_by(link))
        return {"seq": record["seq"], "inode": writer.inode}

    # ---- evidence ------------------------------------------------------------------------

    async def checkpoint(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Sign the record up to here, and return when that is durable.

        Raises:
            EvidenceError: the record cannot be written.
        """
        writer = self._state.trail.writer
        writer.checkpoint("operator")
        await writer.durable()
        return {"seq": writer.seq, "signed": writer.seals.covers(writer.seq - 1)}

    async def export(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Record which bundle of evidence an operator made, and sign that record in the next one:
        with both, the bundle's manifest is under the broker's key. Nothing else is signed so.

        Raises:
            RelayError: InvalidArguments, if the manifest's digest is none.
            EvidenceError: the record cannot be written.
        """
        if not _DIGEST.fullmatch(body["manifest"]):
            raise RelayError("InvalidArguments", reason="manifest is no SHA-256")
        filters = {name: body["filters"].get(name) for name in _FILTERS}
        chosen = {
            name: self._state.judge.redact(value[:256])
            for name, value in filters.items()
            if isinstance(value, str)
        }
        trail = self._state.trail
        facts: Body = {name: body[name] for name in ("manifest", "records", "first", "last")}
        facts["filters"] = chosen
        # Nothing else comes between the two: neither waits.
        record = trail.append(event="export", what="bundle", **_by(link), facts=facts)
        trail.writer.checkpoint("operator")
        await trail.writer.durable()
        seq = int(record["seq"]) if record else 0
        return {"seq": seq, "signed": trail.writer.seals.covers(seq)}

    async def verified(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Record what a verification of the record found, and keep it for `status`.

        Raises:
            EvidenceError: it is not on record.
        """
        state = self._state
        facts = state.verification.take(body)
        kind, detail = facts.pop("kind"), facts.pop("detail")
        record = await state.trail.commit(
            event="verify-failed" if kind else "verified",
            what=kind or "whole",
            **_by(link),
            duration_ms=facts.pop("duration_ms"),
            facts=facts,
            error=detail or None,
        )
        state.changed()
        try:
            await asyncio.to_thread(state.verification.keep)
        except OSError as error:
            logger.error("a restart would lose what the verification found: %s", error.strerror)
        return {"seq": record["seq"]}

    # ---- freeze --------------------------------------------------------------------------

    async def freeze(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Freeze, end what runs in the scope, and record it.

        It holds from the first line on: an operator in need is not told to repair a disk first.
        """
        state = self._state
        freeze = state.freezer.add(body["scope"], body["value"], body["reason"], _who(link))
        facts = {"what": freeze.scope, "detail": str(freeze), **_by(link)}
        state.trail.note(
            event="freeze",
            **facts,
            reason=state.judge.redact(body["reason"]) or None,
            facts={"stopped": (stopped := self._stop(freeze))},
        )
        state.changed()
        try:
            async with self._keeping:
                await asyncio.to_thread(state.freezer.keep)
        except OSError as error:
            kept = f"the freeze holds, but a restart would lose it: {error.strerror}"
            logger.error("%s", kept)
            state.trail.note(event="freeze", **facts, error=kept)
            raise RelayError("Internal", reason=kept) from None
        return {"frozen": self._standing(), "stopped": stopped}

    def _stop(self, freeze: Freeze) -> int:
        state, reason = self._state, f"frozen by the operator: {freeze.reason}"
        if freeze.scope == "tier":
            level = int(freeze.value)
            return sum(self._abort(call, reason) for call in state.calls if call.tier >= level)
        if freeze.scope == "host":
            return sum(
                self._abort(call, reason) for call in state.calls if freeze.holds(call.hosts)
            )
        workers = [
            worker
            for worker in state.workers
            if freeze.scope == "all"
            or (freeze.scope == "principal" and worker.principal == freeze.value)
            or (freeze.scope == "worker" and worker.id == freeze.value)
        ]
        return sum(self._stop_worker(worker, reason) for worker in workers)

    async def unfreeze(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Lift a freeze; what makes calls possible again is durable in the record first."""
        state = self._state
        freeze = state.freezer.get(body["scope"], body["value"])
        await state.trail.commit(
            event="unfreeze", **_by(link), what=freeze.scope, detail=str(freeze)
        )
        try:
            async with self._keeping:
                await asyncio.to_thread(state.freezer.keep, freeze)
                state.freezer.drop(freeze)
        except OSError as error:
            raise RelayError("Internal", reason=f"still frozen: {error.strerror}") from None
        state.changed()
        return {"frozen": self._standing()}

    def _standing(self) -> list[Body]:
        return [freeze.as_dict() for freeze in self._state.freezer.standing()]

    # ---- kill ----------------------------------------------------------------------------

    async def kill(self, link: Link, body: Body, fds: list[int]) -> Body:
        """End a worker, a connection, a call, or all work of a principal."""
        state, scope, value = self._state, body["scope"], body["value"]
        reason = f"ended by the operator: {body['reason'] or 'no reason given'}"
        if scope == "worker":
            worker = state.workers.find(value)
            stopped = self._stop_worker(worker, reason) if worker else 0
        elif scope == "conn":
            stopped = self._close(value, reason)
            for worker in state.workers:
                if value in worker.conns:
                    stopped += self._stop_worker(worker, reason)
        elif scope == "call":
            call = state.calls.find(value)
            stopped = self._abort(call, reason) if call else 0
        elif scope == "principal":
            connections = state.connections.of_principal(value)
            stopped = sum(self._close(connection.id, reason) for connection in connections)
            workers = state.workers.of_principal(value)
            stopped += sum(self._stop_worker(worker, reason) for worker in workers)
        else:
            raise RelayError("InvalidArguments", reason=f"nothing is killed by {scope!r}")
        state.trail.note(
            event="kill",
            **_by(link),
            what=scope,
            detail=f"{scope} {value}",
            reason=state.judge.redact(body["reason"]) or None,
            facts={"stopped": stopped},
        )
        return {"stopped": stopped}

    def _stop_worker(self, worker: Worker, reason: str) -> int:
        for call in self._state.calls.of_worker(worker.id):
            call.aborted = call.aborted or reason
        return int(self._desk.stop(worker, reason))

    def _abort(self, call: LiveCall, reason: str) -> int:
        call.aborted = call.aborted or reason
        worker = self._state.workers.find(call.worker)
        if worker is None or worker.link is None:
            return 0
        try:
            worker.link.notify("abort", {"call": call.id, "reason": reason[:4096]})
        except RelayError:
            return 0
        return 1

    def _close(self, conn: str, reason: str) -> int:
        connection = self._state.connections.find(conn)
        if connection is None or connection.front is None:
            return 0
        try:
            connection.front.notify("close", {"conn": conn, "reason": reason[:4096]})
        except RelayError:
            return 0
        return 1


def _who(link: Link) -> str:
    context = link.context
    return str(context[1]) if isinstance(context, tuple) else "unknown"


def _by(link: Link) -> Body:
    """The facts of the operator who acts."""
    context = link.context
    peer: Peer = context[0]
    return {
        "principal": f"unix:{context[1]}",
        "uid": peer.uid,
        "loginuid": peer.loginuid,
        "pid": peer.pid,
    }
