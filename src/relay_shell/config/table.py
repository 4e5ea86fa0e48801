"""The one table of settings: loader, default file, manual page and JSON schema follow from it."""

from __future__ import annotations

from .rows import authority, evidence, limits, processes, recording, ssh
from .rows.authority import TOOL_GROUPS
from .setting import BROKER, FRONT, WORKER, Setting

__all__ = [
    "BROKER",
    "DROP_INS",
    "FILE",
    "FRONT",
    "PREFIX",
    "RESERVED",
    "ROOT",
    "SECTIONS",
    "TABLE",
    "TOOL_GROUPS",
    "WORKER",
    "Setting",
    "env_name",
]

ROOT = "/etc/relay-shell"
FILE = "relay-shell.toml"
DROP_INS = "relay-shell.d"
PREFIX = "RELAY_SHELL_"

RESERVED = frozenset(
    {
        "RELAY_SHELL_CONFIG",
        "RELAY_SHELL_CALL",
        "RELAY_SHELL_CONN",
        "RELAY_SHELL_DESK",
        "RELAY_SHELL_PRINCIPAL",
        "RELAY_SHELL_PROVE_BROKER",
        "RELAY_SHELL_PROVE_FRONT",
        "RELAY_SHELL_SESSION",
        "RELAY_SHELL_WORKER",
    }
)
"""Names under the prefix that are no settings: the directory of the files, and what a worker and
`posture prove` tell the commands that they start."""

SECTIONS: dict[str, str] = {
    "policy": "What agents may do. Deny rules decide first, in every mode.",
    "tools": "Which tools exist.",
    "limits": "Bounds. Each is per worker (one agent connection) unless it says otherwise.",
    "budgets": "How much one principal may ask for, over all its connections; 0 is no limit. "
    "access.toml gives other budgets by identity.",
    "evidence": "The record of every call: the file and the journal.",
    "recording": "Recordings of terminal sessions (relay-shell replay). They hold every secret "
    "that the screen showed, unless redaction.output is on.",
    "redaction": "Hiding secrets. The arguments in the record are always redacted.",
    "front": "The process that speaks MCP.",
    "worker": "The process that runs the commands of one connection.",
    "ssh": "Connections to the hosts of inventory.toml(5); docs/ssh.md says how they are set up.",
    "paths": "Files and sockets. The units and tmpfiles.d name the same paths: change both.",
}

_ROWS = (
    *authority.ROWS,
    *limits.ROWS,
    *evidence.ROWS,
    *recording.ROWS,
    *processes.ROWS,
    *ssh.ROWS,
)
_ORDER = list(SECTIONS)

TABLE: dict[str, Setting] = {
    row.name: row for row in sorted(_ROWS, key=lambda row: _ORDER.index(row.section))
}
"""In the order of the sections."""


def env_name(name: str) -> str:
    """The environment variable of a setting: policy.mode is RELAY_SHELL_POLICY_MODE."""
    return PREFIX + name.replace(".", "_").upper()
