"""session_recv: read a session's output, waiting for a pattern, for quiet or for its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import schema
from .base import Annotations, Call, Result, Route, Tool, arguments, facts
from .session_output import facts_of, render


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Read from where the last read ended, or from `offset`."""
    sessions = call.services.sessions
    reading = await sessions.read(
        sessions.get(args["session"]),
        wait=args.get("wait"),
        quiet=args.get("quiet"),
        timeout=args.get("timeout"),
        offset=args.get("offset"),
        raw=args.get("raw", False),
        max_output=args.get("max_output"),
    )
    return Result(facts_of(reading))


TOOL = Tool(
    name="session_recv",
    title="Read a session",
    group="session",
    description=(
        "Return a session's output since the last read. Waits until the pattern matches, the"
        " output is quiet, the program ends or the timeout. Offsets count bytes from the"
        " session's start, so nothing is lost unnoticed."
    ),
    input_schema=arguments(
        ("session",),
        session=schema.SESSION,
        wait=schema.WAIT,
        quiet=schema.QUIET,
        timeout=schema.WAIT_TIMEOUT,
        offset={
            "type": "integer",
            "description": "Read from here instead; negative counts from the end.",
        },
        max_output={"type": "integer", "minimum": 256, "maximum": 16777216},
        raw={"type": "boolean", "description": "Keep terminal control sequences."},
    ),
    output_schema=facts(
        ("session", "output", "next_offset", "running"), **schema.SESSION_OUTPUT_FACTS
    ),
    annotations=Annotations(read_only=True, destructive=False, idempotent=False, open_world=False),
    handler=handle,
    render=render,
    route=Route("handle", "session"),
)
