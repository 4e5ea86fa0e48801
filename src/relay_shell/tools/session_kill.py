"""session_kill: end a session and all that it started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import schema, text
from .base import Annotations, Call, Json, Outcome, Result, Route, Tool, arguments, facts


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Hang up, then kill what is left, and look that nothing is."""
    sessions = call.services.sessions
    session = sessions.get(args["session"])
    ended = await sessions.end(session, "killed")
    known: Json = {"session": session.handle, "killed": ended.killed}
    if session.exit is not None:
        known["exit"] = session.exit
    if session.signal is not None:
        known["signal"] = session.signal
    return Result(known, outcome=Outcome("ok", survivors=ended.survivors))


def render(facts: Json) -> str:
    """What was ended."""
    if "killed" not in facts:
        return text.error_text(facts)
    how = facts.get("signal") or f"exit {facts.get('exit', '?')}"
    return f"[{facts['session']} ended, {how}; {facts['killed']} process(es) killed]"


TOOL = Tool(
    name="session_kill",
    title="End a session",
    group="session",
    description=(
        "End a session and every process it started, and drop its output. To interrupt only"
        ' the running command, send the key "C-c".'
    ),
    input_schema=arguments(
        ("session",), session=schema.SESSION, idempotency_key=schema.IDEMPOTENCY_KEY
    ),
    output_schema=facts(
        ("session", "killed"),
        session={"type": "string"},
        killed={"type": "integer"},
        exit={"type": "integer"},
        signal={"type": "string"},
    ),
    annotations=Annotations(read_only=False, destructive=True, idempotent=True, open_world=False),
    handler=handle,
    render=render,
    route=Route("handle", "session"),
)
