"""session_screen: the terminal as a person would see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import schema, text
from .base import Annotations, Call, Json, Result, Route, Tool, arguments, facts


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Render what the program has drawn so far."""
    sessions = call.services.sessions
    return Result(await sessions.get(args["session"]).screen())


def render(facts: Json) -> str:
    """Status line, then the screen's lines."""
    if "lines" not in facts:
        return text.error_text(facts)
    row, column = facts["cursor"]
    head = f"[{facts['session']} {facts['rows']}x{facts['columns']}, cursor {row},{column}]"
    return "\n".join([head, *facts["lines"]])


TOOL = Tool(
    name="session_screen",
    title="See a session's screen",
    group="session",
    description=(
        "Return the rendered screen of a session: what a full-screen program (top, vim, a"
        " menu) shows now. Trailing blank lines are left out."
    ),
    input_schema=arguments(("session",), session=schema.SESSION),
    output_schema=facts(
        ("session", "lines"),
        session={"type": "string"},
        rows={"type": "integer"},
        columns={"type": "integer"},
        cursor={
            "type": "array",
            "items": {"type": "integer"},
            "description": "Row and column, from 0.",
        },
        title={"type": "string"},
        lines={"type": "array", "items": {"type": "string"}},
        running={"type": "boolean"},
        redactions=schema.REDACTIONS,
    ),
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False),
    handler=handle,
    render=render,
    route=Route("handle", "session"),
)
