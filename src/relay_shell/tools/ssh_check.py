"""ssh_check: whether machines of the inventory can be reached and logged in to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..wire.errors import RelayError
from . import remote_result, schema, text
from .base import Annotations, Call, Json, Outcome, Result, Tool, arguments, facts

if TYPE_CHECKING:
    from ..ssh.reach import Route


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Connect, log in and run nothing."""
    routes = remote_result.routes(call)
    turn = asyncio.Semaphore(int(call.services.settings.get("limits.fanout_at_once", 32)))

    async def check(route: Route) -> Json:
        host = route.host
        row: Json = {"host": host.name, "user": host.user}
        if host.jump:
            row["jump"] = host.jump
        try:
            async with turn:
                row |= {"ok": True} | await call.services.ssh.check(route)
        except RelayError as error:
            row |= {"ok": False, **text.error_facts(error)}
        call.progress(f"{host.name}: {'ok' if row['ok'] else row['error']['kind']}")
        return row

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(check(route)) for route in routes]
    rows = [task.result() for task in tasks]
    well = sum(row["ok"] for row in rows)
    answer = {"total": len(rows), "ok": well, "hosts": rows}
    return Result(answer, False, Outcome("ok" if well == len(rows) else "error"))


def render(facts: Json) -> str:
    """A line for each machine."""
    if "total" not in facts:
        return text.error_text(facts)
    lines = [f"[{facts['ok']} of {facts['total']} hosts: ok]"]
    for row in facts["hosts"]:
        if row["ok"]:
            lines.append(f"{row['host']}: ok, {row['ms']} ms, user {row['user']}, {row['server']}")
        else:
            error = row["error"]
            lines += [f"{row['host']}: {error['kind']}: {error['message']}", error["next_step"]]
    return "\n".join(lines)


TOOL = Tool(
    name="ssh_check",
    title="Check the way to hosts",
    group="ssh",
    description=(
        "Connect to hosts, check host key and login, and run nothing there. Says for each what is"
        " wrong."
    ),
    input_schema=arguments(("hosts",), hosts=schema.HOSTS),
    output_schema=facts(
        ("total", "ok", "hosts"),
        total={"type": "integer"},
        ok={"type": "integer"},
        hosts={
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "host": {"type": "string"},
                    "ok": {"type": "boolean"},
                    "user": {"type": "string"},
                    "jump": {"type": "string"},
                    "address": {"type": "string"},
                    "server": {"type": "string"},
                    "host_key": {"type": "string"},
                    "ms": {"type": "integer"},
                    "error": {"type": "object"},
                },
                "required": ["host", "ok"],
            },
        },
    ),
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=True),
    handler=handle,
    render=render,
    reach=remote_result.reach_all,
)
