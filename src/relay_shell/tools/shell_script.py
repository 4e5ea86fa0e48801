"""shell_script: a script of several lines, run by the interpreter that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..wire.errors import RelayError
from . import run_result, schema
from .base import Annotations, Call, Result, Tool, arguments, facts
from .command import check_words, options_of

INTERPRETERS = {"bash": "/bin/bash", "sh": "/bin/sh", "python3": "/usr/bin/python3"}
SHEBANG_LENGTH = 255
"""Octets of the first line that execve(2) reads (BINPRM_BUF_SIZE)."""


def interpreter_of(script: str, named: str | None) -> list[str]:
    """The words before the script's path: the interpreter named, the #! line, or bash.

    As execve(2) does, all that follows the interpreter on the #! line is one argument.

    Raises:
        RelayError: kind InvalidArguments, for a #! line that names no interpreter.
    """
    if named is not None:
        return [INTERPRETERS[named]]
    if not script.startswith("#!"):
        return [INTERPRETERS["bash"]]
    line = script[2:].split("\n", 1)[0].strip(" \t")
    if not line or len(line) > SHEBANG_LENGTH:
        raise RelayError("InvalidArguments", reason="the #! line names no interpreter")
    return line.split(None, 1)


async def handle(call: Call, args: Mapping[str, Any]) -> Result:
    """Run `script` from a sealed memory file, so that what runs is what was recorded."""
    script = args["script"]
    interpreter = interpreter_of(script, args.get("interpreter"))
    check_words(interpreter)
    done = await call.services.shell.run(
        interpreter,
        script=script.encode("utf-8", "surrogateescape"),
        script_args=args.get("args", []),
        call=call,
        **options_of(args, call.services.settings),
    )
    return run_result.result(done)


TOOL = Tool(
    name="shell_script",
    title="Run a script",
    group="shell",
    description=(
        "Run a script of several lines to its end, without quoting it into a command line:"
        " by bash, or by the interpreter of its #! line. Otherwise as shell_exec."
    ),
    input_schema=arguments(
        ("script",),
        script={"type": "string", "minLength": 1},
        interpreter={
            "type": "string",
            "enum": list(INTERPRETERS),
            "description": "Overrides the #! line.",
        },
        args={"type": "array", "items": {"type": "string"}, "maxItems": 1024},
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
