"""Outcomes of calls: how each one that was admitted ended, recorded once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ..evidence.errors import EvidenceError
from ..wire.errors import RelayError
from .calls import STATUSES, LiveCall
from .idempotency import Replays
from .remote import remote_rows
from .state import State
from .typed import Typed
from .workers import Worker

Body = dict[str, Any]

ENDED = 4096
"""Calls whose end is remembered, for a worker that lost its link before the answer."""

USED = (
    *("cpu_ms", "mem_peak", "io_read", "io_write", "io_reads", "io_writes", "tasks_peak"),
    "accounting",
)
"""What a worker says that a call's processes used."""

_OUTCOME = ("exit", "signal", "sha256", "bytes", "truncated", *USED, "survivors")


class Outcomes:
    """Ends calls."""

    def __init__(self, state: State, typed: Typed, replays: Replays) -> None:
        self._state = state
        self._typed = typed
        self._replays = replays
        self._ended: OrderedDict[tuple[str, str], None] = OrderedDict()

    def known(self, worker: str, call: str) -> bool:
        """Whether a call of this worker has ended here."""
        return (worker, call) in self._ended

    def end(self, worker: Worker, body: Body) -> Body:
        """Record how a call ended.

        Raises:
            RelayError: EvidenceUnavailable, if the outcome could not be written yet; it waits in
                memory. Protocol, for a status that no worker may use, and, once the outcome is
                recorded, for rows of machines that mean nothing.
        """
        state = self._state
        if body["status"] not in STATUSES:
            raise RelayError("Protocol", reason=f"end: no such status {body['status']!r}")
        error = body.get("error")
        facts: Body = {name: body[name] for name in _OUTCOME if name in body}
        facts["duration_ms"] = body["duration_ms"]
        facts["error"] = str(state.judge.redact(error)) if error else None
        trouble = ""
        if "remote" in body:
            try:
                facts["remote"] = remote_rows(body["remote"], state.judge.redact)
            except RelayError as wrong:
                # How the call ended is known all the same.
                trouble = f"what it says of machines is not recorded: {wrong.message}"
                facts["error"] = "; ".join(filter(None, (facts["error"], trouble)))
        call = state.calls.find(body["call"])
        if call is None and self.known(worker.id, body["call"]):
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
        kept = {name: value for name, value in facts.items() if name != "remote"}
        self._replays.ended(call.id, {"status": body["status"], **kept})
        state.tally.ended(body["status"])
        self._ended[worker.id, call.id] = None
        if len(self._ended) > ENDED:
            self._ended.popitem(last=False)
        state.changed()
        if call.aborted and facts["error"] is None:
            facts["error"] = call.aborted
        if session := body.get("session"):
            facts["session"] = session
            if session.rpartition(".")[2] == worker.id:
                state.observation.opened(session, call.id)
        facts["observed"] = state.observation.covers(call)
        try:
            state.trail.append(event="outcome", **call.facts, status=body["status"], **facts)
        except EvidenceError as unwritten:
            failure = RelayError("EvidenceUnavailable", reason=unwritten.message)
            failure.message = f"the outcome waits in the broker's memory; {unwritten.message}"
            raise failure from None
        if trouble:
            raise RelayError("Protocol", reason=f"end: {trouble}")
        return {}

    def interrupted(self, call: LiveCall, reason: str) -> None:
        """Record that a call ended with its worker, in a way that nobody saw."""
        if self._state.calls.remove(call):
            self._typed.end(call.id, typed=None)
            self._replays.ended(call.id, {"status": "interrupted", "error": reason})
            self._state.tally.ended("interrupted")
            self._state.trail.note(
                event="interrupted",
                **call.facts,
                status="interrupted",
                duration_ms=round(call.seconds() * 1000),
                error=reason,
            )
            self._state.changed()

    def never_ran(self, call: LiveCall, reason: str) -> None:
        """Record that an admitted call did not run after all."""
        self._typed.end(call.id, typed=False)
        self._replays.never_ran(call.id)
        self._state.tally.ended("never ran")
        self._state.trail.note(
            event="outcome", **call.facts, status="cancelled", error=f"nothing ran: {reason}"
        )


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


def reopened(intent: Body) -> LiveCall:
    """A call that a former broker left without an outcome, by its intent record."""
    principal = str(intent.get("principal", ""))
    hosts = intent.get("hosts")
    return LiveCall(
        id=str(intent["call_id"]),
        conn=str(intent.get("conn", "")),
        principal=principal,
        user=principal.partition(":")[2],
        worker=str(intent.get("worker", "")),
        tool=str(intent.get("tool", "")),
        tier=intent["tier"] if isinstance(intent.get("tier"), int) else 3,
        facts=repeated(intent),
        hosts=tuple(map(str, hosts)) if isinstance(hosts, list) else (),
        claimed=False,
    )
