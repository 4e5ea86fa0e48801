"""shell_read: one command that the kernel keeps from changing anything."""

from __future__ import annotations

from .base import Annotations, Tool
from .shell_exec import TOOL as SHELL_EXEC
from .shell_exec import handle

# The broker's verdict on this tool always demands enforcement, whatever the mode; the handler
# runs what the verdict says, so a worker that cannot enforce refuses.
TOOL = Tool(
    name="shell_read",
    title="Look, without changing anything",
    group="shell",
    description=(
        "Run one command to its end; the kernel refuses every change to the machine: files (but"
        " $TMPDIR), processes, services, network. Prefer it for looking around: ps, df, ss, find,"
        " grep, git log, systemctl status and the like work. Otherwise as shell_exec."
    ),
    input_schema=SHELL_EXEC.input_schema,
    output_schema=SHELL_EXEC.output_schema,
    annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=False),
    handler=handle,
    render=SHELL_EXEC.render,
)
