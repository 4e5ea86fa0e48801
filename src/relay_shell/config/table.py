"""The one table of settings: loader, default file, manual page and JSON schema follow from it."""

from __future__ import annotations

from typing import Any, NamedTuple

ROOT = "/etc/relay-shell"
FILE = "relay-shell.toml"
DROP_INS = "relay-shell.d"
PREFIX = "RELAY_SHELL_"

RESERVED = frozenset(
    {
        "RELAY_SHELL_CONFIG",
        "RELAY_SHELL_CALL",
        "RELAY_SHELL_CONN",
        "RELAY_SHELL_PRINCIPAL",
        "RELAY_SHELL_SESSION",
        "RELAY_SHELL_WORKER",
    }
)
"""Names under the prefix that are no settings: the directory of the files, and what a worker may
tell the commands that it starts."""

KIB = 1024
MIB = 1024 * KIB

BROKER = "broker"
FRONT = "front"
WORKER = "worker"


TOOL_GROUPS = ("shell", "session", "output", "server")
"""The groups of relay_shell.tools.registry, which this package may not import; a test compares."""


class Setting(NamedTuple):
    """One setting.

    `kind` is int, str, choice, path, names (a list of `choices`) or patterns (a list for RE2).
    `low` and `high` bound an int, else the characters of a str or path and the items of a list.
    `audience` names the processes that are told the value; `reload` says whether
    `systemctl reload relay-shell` applies a change, or only a restart does.
    """

    name: str
    kind: str
    default: Any
    low: int
    high: int
    unit: str
    audience: tuple[str, ...]
    reload: bool
    help: str
    choices: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        return self.name.partition(".")[0]

    @property
    def key(self) -> str:
        return self.name.partition(".")[2]


SECTIONS: dict[str, str] = {
    "policy": "What agents may do. Deny rules decide first, in every mode.",
    "tools": "Which tools exist.",
    "limits": "Bounds. Each is per worker (one agent connection) unless it says otherwise.",
    "budgets": "How much one principal may ask for, over all its connections; 0 is no limit. "
    "access.toml gives other budgets by identity.",
    "evidence": "The record of every call: the file and the journal.",
    "redaction": "Hiding secrets. The arguments in the record are always redacted.",
    "front": "The process that speaks MCP.",
    "worker": "The process that runs the commands of one connection.",
    "paths": "Files and sockets. The units and tmpfiles.d name the same paths: change both.",
}


def _path(name: str, default: str, audience: tuple[str, ...], text: str) -> Setting:
    # sun_path of unix(7) holds 107 characters and a NUL.
    high = 107 if default.endswith(".sock") else 4095
    return Setting(name, "path", default, 2, high, "", audience, False, text)


def _int(
    name: str,
    default: int,
    low: int,
    high: int,
    unit: str,
    audience: tuple[str, ...],
    text: str,
    reload: bool = True,
) -> Setting:
    return Setting(name, "int", default, low, high, unit, audience, reload, text)


def _choice(
    name: str, choices: tuple[str, ...], audience: tuple[str, ...], reload: bool, text: str
) -> Setting:
    return Setting(name, "choice", choices[0], 0, 0, "", audience, reload, text, choices)


_ROWS: tuple[Setting, ...] = (
    _choice(
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
    _int(
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
    _int(
        "limits.timeout",
        60,
        1,
        86400,
        "s",
        (FRONT, WORKER),
        "Time a command may take if the call names none.",
    ),
    _int(
        "limits.timeout_max",
        900,
        1,
        86400,
        "s",
        (FRONT, WORKER),
        "Most time that a call may ask for.",
    ),
    _int(
        "limits.output",
        64 * KIB,
        KIB,
        MIB,
        "bytes",
        (FRONT, WORKER),
        "Output returned if the call names no limit; the whole stays readable by handle.",
    ),
    _int(
        "limits.output_max",
        MIB,
        KIB,
        MIB,
        "bytes",
        (FRONT, WORKER),
        "Most output that a call may ask for.",
    ),
    _int("limits.calls", 32, 1, 1024, "", (FRONT, WORKER), "Calls running at once."),
    _int("limits.sessions", 64, 0, 1024, "", (WORKER,), "Terminal sessions open at once."),
    _int(
        "limits.session_buffer",
        256 * KIB,
        4 * KIB,
        64 * MIB,
        "bytes",
        (WORKER,),
        "Unread output kept for each session.",
    ),
    _int(
        "limits.session_idle",
        1800,
        1,
        30 * 86400,
        "s",
        (WORKER,),
        "A session that nobody used for this long is ended.",
    ),
    _int(
        "limits.session_life",
        86400,
        1,
        365 * 86400,
        "s",
        (WORKER,),
        "A session older than this is ended.",
    ),
    _int("limits.outputs", 64, 0, 4096, "", (WORKER,), "Large outputs kept for output_read."),
    _int(
        "limits.outputs_bytes",
        64 * MIB,
        0,
        16 * 1024 * MIB,
        "bytes",
        (WORKER,),
        "Space for the outputs kept; the oldest make room.",
    ),
    _int(
        "limits.message",
        4 * MIB,
        64 * KIB,
        4 * MIB,
        "bytes",
        (FRONT,),
        "Longest MCP message accepted.",
    ),
    _int(
        "limits.connections",
        512,
        1,
        4096,
        "",
        (BROKER, FRONT),
        "Clients connected at once, in all.",
    ),
    _int(
        "limits.connections_per_user",
        64,
        1,
        4096,
        "",
        (BROKER, FRONT),
        "Clients of one user connected at once.",
    ),
    _int(
        "limits.replay",
        600,
        0,
        86400,
        "s",
        (BROKER, WORKER),
        "A call that repeats an idempotency_key is answered from the first one's result for this "
        "long; 0 switches the keys off.",
    ),
    _int(
        "budgets.calls_per_minute",
        6000,
        0,
        1_000_000,
        "",
        (BROKER,),
        "Calls a minute, in the long run; refused ones count.",
    ),
    _int(
        "budgets.burst",
        6000,
        0,
        1_000_000,
        "",
        (BROKER,),
        "Calls that may come at once before calls_per_minute holds.",
    ),
    _int(
        "budgets.sensitive_per_minute",
        600,
        0,
        1_000_000,
        "",
        (BROKER,),
        "Calls a minute of tier 3, and of the tools that hold resources for long, reach many "
        "machines or disclose much.",
    ),
    _int(
        "budgets.sensitive_burst",
        300,
        0,
        1_000_000,
        "",
        (BROKER,),
        "Such calls that may come at once.",
    ),
    _int(
        "budgets.concurrent",
        1024,
        0,
        65536,
        "",
        (BROKER,),
        "Calls running at once, over all connections; limits.calls bounds each worker.",
    ),
    _int(
        "budgets.cpu_seconds",
        36_000,
        0,
        10**9,
        "s",
        (BROKER,),
        "Processor time an hour, of calls and sessions that have ended.",
    ),
    _int(
        "budgets.output_bytes",
        16 * 1024 * MIB,
        0,
        10**15,
        "bytes",
        (BROKER,),
        "Output an hour, whether it was returned or not.",
    ),
    _choice(
        "evidence.journal",
        ("spool", "block", "continue"),
        (BROKER,),
        True,
        "What to do while journald does not take records. spool: keep them in memory up to "
        "spool_bytes, then count what is lost. block: no call runs until journald takes them. "
        "continue: count what is lost. The file is written in every case.",
    ),
    _int(
        "evidence.spool_bytes",
        16 * MIB,
        64 * KIB,
        1024 * MIB,
        "bytes",
        (BROKER,),
        "Memory for journal records that wait for journald.",
    ),
    _int(
        "evidence.args_bytes",
        4096,
        256,
        256 * KIB,
        "bytes",
        (BROKER,),
        "Length of the redacted arguments in a record; size and SHA-256 of the full ones are "
        "always there.",
    ),
    _int(
        "evidence.checkpoint_records",
        1000,
        1,
        1_000_000,
        "",
        (BROKER,),
        "Records after which a signed checkpoint is written.",
    ),
    _int(
        "evidence.checkpoint_seconds",
        60,
        1,
        86400,
        "s",
        (BROKER,),
        "Time after which a signed checkpoint covers a new record.",
    ),
    _int(
        "evidence.heartbeat_seconds",
        300,
        0,
        86400,
        "s",
        (BROKER,),
        "A heartbeat is recorded after this long without any record, so that a gap shows; 0 never.",
    ),
    _choice(
        "redaction.output",
        ("off", "on"),
        (BROKER, WORKER),
        True,
        "Whether secrets are also hidden in what is returned to the agent.",
    ),
    _int(
        "front.idle_exit",
        300,
        0,
        30 * 86400,
        "s",
        (FRONT,),
        "The front ends after this long without a client, and starts at the next; 0 never.",
    ),
    _int(
        "worker.idle",
        1800,
        0,
        30 * 86400,
        "s",
        (WORKER,),
        "A worker whose client is gone keeps its sessions for this long.",
    ),
    _int(
        "worker.broker_wait",
        10,
        0,
        300,
        "s",
        (WORKER,),
        "How long a new call waits for a broker that is restarting before it is refused.",
    ),
    _choice(
        "worker.landlock",
        ("require", "off"),
        (WORKER,),
        False,
        "require: a worker of the scoped posture that cannot confine itself with Landlock does "
        "not start.",
    ),
    _choice(
        "worker.readonly_network",
        ("off", "on"),
        (WORKER,),
        True,
        "on: enforced commands (shell_read, and all in mode readonly) may use TCP and UDP, to read "
        "from the network, and so also to send.",
    ),
    Setting(
        "worker.path",
        "str",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        1,
        4096,
        "",
        (WORKER,),
        True,
        "PATH of commands.",
    ),
    Setting(
        "worker.shell",
        "path",
        "/bin/bash",
        2,
        4095,
        "",
        (WORKER,),
        True,
        "Shell that runs 'command' and sessions.",
    ),
    _path("paths.socket", "/run/relay-shell/relay-shell.sock", (FRONT,), "Where agents connect."),
    _path(
        "paths.broker",
        "/run/relay-shell/broker.sock",
        (BROKER, FRONT, WORKER),
        "Where front and workers meet the broker.",
    ),
    _path(
        "paths.operator",
        "/run/relay-shell/operator.sock",
        (BROKER,),
        "Where operators meet the broker.",
    ),
    _path(
        "paths.worker", "/run/relay-shell/worker.sock", (FRONT,), "Where systemd starts a worker."
    ),
    _path("paths.audit", "/var/log/relay-shell/audit.jsonl", (BROKER,), "The record."),
    _path(
        "paths.state",
        "/var/lib/relay-shell-broker",
        (BROKER,),
        "What the broker keeps over restarts.",
    ),
    _path(
        "paths.runtime",
        "/run/relay-shell-broker",
        (BROKER,),
        "What the broker keeps until the host restarts.",
    ),
)

TABLE: dict[str, Setting] = {row.name: row for row in _ROWS}


def env_name(name: str) -> str:
    """The environment variable of a setting: policy.mode is RELAY_SHELL_POLICY_MODE."""
    return PREFIX + name.replace(".", "_").upper()
