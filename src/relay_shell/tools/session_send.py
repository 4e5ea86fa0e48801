"""session_send: type into a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import schema
from .base import Annotations, Call, Result, Route, Tool, arguments, facts
from .session_output import facts_of, render


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Send text, then keys, then Enter; read the answer if the call asks to wait for it."""
    sessions = call.services.sessions
    session = sessions.get(args["session"])
    await session.send(
        args.get("text", ""),
        args.get("keys", ()),
        submit=args.get("submit", False),
        enforcement=call.enforcement,
        call_id=call.id,
    )
    if not {"wait", "quiet", "timeout"} & args.keys():
        return Result({"session": session.handle})
    reading = await sessions.read(
        session,
        wait=args.get("wait"),
        quiet=args.get("quiet"),
        timeout=args.get("timeout"),
    )
    return Result(facts_of(reading))


TOOL = Tool(
    name="session_send",
    title="Type into a session",
    group="session",
    description=(
        "Send text, then keys, then Enter if submit is true. With wait, quiet or timeout,"
        " also return the output that follows, as session_recv does."
    ),
    input_schema=arguments(
        ("session",),
        session=schema.SESSION,
        text={"type": "string"},
        keys={
            "type": "array",
            "items": {"type": "string", "maxLength": 32},
            "maxItems": 256,
            "description": 'Such as "C-c", "enter", "tab", "esc", "up", "f1", "M-x".',
        },
        submit={"type": "boolean"},
        wait=schema.WAIT,
        quiet=schema.QUIET,
        timeout=schema.WAIT_TIMEOUT,
        idempotency_key=schema.IDEMPOTENCY_KEY,
    ),
    output_schema=facts(("session",), **schema.SESSION_OUTPUT_FACTS),
    annotations=Annotations(read_only=False, destructive=True, idempotent=False, open_world=True),
    handler=handle,
    render=render,
    route=Route("handle", "session"),
)
