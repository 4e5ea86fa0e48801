"""shell_exec: one command, run to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import run_result, schema
from .base import Annotations, Call, Result, Tool, arguments, facts
from .command import command_of, options_of


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Run `command` with the shell of the settings, or `argv` as it stands."""
    done = await call.services.shell.run(
        command_of(args, call.services.settings),
        call=call,
        command=args.get("command"),
        **options_of(args, call.services.settings),
    )
    return run_result.result(done)


TOOL = Tool(
    name="shell_exec",
    title="Run a command",
    group="shell",
    description=(
        "Run one command to its end and return its output. Each call starts afresh: no state"
        " is carried over, and background processes are killed when the command ends. Use"
        " shell_spawn for anything long, interactive or that asks for a password."
    ),
    input_schema=arguments(
        command=schema.COMMAND,
        argv=schema.ARGV,
        cwd=schema.CWD,
        env=schema.ENV,
        stdin=schema.STDIN,
        timeout=schema.TIMEOUT,
        max_output=schema.MAX_OUTPUT,
        merge_stderr=schema.MERGE_STDERR,
        idempotency_key=schema.IDEMPOTENCY_KEY,
    ),
    output_schema=facts(("exit", "stdout"), **schema.RUN_FACTS),
    annotations=Annotations(read_only=False, destructive=True, idempotent=False, open_world=True),
    handler=handle,
    render=run_result.render,
)
