"""ssh_hosts: the machines of the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import text
from .base import Annotations, Call, Json, Result, Tool, arguments, facts

FIELDS = ("user", "jump", "shell", "description")


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """List what the principal may reach; the inventory is read, and nothing is connected to."""
    ssh, granted = call.services.ssh, call.services.granted_hosts
    inventory = ssh.inventory()
    words = args.get("match") or []
    chosen = inventory.select(words) if words else list(inventory.hosts.values())
    rows = []
    for host in chosen:
        if not ssh.fits(host, granted):
            continue
        row: Json = {"host": host.name, "address": host.address, "port": host.port}
        row |= {name: getattr(host, name) for name in FIELDS if getattr(host, name)}
        if host.groups:
            row["groups"] = list(host.groups)
        rows.append(row)
    return Result({"hosts": rows})


def render(facts: Json) -> str:
    """A line for each machine."""
    if "hosts" not in facts:
        return text.error_text(facts)
    lines = [f"[{len(facts['hosts'])} host(s)]"]
    for row in facts["hosts"]:
        parts = [f"{row['host']}: {row.get('user', '?')}@{row['address']}"]
        if row["port"] != 22:
            parts.append(f"port {row['port']}")
        if "jump" in row:
            parts.append(f"through {row['jump']}")
        if "groups" in row:
            parts.append(" ".join(f"@{name}" for name in row["groups"]))
        if "description" in row:
            parts.append(row["description"])
        lines.append(", ".join(parts))
    if not facts["hosts"]:
        lines.append("The operator lists hosts in /etc/relay-shell/inventory.toml.")
    return "\n".join(lines)


TOOL = Tool(
    name="ssh_hosts",
    title="List hosts",
    group="ssh",
    description="The hosts that the ssh tools can reach, with their groups. Connects to none.",
    input_schema=arguments(
        match={
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 256},
            "maxItems": 256,
            "description": "Names, globs or @groups; default all.",
        },
    ),
    output_schema=facts(
        ("hosts",),
        hosts={
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "host": {"type": "string"},
                    "address": {"type": "string"},
                    "port": {"type": "integer"},
                    "user": {"type": "string"},
                    "jump": {"type": "string"},
                    "shell": {"type": "string"},
                    "groups": {"type": "array", "items": {"type": "string"}},
                    "description": {"type": "string"},
                },
                "required": ["host", "address", "port"],
            },
        },
    ),
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False),
    handler=handle,
    render=render,
)
