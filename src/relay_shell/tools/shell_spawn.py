"""shell_spawn: a program on a terminal of its own, driven by the session tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import schema, text
from .base import Annotations, Call, Json, Outcome, Result, Tool, arguments, facts
from .command import DEFAULT_SHELL, check_words, command_of


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Start the session; without a command, an interactive shell."""
    settings = call.services.settings
    if "command" in args or "argv" in args:
        argv = command_of(args, settings)
    else:
        argv = [str(settings.get("worker.shell", DEFAULT_SHELL)), "-i"]
    check_words(argv)
    session = await call.services.sessions.spawn(
        argv,
        call=call,
        cwd=args.get("cwd"),
        env=args.get("env"),
        rows=args.get("rows", 24),
        columns=args.get("columns", 80),
        title=args.get("command") or " ".join(argv),
    )
    return Result(
        {"session": session.handle, "pid": session.pid}, outcome=Outcome(session=session.handle)
    )


def render(facts: Json) -> str:
    """The handle, and what to do with it."""
    if "session" not in facts:
        return text.error_text(facts)
    return f"[session {facts['session']} started, pid {facts['pid']}]"


TOOL = Tool(
    name="shell_spawn",
    title="Start a session",
    group="session",
    description=(
        "Start a program (default: an interactive shell) on a terminal and return a session"
        " handle at once. For long or interactive work, password prompts and full-screen"
        " programs. Read with session_recv, write with session_send. The session survives a"
        " lost connection and ends when idle for long (server_info: limits)."
    ),
    input_schema=arguments(
        command=schema.COMMAND,
        argv=schema.ARGV,
        cwd=schema.CWD,
        env=schema.ENV,
        rows=schema.ROWS,
        columns=schema.COLUMNS,
        idempotency_key=schema.IDEMPOTENCY_KEY,
    ),
    output_schema=facts(("session", "pid"), session={"type": "string"}, pid={"type": "integer"}),
    annotations=Annotations(read_only=False, destructive=True, idempotent=False, open_world=True),
    handler=handle,
    render=render,
)
