"""What agents may do: policy, tools, budgets, and what is shown to them."""

from __future__ import annotations

from ..setting import BROKER, FRONT, MIB, WORKER, Setting, choice, integer

TOOL_GROUPS = ("shell", "session", "output", "ssh", "server")
"""The groups of relay_shell.tools.registry, which this package may not import; a test compares."""

ROWS: tuple[Setting, ...] = (
    choice(
        "policy.mode",
        ("open", "guarded", "readonly"),
        (BROKER,),
        True,
        "open: every call runs, classified and recorded. guarded: a call of tier 2 or above runs "
        "only if an allow rule matches. readonly: only what the kernel can confine to reading.",
    ),
    Setting(
        "policy.deny",
        "patterns",
        (),
        0,
        1024,
        "",
        (BROKER,),
        True,
        "RE2 patterns; a command that one of them is found in is refused, in every mode.",
    ),
    Setting(
        "policy.allow",
        "patterns",
        (),
        0,
        1024,
        "",
        (BROKER,),
        True,
        "RE2 patterns; in guarded mode, a command that one of them is found in is admitted.",
    ),
    integer(
        "policy.ceiling",
        3,
        0,
        3,
        "",
        (BROKER,),
        "Highest tier that any call may have: 0 read-only, 1 reversible, 2 stateful, "
        "3 irreversible.",
    ),
    Setting(
        "tools.disabled",
        "names",
        (),
        0,
        64,
        "",
        (BROKER, FRONT, WORKER),
        True,
        "Tool groups that are switched off for everybody; relay-shell(7) says what is in them.",
        TOOL_GROUPS,
    ),
    integer(
        "budgets.calls_per_minute",
        6000,
        0,
        1_000_000,
        "",
        (BROKER,),
        "Calls a minute, in the long run; refused ones count.",
    ),
    integer(
        "budgets.burst",
        6000,
        0,
        1_000_000,
        "",
        (BROKER,),
        "Calls that may come at once before calls_per_minute holds.",
    ),
    integer(
        "budgets.sensitive_per_minute",
        600,
        0,
        1_000_000,
        "",
        (BROKER,),
        "Calls a minute of tier 3, and of the tools that hold resources for long, reach many "
        "machines or disclose much.",
    ),
    integer(
        "budgets.sensitive_burst",
        300,
        0,
        1_000_000,
        "",
        (BROKER,),
        "Such calls that may come at once.",
    ),
    integer(
        "budgets.concurrent",
        1024,
        0,
        65536,
        "",
        (BROKER,),
        "Calls running at once, over all connections; limits.calls bounds each worker.",
    ),
    integer(
        "budgets.cpu_seconds",
        36_000,
        0,
        10**9,
        "s",
        (BROKER,),
        "Processor time an hour, of calls and sessions that have ended.",
    ),
    integer(
        "budgets.output_bytes",
        16 * 1024 * MIB,
        0,
        10**15,
        "bytes",
        (BROKER,),
        "Output an hour, whether it was returned or not.",
    ),
    choice(
        "redaction.output",
        ("off", "on"),
        (BROKER, WORKER),
        True,
        "Whether secrets are also hidden in what is returned to the agent.",
    ),
)
