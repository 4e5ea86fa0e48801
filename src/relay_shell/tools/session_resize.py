"""session_resize: change the size of a session's terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import schema, text
from .base import Annotations, Call, Json, Result, Route, Tool, arguments, facts


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Set the size; the program gets SIGWINCH from the kernel."""
    session = call.services.sessions.get(args["session"])
    session.resize(args["rows"], args["columns"])
    return Result({"session": session.handle, "rows": args["rows"], "columns": args["columns"]})


def render(facts: Json) -> str:
    """The new size."""
    if "rows" not in facts:
        return text.error_text(facts)
    return f"[{facts['session']} is now {facts['rows']}x{facts['columns']}]"


TOOL = Tool(
    name="session_resize",
    title="Resize a session",
    group="session",
    description="Set a session's terminal size.",
    input_schema=arguments(
        ("session", "rows", "columns"),
        session=schema.SESSION,
        rows=schema.ROWS,
        columns=schema.COLUMNS,
    ),
    output_schema=facts(
        ("session", "rows", "columns"),
        session={"type": "string"},
        rows={"type": "integer"},
        columns={"type": "integer"},
    ),
    annotations=Annotations(read_only=False, destructive=False, idempotent=True, open_world=False),
    handler=handle,
    render=render,
    route=Route("handle", "session"),
)
