"""session_list: the sessions of this principal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import text
from .base import Annotations, Call, Json, Result, Route, Tool, arguments, facts


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """List live sessions and those that ended but whose output is still kept."""
    return Result({"sessions": call.services.sessions.list()})


def render(facts: Json) -> str:
    """A line for each session."""
    if "sessions" not in facts:
        return text.error_text(facts)
    if not facts["sessions"]:
        return "[no sessions]"
    lines = []
    for row in facts["sessions"]:
        state = "running" if row["running"] else f"exit {row.get('exit', '?')}"
        lines.append(
            f"{row['session']}  {state}  idle {row['idle']} s  unread {row['unread']} B"
            f"  {row['command']}"
        )
    return text.join(lines)


TOOL = Tool(
    name="session_list",
    title="List sessions",
    group="session",
    description="List your sessions, also those that an earlier connection left.",
    input_schema=arguments(),
    output_schema=facts(
        ("sessions",),
        sessions={
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "session": {"type": "string"},
                    "command": {"type": "string"},
                    "pid": {"type": "integer"},
                    "running": {"type": "boolean"},
                    "exit": {"type": "integer"},
                    "signal": {"type": "string"},
                    "age": {"type": "integer", "description": "Seconds."},
                    "idle": {"type": "integer", "description": "Seconds since last used."},
                    "unread": {"type": "integer", "description": "Bytes."},
                    "rows": {"type": "integer"},
                    "columns": {"type": "integer"},
                },
                "required": ["session", "command", "running", "idle", "unread"],
            },
        },
    ),
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False),
    handler=handle,
    render=render,
    route=Route("gather", "sessions"),
)
