"""Admission of calls: the decision, its record, then the verdict.

The order is the product's promise. No verdict leaves before its intent is on the disk, and every
refusal is recorded with its reasons.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ..evidence.errors import EvidenceError
from ..policy import Tier
from ..policy.toolgroups import SENSITIVE
from ..wire.errors import RelayError
from . import arguments
from .calls import ID, LiveCall
from .idempotency import Replays, digest_of, key_of
from .judge import Judgement
from .outcomes import Outcomes, repeated
from .preparation import Preparation, Prepared
from .principals import Access
from .reach import Machines, at_once, machines_of, names_of, recorded, runs
from .state import State
from .typed import Typed
from .workers import Worker

Body = dict[str, Any]

ANNOUNCED = 5.0
"""Seconds for a front to announce a connection again whose worker calls already."""

REPEAT = 10.0
"""Seconds that a repeated call waits for the first one to end."""


class Admission:
    """Begins and ends calls."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._typed = Typed()
        self._replays = Replays(state.settings["paths.runtime"])
        self._preparation = Preparation(state, self._typed)
        self._outcomes = Outcomes(state, self._typed, self._replays)
        self._preparing: Counter[str] = Counter()

    def close(self) -> None:
        """Stop the thread; what it prepares is dropped."""
        self._preparation.close()

    # ---- begin ---------------------------------------------------------------------------

    async def begin(self, worker: Worker, body: Body) -> Body:
        """Decide on a call; returns the verdict's body.

        Raises:
            RelayError: kind Frozen, Busy, EvidenceUnavailable, Cancelled or Protocol; nothing may
                run.
        """
        state = self._state
        call_id, tool = body["call"], body["tool"]
        link = worker.link
        identity = self._identity(worker, body)
        self._begun_again(worker, call_id)
        # Intent and outcome are paired by the id, whoever's call it was.
        other = state.calls.known(call_id)
        used = call_id in state.calls or self._outcomes.known(worker.id, call_id)
        used = used or (other is not None and other.worker != worker.id)
        if used or not ID.fullmatch(call_id):
            raise self._unfit(worker, identity, "call", "malformed call id, or one in use")
        self._preparing[worker.id] += 1
        try:
            self._check_room(worker)
            access = await self._access(worker, body["conn"])
            state.budgets.arrive(worker.principal, state.limits(access))
            machines = machines_of(body.get("hosts", []))
            replay = await self._replay(worker, body, identity, machines)
            if replay is not None:
                return replay
            prepared = await self._preparation.prepare(worker, body, machines)
            if worker.link is not link or link is None:
                # One that has returned meanwhile asks again, and would never hear of this.
                raise RelayError("Cancelled", reason="the worker is gone")
        except RelayError as error:
            state.floods.record(
                f"worker {worker.id}",
                event="deny",
                call_id=call_id,
                **identity,
                tool=tool,
                decision="deny",
                reasons=[error.message],
            )
            raise
        finally:
            self._preparing[worker.id] -= 1
            if not self._preparing[worker.id]:
                del self._preparing[worker.id]
        return await self._decide(worker, call_id, tool, identity, prepared, body, machines)

    def _check_room(self, worker: Worker) -> None:
        """Hold the limit of calls at once; the one that asks counts among those prepared."""
        limit = self._state.settings["limits.calls"]
        if self._state.calls.count(worker.id) + self._preparing[worker.id] > limit:
            raise RelayError("Busy", reason=f"{limit} calls are running (limits.calls)")
        if worker.stopping:
            raise RelayError("Cancelled", reason=worker.stopping)

    async def _access(self, worker: Worker, conn: str) -> Access:
        """What the call's connection may do.

        Raises:
            RelayError: kind Denied.
        """
        state = self._state
        if state.rules and state.connections.find(conn) is None:
            # The broker was restarted, and the front is about to announce its connections again.
            await state.connections.announced(conn, ANNOUNCED)
        access = state.access_of(worker, conn)
        if access.refusal:
            raise RelayError("Denied", reason=f"{worker.principal} has no access: {access.refusal}")
        return access

    async def _replay(
        self, worker: Worker, body: Body, identity: Body, machines: Machines
    ) -> Body | None:
        """The answer to a call that repeats a key, None for the first one; it waits for that.

        Raises:
            RelayError: InvalidArguments, for a key that was used with other arguments; Frozen;
                Busy, while the first call runs; EvidenceUnavailable.
        """
        state = self._state
        window = state.settings["limits.replay"]
        key = key_of(body["args"])
        if not key or not window:
            return None
        if arguments.cost(body["args"], arguments.LARGE) <= arguments.LARGE:
            digest = digest_of(body["args"])
        else:
            async with self._preparation.thread(worker.principal, large=True) as run:
                digest = await run(digest_of, body["args"])
        deadline = asyncio.get_running_loop().time() + REPEAT
        while True:
            entry = self._replays.find(worker.principal, body["tool"], key, digest, window)
            if entry is None:
                return None
            if entry.outcome is not None:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await entry.ended.wait()
                    continue
            error = RelayError("Busy", reason=f"the first call with this key, {entry.call}, runs")
            error.retry_after = 5
            raise error
        frozen = state.freezer.find(worker.principal, worker.id, hosts=names_of(machines))
        if frozen is not None:
            raise RelayError("Frozen", reason=frozen.reason)
        limit = state.settings["evidence.args_bytes"]
        await state.trail.commit(
            event="replay",
            call_id=body["call"],
            **identity,
            tool=body["tool"],
            decision="replay",
            args=arguments.shown(body["args"], state.judge.redact, limit),
            args_sha256=digest,
            hosts=recorded(machines, (), state.judge.redact) or None,
            request_id=body.get("request_id"),
            detail=entry.call,
            status=entry.outcome["status"],
        )
        first = {"call": entry.call, "worker": entry.worker, **entry.outcome}
        return {
            "decision": "replay",
            "tier": 0,
            "mode": state.access_of(worker, body["conn"]).mode,
            "enforcement": "none",
            "reasons": [],
            "hint": "",
            "replay": first,
        }

    def _begun_again(self, worker: Worker, call_id: str) -> None:
        """A worker that returned begins a call anew whose verdict it never got."""
        call = self._state.calls.find(call_id)
        if call is not None and call.worker == worker.id and not call.claimed:
            self._state.calls.remove(call)
            self._outcomes.never_ran(
                call, "its verdict was not delivered, and the worker asks again"
            )

    def _identity(self, worker: Worker, body: Body) -> Body:
        """The facts of who asks, from what the broker knows and never from the message."""
        state = self._state
        connection = state.connections.find(body["conn"])
        facts: Body = {"conn": body["conn"], "principal": worker.principal, "uid": worker.uid}
        if connection is not None and connection.principal.name == worker.principal:
            facts |= connection.facts()
        elif connection is not None or body["conn"] not in worker.conns:
            # A call for another's connection, or for one that has ended.
            facts.pop("conn")
            raise self._unfit(
                worker, facts | worker.facts(), "conn", "no connection of this worker"
            )
        return facts | worker.facts()

    def _unfit(self, worker: Worker, identity: Body, what: str, reason: str) -> RelayError:
        """Record a begin that no worker of ours sends."""
        self._state.floods.record(
            f"worker {worker.id}",
            event="rejected",
            **identity,
            what=f"begin-{what}",
            error=reason,
        )
        return RelayError("Protocol", reason=reason)

    async def _decide(
        self,
        worker: Worker,
        call_id: str,
        tool: str,
        identity: Body,
        prepared: Prepared,
        body: Body,
        machines: Machines,
    ) -> Body:
        state = self._state
        judgement = prepared.judgement
        facts: Body = {
            "call_id": call_id,
            **identity,
            "tool": tool,
            "tier": judgement.tier,
            "mode": judgement.mode,
            "enforcement": judgement.enforcement,
            "reasons": prepared.reasons,
            "reason": prepared.reason,
            **prepared.arguments.facts(),
            "hosts": prepared.hosts or None,
            "request_id": body.get("request_id"),
        }
        frozen = state.freezer.find(worker.principal, worker.id, judgement.tier, prepared.reaches)
        if frozen is not None:
            reasons = [f"frozen ({frozen}): {frozen.reason}"]
            state.trail.note(event="deny", **(facts | {"decision": "deny", "reasons": reasons}))
            raise RelayError("Frozen", reason=frozen.reason)
        if not judgement.allowed:
            state.trail.note(event="deny", **facts, decision="deny")
            return _verdict("deny", judgement)
        try:
            state.remote.check(judgement.tier)
            most = state.settings["limits.fanout_at_once"]
            weight = at_once(tool, body["args"], machines, most)
            self._hold(worker, call_id, tool, prepared, runs(tool, machines))
        except RelayError as error:
            state.floods.record(
                f"worker {worker.id}",
                event="deny",
                **(facts | {"decision": "deny", "reasons": [error.message]}),
            )
            raise
        call = LiveCall(
            id=call_id,
            conn=body["conn"],
            principal=worker.principal,
            user=worker.user,
            worker=worker.id,
            tool=tool,
            tier=judgement.tier,
            facts=repeated(facts),
            hosts=prepared.reaches,
            weight=weight,
        )
        # Entered before its record, so that whatever ends the worker meanwhile finds it.
        state.calls.add(call)
        try:
            intent = await state.trail.commit(event="intent", **facts, decision="allow")
            await state.remote.wait(intent)
        except EvidenceError as error:
            state.calls.remove(call)
            self._outcomes.never_ran(call, f"the intent was not safely kept: {error.message}")
            raise
        except BaseException as error:
            if state.calls.remove(call):
                reason = "the broker failed before its verdict"
                if isinstance(error, RelayError):
                    reason = error.message
                self._outcomes.never_ran(call, reason)
            raise
        state.changed()
        return self._admitted(call, worker, judgement)

    def _hold(self, worker: Worker, call: str, tool: str, prepared: Prepared, count: int) -> None:
        """Take what a call that is about to run uses up; it counts as so many.

        Raises:
            RelayError: kind OverBudget, Busy or EvidenceUnavailable; nothing was taken.
        """
        state, principal = self._state, worker.principal
        window = state.settings["limits.replay"]
        if prepared.key and self._replays.find(
            principal, tool, prepared.key, prepared.digest, window
        ):
            raise RelayError("Busy", reason="another call with this idempotency key came first")
        state.budgets.admit(
            principal,
            state.limits(prepared.access),
            state.calls.count_principal(principal),
            sensitive=tool in SENSITIVE or prepared.judgement.tier >= Tier.IRREVERSIBLE,
            count=count,
        )
        self._typed.begin(prepared.look, call)
        try:
            if prepared.key:
                self._replays.begin(
                    principal, tool, prepared.key, prepared.digest, call, worker.id, window
                )
        except RelayError:
            self._typed.end(call, typed=False)
            raise

    def _admitted(self, call: LiveCall, worker: Worker, judgement: Judgement) -> Body:
        """The verdict, unless something came between the intent and now."""
        state = self._state
        if state.calls.find(call.id) is not call:
            # The worker vanished or asked again, and the record says so.
            raise RelayError("Cancelled", reason="the worker is gone")
        frozen = state.freezer.find(call.principal, worker.id, call.tier, call.hosts)
        if frozen is None and not call.aborted:
            return _verdict("allow", judgement)
        state.calls.remove(call)
        reason = f"frozen: {frozen.reason}" if frozen else call.aborted
        self._outcomes.never_ran(call, reason)
        if frozen:
            raise RelayError("Frozen", reason=frozen.reason)
        raise RelayError("Cancelled", reason=reason)

    # ---- after ---------------------------------------------------------------------------

    async def explain(
        self, worker: Worker, tool: str, args: Body, machines: Machines, shell: str
    ) -> Judgement:
        """The judgement on a call that is not made."""
        return await self._preparation.explain(worker, tool, args, machines, shell)

    def end(self, worker: Worker, body: Body) -> Body:
        """Record how a call ended; see `Outcomes.end`."""
        return self._outcomes.end(worker, body)

    def interrupted(self, call: LiveCall, reason: str) -> None:
        """Record that a call ended with its worker, in a way that nobody saw."""
        self._outcomes.interrupted(call, reason)

    def restore(self, running: Iterable[str], workers: Iterable[str]) -> None:
        """Take over what a former broker left: its open calls' keys, its workers' sessions."""
        for worker in workers:
            self._typed.former(worker)
        self._replays.restore(running, self._state.settings["limits.replay"])

    def gone(self, worker: Worker) -> None:
        """A worker ended, with its sessions."""
        self._typed.gone(worker.id)


def _verdict(decision: str, judgement: Judgement) -> Body:
    return {
        "decision": decision,
        "tier": judgement.tier,
        "mode": judgement.mode,
        "enforcement": judgement.enforcement,
        "reasons": list(judgement.reasons)[:64],
        "hint": judgement.hint[:4096],
    }
