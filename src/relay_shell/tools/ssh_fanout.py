"""ssh_fanout: one command on many machines at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..wire.errors import RelayError
from . import remote_result, schema, text
from .base import Annotations, Call, Json, Outcome, Result, Tool, arguments, facts
from .command import limits_of, remote_text, stdin_of

if TYPE_CHECKING:
    from ..ssh.command import Done
    from ..ssh.reach import Route

LEAST = 256
"""Octets of output that each machine may show, however many there are."""

SHOWN = 20
"""Names in the heading of a group in the text block."""


SAID = ("exit", "signal", "stdout", "stderr", "truncated", "timeout", "notes")
"""Facts of one machine's result that a group shows."""


class Part:
    """One machine's share of the call, as a run sees its call."""

    listening = False

    def __init__(self) -> None:
        self.partial: Any = None

    def progress(self, message: str) -> None:
        """The whole call reports, not its parts."""


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Run the command on each; `timeout` is for all of them."""
    command = remote_text(args)
    routes = remote_result.routes(call)
    settings = call.services.settings
    limits = limits_of(args, settings)
    most = int(settings.get("limits.fanout_at_once", 32))
    turn = asyncio.Semaphore(min(args.get("at_once", most), most))
    room = max(LEAST, limits["max_output"] // len(routes))
    deadline = time.monotonic() + limits["timeout"]
    found: dict[str, Done | RelayError] = {}

    async def run(route: Route) -> None:
        host, part = route.host.name, Part()
        try:
            async with turn:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise RelayError("Timeout", seconds=f"{limits['timeout']:g}")
                found[host] = done = await call.services.ssh.run(
                    route,
                    command,
                    part,
                    stdin=stdin_of(args),
                    timeout=left,
                    max_output=room,
                    keep=False,
                )
            call.remote.append(remote_result.row(host, done))
        except RelayError as error:
            found[host] = error
            call.remote.append(remote_result.failed(host, error))
        except asyncio.CancelledError:
            call.remote.append(remote_result.cancelled(host))
            raise
        call.progress(f"{len(found)} of {len(routes)} hosts done")

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for route in routes:
            group.create_task(run(route))
    order = {route.host.name: number for number, route in enumerate(routes)}
    call.remote.sort(key=lambda row: order[row["host"]])
    return _result(found, list(order), round((time.monotonic() - began) * 1000))


def _result(found: Mapping[str, Done | RelayError], order: list[str], ms: int) -> Result:
    groups: dict[str, Json] = {}
    failures: list[Json] = []
    total = well = 0
    for host in order:
        done = found[host]
        if isinstance(done, RelayError):
            failures.append({"host": host, "kind": done.kind, "message": done.message})
            continue
        made = remote_result.result(host, done)
        total += done.completed.bytes
        well += done.status == "ok" and made.facts.get("exit") == 0
        shown = {name: made.facts[name] for name in SAID if name in made.facts}
        if not shown["truncated"]:
            del shown["truncated"]
        if done.lost is not None:
            failures.append({"host": host, "kind": done.lost.kind, "message": done.lost.message})
            if not shown.get("stdout"):
                continue
        groups.setdefault(repr(shown), {"hosts": [], **shown})["hosts"].append(host)
    answer: Json = {
        "total": len(order),
        "ok": well,
        "results": list(groups.values()),
        "failures": failures,
        "bytes": total,
        "duration_ms": ms,
    }
    ran = len(failures) < len(order)
    return Result(answer, not ran, Outcome("ok" if not failures else "error", bytes=total))


def render(facts: Json) -> str:
    """The counts, then each answer with the hosts that gave it."""
    if "total" not in facts:
        return text.error_text(facts)
    parts = [f"[{facts['ok']} of {facts['total']} hosts: exit 0]"]
    for group in facts["results"]:
        names = group["hosts"]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        parts.append(f"== {', '.join(names[:SHOWN])}{more} ({len(names)})")
        status = f"[exit {group['exit']}]" if "exit" in group else "[end unknown]"
        if "timeout" in group:
            status = f"[TIMEOUT after {group['timeout']:g}s]"
        parts += [status, group.get("stdout", "")]
        if group.get("stderr"):
            parts += ["[stderr]", group["stderr"]]
        if group.get("truncated"):
            parts.append("[cut: ssh_exec on one host shows more]")
        parts += [f"[{note}]" for note in group.get("notes", [])]
    for failure in facts["failures"]:
        parts.append(f"[ERROR: {failure['host']}: {failure['kind']}: {failure['message']}]")
    return text.join(parts)


TOOL = Tool(
    name="ssh_fanout",
    title="Run a command on many hosts",
    group="ssh",
    description=(
        "Run one command on several hosts at once. Hosts that answer the same are shown together."
    ),
    input_schema=arguments(
        ("hosts",),
        hosts=schema.HOSTS,
        command=schema.REMOTE_COMMAND,
        argv=schema.REMOTE_ARGV,
        stdin=schema.STDIN,
        timeout=schema.TIMEOUT | {"description": "Seconds for all."},
        max_output=schema.MAX_OUTPUT | {"description": "Bytes to return in all."},
        at_once={"type": "integer", "minimum": 1, "maximum": 256},
        idempotency_key=schema.IDEMPOTENCY_KEY,
    ),
    output_schema=facts(
        ("total", "ok", "results", "failures"),
        total={"type": "integer"},
        ok={"type": "integer", "description": "Hosts on which it ended with 0."},
        results={
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "hosts": {"type": "array", "items": {"type": "string"}},
                    "exit": {"type": "integer"},
                    "signal": {"type": "string"},
                    "stdout": {"type": "string"},
                    "stderr": {"type": "string"},
                    "truncated": {"type": "boolean"},
                    "timeout": {"type": "number"},
                    "notes": {"type": "array", "items": {"type": "string"}},
                },
            },
            "description": "Each answer once, with the hosts that gave it.",
        },
        failures=schema.HOST_FAILURES,
        bytes={"type": "integer"},
        duration_ms={"type": "integer"},
    ),
    annotations=Annotations(read_only=False, destructive=True, idempotent=False, open_world=True),
    handler=handle,
    render=render,
    reach=remote_result.reach_all,
)
