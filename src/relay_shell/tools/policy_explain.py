"""policy_explain: what the policy would say to a call, without making it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..wire.errors import RelayError
from . import schema, text
from .base import Annotations, Call, Json, Result, Tool, arguments, facts


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Ask the broker about `tool` with `arguments`, by default shell_exec of a command."""
    tool = args.get("tool", "shell_exec")
    if "arguments" in args:
        asked = args["arguments"]
    else:
        asked = {name: args[name] for name in ("command", "argv") if name in args}
        if len(asked) != 1:
            raise RelayError("InvalidArguments", reason="give command, argv, or arguments")
    question = {"tool": tool, "args": asked, **await _reached(call, tool, asked)}
    return Result(await call.services.explain(question))


async def _reached(call: Call, tool: str, args: Mapping[str, Any]) -> Json:
    """The machines that a call would reach, and what reads its text there."""
    from .registry import TOOLS

    asked = TOOLS.get(tool)
    if asked is None or asked.reach is None:
        return {}
    try:
        reached = await asked.reach(call.services, args)
    except (KeyError, TypeError, AttributeError):
        # The arguments do not fit the tool; the broker judges them as they are.
        return {}
    if reached.error is not None:
        raise reached.error
    return {"hosts": reached.names(), "shell": reached.shell}


def render(facts: Json) -> str:
    """Decision, tier and reasons."""
    if "decision" not in facts:
        return text.error_text(facts)
    tier = facts["tier"]
    name = text.TIER_NAMES[tier] if 0 <= tier < len(text.TIER_NAMES) else "UNKNOWN"
    lines = [f"[{facts['decision']}] tier {tier} ({name}), mode {facts.get('mode', '?')}"]
    lines += [f"- {reason}" for reason in facts.get("reasons", [])]
    if facts.get("hint"):
        lines.append(facts["hint"])
    return "\n".join(lines)


TOOL = Tool(
    name="policy_explain",
    title="Explain a decision",
    group="server",
    description="What tier a command has, whether it would be allowed, and why. Runs nothing.",
    input_schema=arguments(
        command=schema.COMMAND,
        argv=schema.ARGV,
        tool={"type": "string", "maxLength": 64, "description": "Another tool's name."},
        arguments={"type": "object", "description": "That tool's arguments."},
    ),
    output_schema=facts(
        ("decision", "tier"),
        decision={"type": "string"},
        tier={"type": "integer"},
        mode={"type": "string"},
        enforcement={"type": "string"},
        reasons={"type": "array", "items": {"type": "string"}},
        hint={"type": "string"},
    ),
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False),
    handler=handle,
    render=render,
)
