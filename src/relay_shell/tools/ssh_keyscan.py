"""ssh_keyscan: which host keys a machine of the inventory shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import remote_result, schema, text
from .base import Annotations, Call, Json, Result, Tool, arguments, facts

TRUST = "Only an operator makes a key known: compare it on the host's own console, then run"


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Ask for each kind of key; nothing is stored."""
    (route,) = remote_result.routes(call)
    keys = await call.services.ssh.keys(route)
    return Result({"host": route.host.name, "keys": keys})


def render(facts: Json) -> str:
    """A line for each key."""
    if "keys" not in facts:
        return text.error_text(facts)
    lines = [f"[{facts['host']}: {len(facts['keys'])} host key(s)]"]
    lines += [f"{key['state']}: {key['type']} {key['fingerprint']}" for key in facts["keys"]]
    if not any(key["state"] == "known" for key in facts["keys"]):
        lines.append(f"{TRUST} 'relay-shell ssh trust {facts['host']}'.")
    return "\n".join(lines)


TOOL = Tool(
    name="ssh_keyscan",
    title="Show a host's keys",
    group="ssh",
    description=(
        "The host keys that a host shows, compared with those the operator made known."
        " Stores nothing and does not log in."
    ),
    input_schema=arguments(("host",), host=schema.HOST),
    output_schema=facts(
        ("host", "keys"),
        host={"type": "string"},
        keys={
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"type": "string"},
                    "fingerprint": {"type": "string"},
                    "state": {
                        "type": "string",
                        "enum": ["known", "unknown", "changed", "revoked"],
                    },
                    "line": {"type": "string", "description": "As known_hosts would list it."},
                },
            },
        },
    ),
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=True),
    handler=handle,
    render=render,
    reach=remote_result.reach_one,
)
