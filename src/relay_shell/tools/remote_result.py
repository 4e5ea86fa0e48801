"""From what another machine ran to a result and a row of the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..wire.errors import RelayError
from . import run_result, schema, text
from .base import Call, Json, Result

if TYPE_CHECKING:
    from ..ssh.command import Done
    from ..ssh.reach import Reached, Route
    from .services import Services

ERROR = 1000
"""Characters of an error in the record's row of one machine."""

LEFT = "something that it started still runs there and holds its output open"
UNCONFIRMED = "the host has not said that the command ended: it may run on there"

FACTS: dict[str, Json] = {
    name: fragment
    for name, fragment in schema.RUN_FACTS.items()
    if name not in ("killed", "enforced", "refused", "used")
} | {
    "host": {"type": "string"},
    "address": {"type": "string", "description": "Connected to; absent behind a jump host."},
    "notes": {"type": "array", "items": {"type": "string"}},
}


async def reach_one(services: Services, args: Mapping[str, Any]) -> Reached:
    """The machine that `host` names."""
    return await services.ssh.reach([args["host"]], one=True)


async def reach_all(services: Services, args: Mapping[str, Any]) -> Reached:
    """The machines that `hosts` names."""
    return await services.ssh.reach(args["hosts"])


def routes(call: Call) -> tuple[Route, ...]:
    """The ways that the call was admitted for.

    Raises:
        RelayError: why there are none.
    """
    if call.reached.error is not None:
        raise call.reached.error
    found: tuple[Route, ...] = call.reached.routes
    return found


def result(host: str, done: Done) -> Result:
    """The result of one command on one machine."""
    made = run_result.result(done.completed)
    facts = made.facts
    del facts["used"]
    facts["host"] = host
    if done.address:
        facts["address"] = done.address
    notes = [UNCONFIRMED] * done.unconfirmed + [LEFT] * done.left
    if notes:
        facts["notes"] = notes
    if done.lost is not None:
        del facts["exit"]
        facts.update(text.error_facts(done.lost))
        made.is_error = True
        made.outcome.status, made.outcome.exit = "error", None
        made.outcome.error = f"{done.lost.kind}: {done.lost.message}"[:ERROR]
    return made


def row(host: str, done: Done) -> Json:
    """What the record says of a machine that was asked to run something."""
    completed = done.completed
    facts: Json = {
        "host": host,
        "status": done.status,
        "bytes": completed.bytes,
        "sha256": completed.sha256,
    }
    if done.address:
        facts["address"] = done.address
    if done.host_key:
        facts["host_key"] = done.host_key
    if done.lost is not None:
        facts["error"] = f"{done.lost.kind}: {done.lost.message}"[:ERROR]
    elif done.unconfirmed:
        facts["error"] = UNCONFIRMED
    elif completed.signal is not None:
        facts["signal"] = completed.signal
    else:
        facts["exit"] = completed.exit
    return facts


def failed(host: str, error: RelayError) -> Json:
    """What the record says of a machine that was not reached."""
    return {"host": host, "status": "error", "error": f"{error.kind}: {error.message}"[:ERROR]}


def cancelled(host: str) -> Json:
    """What the record says of a machine on which a call was ended."""
    return {"host": host, "status": "cancelled"}


def render(facts: Json) -> str:
    """The text of a run on another machine."""
    parts = []
    if "stdout" in facts and "error" in facts and "timeout" not in facts:
        parts = [text.error_text(facts), facts["stdout"]]
    else:
        parts = [run_result.render(facts)]
    return text.join([*parts, *(f"[{note}]" for note in facts.get("notes", []))])
