"""ssh_exec: one command on one machine of the inventory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..wire.errors import RelayError
from . import remote_result, schema
from .base import Annotations, Call, Result, Tool, arguments, facts
from .command import limits_of, remote_text, stdin_of


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Run the command there, through the account's login shell."""
    command = remote_text(args)
    (route,) = remote_result.routes(call)
    host = route.host.name
    try:
        done = await call.services.ssh.run(
            route,
            command,
            call,
            stdin=stdin_of(args),
            merge_stderr=args.get("merge_stderr", False),
            **limits_of(args, call.services.settings),
        )
    except RelayError as error:
        call.remote.append(remote_result.failed(host, error))
        raise
    except asyncio.CancelledError:
        call.remote.append(remote_result.cancelled(host))
        raise
    call.remote.append(remote_result.row(host, done))
    return remote_result.result(host, done)


TOOL = Tool(
    name="ssh_exec",
    title="Run a command on another host",
    group="ssh",
    description=(
        "Run one command on a host of ssh_hosts and return its output. The login shell there reads"
        " it; no state is carried over. In readonly mode only commands proven to change nothing"
        " run."
    ),
    input_schema=arguments(
        ("host",),
        host=schema.HOST,
        command=schema.REMOTE_COMMAND,
        argv=schema.REMOTE_ARGV,
        stdin=schema.STDIN,
        timeout=schema.TIMEOUT,
        max_output=schema.MAX_OUTPUT,
        merge_stderr=schema.MERGE_STDERR,
        idempotency_key=schema.IDEMPOTENCY_KEY,
    ),
    output_schema=facts(("host", "exit", "stdout"), **remote_result.FACTS),
    annotations=Annotations(read_only=False, destructive=True, idempotent=False, open_world=True),
    handler=handle,
    render=remote_result.render,
    reach=remote_result.reach_one,
)
