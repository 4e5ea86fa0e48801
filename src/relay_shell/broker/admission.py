"""Admission of calls: the decision, its record, then the verdict; later the outcome.

The order is the product's promise. No verdict leaves before its intent is on the disk, and every
refusal is recorded with its reasons.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from ..evidence.errors import EvidenceError
from ..policy import Tier
from ..policy.toolgroups import SENSITIVE
from ..wire.errors import RelayError
from . import arguments
from .arguments import Arguments
from .budgets import Limits
from .calls import ID, STATUSES, LiveCall
from .idempotency import Replays, digest_of, key_of
from .judge import Judgement
from .principals import Access
from .state import State
from .typed import Look, Typed
from .workers import Worker

logger = logging.getLogger(__name__)

Body = dict[str, Any]

LARGE_EACH, LARGE_ALL = 4, 32
"""Large calls in preparation at once, of one principal and in all; each may hold
`messages.ARGUMENTS`."""

ANNOUNCED = 5.0
"""Seconds for a front to announce a connection again whose worker calls already."""

REPEAT = 10.0
"""Seconds that a repeated call waits for the first one to end."""

UNGRANTED = "server_info and tools/list show what is granted; an operator grants in access.toml"

ENDED = 4096
"""Calls whose end is remembered, for a worker that lost its link before the answer."""

_OUTCOME = ("exit", "signal", "sha256", "bytes", "truncated", "cpu_ms", "mem_peak", "survivors")


class _Prepared(NamedTuple):
    arguments: Arguments
    judgement: Judgement
    reasons: list[str]
    hosts: Any
    reason: str | None
    look: Look
    """The arguments as they were judged; see `Typed`."""
    access: Access
    key: str
    """Idempotency key, "" for none."""
    digest: str
    """Of the arguments without the key, where there is one."""


class _Queue:
    """The calls of one principal that want the thread."""

    __slots__ = ("large", "turn", "users")

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.users = self.large = 0


_Run = Callable[..., Awaitable[Any]]


class Admission:
    """Begins and ends calls."""

    def __init__(self, state: State) -> None:
        self._state = state
        # What is costly to judge leaves the loop to the others.
        self._pool = ThreadPoolExecutor(1, "relay-admission")
        self._typed = Typed()
        self._replays = Replays(state.settings["paths.runtime"])
        self._ended: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._preparing: Counter[str] = Counter()
        self._queues: dict[str, _Queue] = {}
        self._large = 0

    def close(self) -> None:
        """Stop the thread; what it prepares is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    # ---- begin ---------------------------------------------------------------------------

    async def begin(self, worker: Worker, body: Body) -> Body:
        """Decide on a call; returns the verdict's body.

        Raises:
            RelayError: kind Frozen, Busy, EvidenceUnavailable, Cancelled or Protocol; nothing may
                run.
        """
        state = self._state
        call_id, tool = body["call"], body["tool"]
        identity = self._identity(worker, body)
        self._begun_again(worker, call_id)
        used = call_id in state.calls or (worker.id, call_id) in self._ended
        if used or not ID.fullmatch(call_id):
            raise self._unfit(worker, identity, "call", "malformed call id, or one in use")
        self._preparing[worker.id] += 1
        try:
            self._check_room(worker)
            access = await self._access(worker, body["conn"])
            limits = Limits.of(state.settings, access.budgets)
            state.budgets.arrive(worker.principal, limits)
            replay = await self._replay(worker, body, identity)
            if replay is not None:
                return replay
            prepared = await self._prepare(worker, body)
            if worker.link is None:
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
        return await self._decide(worker, call_id, tool, identity, prepared, body)

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

    async def _replay(self, worker: Worker, body: Body, identity: Body) -> Body | None:
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
            async with self._thread(worker.principal, large=True) as run:
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
        frozen = state.freezer.find(worker.principal, worker.id)
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
            self._never_ran(call, "its verdict was not delivered, and the worker asks again")

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

    async def _prepare(self, worker: Worker, body: Body) -> _Prepared:
        waiting = self._typed.waiting(worker.id, body["tool"], body["args"])
        if waiting + arguments.cost(body["args"], arguments.LIGHT) <= arguments.LIGHT:
            return self._judge(worker, body)
        large = arguments.cost(body["args"], arguments.LARGE) > arguments.LARGE
        async with self._thread(worker.principal, large) as run:
            for _ in range(4):
                prepared: _Prepared = await run(self._judge, worker, body)
                # What another call typed meanwhile would complete another line.
                if self._typed.stands(prepared.look):
                    return prepared
            raise RelayError("Busy", reason="the session is being typed into")

    @asynccontextmanager
    async def _thread(self, principal: str, large: bool) -> AsyncIterator[_Run]:
        """The thread, for one call of a principal at a time: no agent fills its queue."""
        queue = self._queues.setdefault(principal, _Queue())
        if large and (queue.large >= LARGE_EACH or self._large >= LARGE_ALL):
            raise RelayError("Busy", reason="too many large calls at once")
        queue.users += 1
        queue.large += large
        self._large += large
        loop = asyncio.get_running_loop()
        try:
            async with queue.turn:
                yield partial(loop.run_in_executor, self._pool)
        finally:
            queue.users -= 1
            queue.large -= large
            self._large -= large
            if not queue.users:
                self._queues.pop(principal, None)

    async def explain(self, worker: Worker, tool: str, args: Body) -> Judgement:
        """The judgement on a call that is not made."""
        access = self._state.access_of(worker)
        if arguments.cost(args, arguments.LIGHT) <= arguments.LIGHT:
            return self._decided(tool, args, access, [])
        async with self._thread(worker.principal, large=False) as run:
            found: Judgement = await run(self._decided, tool, args, access, [])
            return found

    def _decided(
        self, tool: str, args: Mapping[str, Any], access: Access, hosts: Sequence[Any]
    ) -> Judgement:
        judgement = self._state.judge.decide(tool, args, access, hosts)
        refusal = access.refuses(tool, hosts) if judgement.allowed else ""
        if not refusal:
            return judgement
        return judgement._replace(
            allowed=False, enforcement="none", reasons=(refusal,), hint=UNGRANTED
        )

    def _judge(self, worker: Worker, body: Body) -> _Prepared:
        state = self._state
        judge, limit = state.judge, state.settings["evidence.args_bytes"]
        hosts = body.get("hosts") or []
        look = self._typed.look(worker.id, body["tool"], body["args"])
        access = state.access_of(worker, body["conn"])
        judgement = self._decided(body["tool"], look.args, access, hosts)
        reason = body.get("reason")
        key = key_of(body["args"]) if state.settings["limits.replay"] else ""
        return _Prepared(
            arguments.describe(body["args"], judge.redact, limit),
            judgement,
            judge.told(judgement.reasons),
            arguments.shown(hosts, judge.redact, limit) if hosts else None,
            str(judge.redact(reason)) if reason else None,
            look,
            access,
            key,
            digest_of(body["args"]) if key else "",
        )

    async def _decide(
        self,
        worker: Worker,
        call_id: str,
        tool: str,
        identity: Body,
        prepared: _Prepared,
        body: Body,
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
            "hosts": prepared.hosts if isinstance(prepared.hosts, list) else None,
            "request_id": body.get("request_id"),
        }
        frozen = state.freezer.find(worker.principal, worker.id, judgement.tier)
        if frozen is not None:
            reasons = [f"frozen ({frozen}): {frozen.reason}"]
            state.trail.note(event="deny", **(facts | {"decision": "deny", "reasons": reasons}))
            raise RelayError("Frozen", reason=frozen.reason)
        if not judgement.allowed:
            state.trail.note(event="deny", **facts, decision="deny")
            return _verdict("deny", judgement)
        try:
            self._hold(worker, call_id, tool, prepared)
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
        )
        # Entered before its record, so that whatever ends the worker meanwhile finds it.
        state.calls.add(call)
        try:
            await state.trail.commit(event="intent", **facts, decision="allow")
        except EvidenceError as error:
            state.calls.remove(call)
            self._never_ran(call, f"the intent was not safely kept: {error.message}")
            raise
        except BaseException:
            state.calls.remove(call)
            self._never_ran(call, "the broker failed before its verdict")
            raise
        state.changed()
        return self._admitted(call, worker, judgement)

    def _hold(self, worker: Worker, call: str, tool: str, prepared: _Prepared) -> None:
        """Take what a call that is about to run uses up.

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
            Limits.of(state.settings, prepared.access.budgets),
            state.calls.count_principal(principal),
            sensitive=tool in SENSITIVE or prepared.judgement.tier >= Tier.IRREVERSIBLE,
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
        frozen = state.freezer.find(call.principal, worker.id, call.tier)
        if frozen is None and not call.aborted:
            return _verdict("allow", judgement)
        state.calls.remove(call)
        reason = f"frozen: {frozen.reason}" if frozen else call.aborted
        self._never_ran(call, reason)
        if frozen:
            raise RelayError("Frozen", reason=frozen.reason)
        raise RelayError("Cancelled", reason=reason)

    def _never_ran(self, call: LiveCall, reason: str) -> None:
        self._typed.end(call.id, typed=False)
        self._replays.never_ran(call.id)
        self._state.trail.note(
            event="outcome", **call.facts, status="cancelled", error=f"nothing ran: {reason}"
        )

    # ---- end -----------------------------------------------------------------------------

    def end(self, worker: Worker, body: Body) -> Body:
        """Record how a call ended.

        Raises:
            RelayError: EvidenceUnavailable, if the outcome could not be written yet; it waits in
                memory. Protocol, for a status that no worker may use.
        """
        state = self._state
        if body["status"] not in STATUSES:
            raise RelayError("Protocol", reason=f"end: no such status {body['status']!r}")
        error = body.get("error")
        facts: Body = {name: body[name] for name in _OUTCOME if name in body}
        facts["duration_ms"] = body["duration_ms"]
        facts["error"] = str(state.judge.redact(error)) if error else None
        call = state.calls.find(body["call"])
        if call is None and (worker.id, body["call"]) in self._ended:
            # The worker did not hear the first answer.
            return {}
        if call is None or call.worker != worker.id:
            # The call was given up as interrupted, or never began: say what is claimed of it.
            state.floods.record(
                f"worker {worker.id}",
                event="note",
                call_id=body["call"],
                principal=worker.principal,
                **worker.facts(),
                status=body["status"],
                what="late-end",
                **facts,
            )
            return {}
        state.calls.remove(call)
        self._typed.end(call.id, typed=True if body["status"] == "ok" else None)
        state.budgets.charge(call.principal, body.get("cpu_ms"), body.get("bytes"))
        self._replays.ended(call.id, {"status": body["status"], **facts})
        self._ended[worker.id, call.id] = None
        if len(self._ended) > ENDED:
            self._ended.popitem(last=False)
        state.changed()
        if call.aborted and facts["error"] is None:
            facts["error"] = call.aborted
        try:
            state.trail.append(event="outcome", **call.facts, status=body["status"], **facts)
        except EvidenceError as trouble:
            failure = RelayError("EvidenceUnavailable", reason=trouble.message)
            failure.message = f"the outcome waits in the broker's memory; {trouble.message}"
            raise failure from None
        return {}

    def restore(self, running: Iterable[str]) -> None:
        """Take over the idempotency keys that a former broker left; `running`: its open calls."""
        self._replays.restore(running, self._state.settings["limits.replay"])

    def gone(self, worker: Worker) -> None:
        """A worker ended, with its sessions."""
        self._typed.gone(worker.id)

    def interrupted(self, call: LiveCall, reason: str) -> None:
        """Record that a call ended with its worker, in a way that nobody saw."""
        if self._state.calls.remove(call):
            self._typed.end(call.id, typed=None)
            self._replays.ended(call.id, {"status": "interrupted", "error": reason})
            self._state.trail.note(
                event="interrupted",
                **call.facts,
                status="interrupted",
                duration_ms=round(call.seconds() * 1000),
                error=reason,
            )
            self._state.changed()


def repeated(facts: Body) -> Body:
    """What the outcome record repeats of an intent's facts."""
    names = (
        "call_id",
        "conn",
        "principal",
        "client",
        "uid",
        "pid",
        "unit",
        "posture",
        "worker",
        "tool",
        "tier",
        "mode",
        "enforcement",
        "request_id",
    )
    return {name: facts[name] for name in names if facts.get(name) is not None}


def _verdict(decision: str, judgement: Judgement) -> Body:
    return {
        "decision": decision,
        "tier": judgement.tier,
        "mode": judgement.mode,
        "enforcement": judgement.enforcement,
        "reasons": list(judgement.reasons)[:64],
        "hint": judgement.hint[:4096],
    }
