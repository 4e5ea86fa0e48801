"""shell_read: one command that the kernel keeps from changing anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..wire.errors import RelayError
from . import shell_exec
from .base import Annotations, Call, Result, Tool, arguments

_SAME = shell_exec.TOOL


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Run the command as shell_exec does, if the verdict says that it runs enforced."""
    if call.enforcement != "readonly":
        # The broker demands it for this tool in every mode; the client relies on the hint.
        raise RelayError("Enforcement", reason="the verdict does not demand it")
    return await shell_exec.handle(call, args)


TOOL = Tool(
    name="shell_read",
    title="Look, without changing anything",
    group="shell",
    description=(
        "Run one command to its end; the kernel refuses every change to the machine: files (but"
        " $TMPDIR), processes, services, network. Prefer it for looking around: ps, df, ss, find,"
        " grep, git log, systemctl status and the like work. Otherwise as shell_exec."
    ),
    input_schema=arguments(
        **{
            name: schema
            for name, schema in _SAME.input_schema["properties"].items()
            if name != "idempotency_key"
        }
    ),
    output_schema=_SAME.output_schema,
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=True),
    handler=handle,
    render=_SAME.render,
)
