"""output_read: page or search a long output that a command left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import schema, text
from .base import Annotations, Call, Json, Result, Route, Tool, arguments, facts


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Search with `search`, else page by `line` or `offset`."""
    outputs = call.services.outputs
    stored = outputs.get(args["output"], args.get("stream"))
    if "search" in args:
        found = await stored.search(
            args["search"], context=args.get("context", 0), most=args.get("count", 50)
        )
    elif "line" in args:
        found = await stored.lines(args["line"], args.get("count", 200))
    else:
        found = stored.page(args.get("offset", 0), args.get("count", 65_536))
    return Result({"output": args["output"], **found})


def render(facts: Json) -> str:
    """What part this is, then its text or matches."""
    if "size" not in facts:
        return text.error_text(facts)
    head = f"[{facts['output']} {facts['stream']}, {facts['size']} bytes"
    if "matches" in facts:
        lines = [f"{head}, {len(facts['matches'])} match(es)]"]
        for match in facts["matches"]:
            for row in match["lines"]:
                mark = ":" if row["line"] == match["line"] else "-"
                lines.append(f"{row['line']}{mark}{row['text']}")
        if facts.get("more"):
            lines.append("[more matches follow; raise count or narrow the pattern]")
        return text.join(lines)
    where = f"bytes {facts['offset']} to {facts['next_offset']}"
    if "line" in facts:
        where = f"lines {facts['line']} to {facts['next_line'] - 1}"
    parts = [f"{head}, {where}]", facts["text"]]
    if facts.get("missing"):
        parts.append(f"[bytes {facts['next_offset']} to {facts['resume']} were not kept]")
    elif facts.get("more"):
        follow = f"line={facts['next_line']}" if "line" in facts else ""
        parts.append(f"[more: {follow or 'offset=' + str(facts['next_offset'])}]")
    return text.join(parts)


TOOL = Tool(
    name="output_read",
    title="Read a long output",
    group="output",
    description=(
        "Page or search the whole of a truncated output by its handle, instead of running"
        " the command again."
    ),
    input_schema=arguments(
        ("output",),
        output={"type": "string", "minLength": 1, "maxLength": 128},
        stream={"type": "string", "enum": ["stdout", "stderr"]},
        search={
            "type": "string",
            "minLength": 1,
            "maxLength": 1000,
            "description": "RE2 pattern; returns matching lines with their numbers.",
        },
        context={
            "type": "integer",
            "minimum": 0,
            "maximum": 100,
            "description": "Lines around each match.",
        },
        line={"type": "integer", "minimum": 1, "description": "First line to return."},
        offset={"type": "integer", "minimum": 0, "description": "First byte to return."},
        count={
            "type": "integer",
            "minimum": 1,
            "maximum": 1048576,
            "description": "Most matches (50), lines (200) or bytes (65536).",
        },
    ),
    output_schema=facts(
        ("output", "stream", "size"),
        output={"type": "string"},
        stream={"type": "string"},
        size={"type": "integer", "description": "Bytes of the whole."},
        redactions=schema.REDACTIONS,
        text={"type": "string"},
        offset={"type": "integer"},
        next_offset={"type": "integer"},
        line={"type": "integer"},
        next_line={"type": "integer"},
        more={"type": "boolean"},
        missing={"type": "boolean", "description": "Bytes up to resume were not kept."},
        resume={"type": "integer", "description": "Offset where kept bytes go on."},
        matches={
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "line": {"type": "integer"},
                    "offset": {"type": "integer"},
                    "lines": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "line": {"type": "integer"},
                                "text": {"type": "string"},
                            },
                            "required": ["line", "text"],
                        },
                    },
                },
                "required": ["line", "offset", "lines"],
            },
        },
    ),
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False),
    handler=handle,
    render=render,
    route=Route("handle", "output"),
)
