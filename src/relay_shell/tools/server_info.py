"""server_info: who the agent is here, and what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import text
from .base import Annotations, Call, Json, Result, Tool, arguments, facts


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """What the worker knows of itself."""
    return Result(call.services.info())


def render(facts: Json) -> str:
    """One `name: value` line a fact."""
    if "error" in facts:
        return text.error_text(facts)
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key}={item}" for key, item in value.items())
        elif isinstance(value, list):
            value = ", ".join(str(item) for item in value)
        if value != "":
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


TOOL = Tool(
    name="server_info",
    title="About this server",
    group="server",
    description=(
        "Who you are here, as which user commands run, the mode and tier ceiling that apply,"
        " and the limits."
    ),
    input_schema=arguments(),
    output_schema=facts(
        ("version", "principal"),
        version={"type": "string"},
        host={"type": "string"},
        os={"type": "string"},
        kernel={"type": "string"},
        principal={"type": "string"},
        user={"type": "string", "description": "Account that commands run as."},
        posture={"type": "string"},
        worker={"type": "string"},
        mode={"type": "string", "enum": ["open", "guarded", "readonly"]},
        ceiling={"type": "integer", "description": "Highest tier allowed, 0 to 3."},
        command_shell={"type": "string"},
        home={"type": "string"},
        sessions={"type": "integer"},
        calls={"type": "integer"},
        containment={"type": "array", "items": {"type": "string"}},
        limits={"type": "object", "additionalProperties": {"type": "number"}},
    ),
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False),
    handler=handle,
    render=render,
)
