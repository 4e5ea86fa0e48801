"""audit_tail: the agent's own last records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import text
from .base import Annotations, Call, Json, Result, Tool, arguments, facts

FILTERS = ("event", "tool", "tier", "decision", "call_id")


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Ask the broker; it answers with this principal's records only."""
    filters = {name: args[name] for name in FILTERS if name in args}
    return Result({"records": await call.services.audit_tail(args.get("count", 20), filters)})


def render(facts: Json) -> str:
    """A line for each record, oldest first."""
    if "records" not in facts:
        return text.error_text(facts)
    if not facts["records"]:
        return "[no records]"
    import json

    lines = []
    for record in facts["records"]:
        words = [str(record.get(key, "")) for key in ("seq", "ts", "event", "tool")]
        if "tier" in record:
            words.append(f"tier {record['tier']}")
        words.append(str(record.get("decision") or record.get("status") or ""))
        if "exit" in record:
            words.append(f"exit {record['exit']}")
        if "args" in record:
            words.append(json.dumps(record["args"], ensure_ascii=False))
        lines.append(" ".join(word for word in words if word))
    return "\n".join(lines)


TOOL = Tool(
    name="audit_tail",
    title="Your last audit records",
    group="server",
    description="Your own latest audit records, oldest first: what was asked, decided and done.",
    input_schema=arguments(
        count={"type": "integer", "minimum": 1, "maximum": 1000},
        event={"type": "string", "maxLength": 32},
        tool={"type": "string", "maxLength": 64},
        tier={"type": "integer", "minimum": 0, "maximum": 3},
        decision={"type": "string", "maxLength": 32},
        call_id={"type": "string", "maxLength": 64},
    ),
    output_schema=facts(("records",), records={"type": "array", "items": {"type": "object"}}),
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False),
    handler=handle,
    render=render,
)
