"""The table of verbs: which module serves each, and what one line of help says of it."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """One verb; `module` lies in this package and has `add_parser(subparsers)` and `run(args)`."""

    module: str
    section: str
    summary: str


VERBS: dict[str, Verb] = {
    "connect": Verb("connect", "Agents", "connect a stdio MCP client to this host's socket"),
    "stdio": Verb("stdio", "Agents", "serve MCP on stdin and stdout without systemd (standalone)"),
    "client-config": Verb(
        "client_config", "Agents", "print the registration for an MCP client, local or over ssh"
    ),
    "status": Verb("status", "Operators", "show live agents, calls, freezes and audit health"),
    "audit": Verb("audit", "Operators", "read, follow and verify the audit record"),
    "evidence": Verb("evidence", "Operators", "make and verify bundles of records"),
    "replay": Verb("replay", "Operators", "list, check, play and export recordings of sessions"),
    "freeze": Verb("freeze", "Operators", "stop agents and refuse their calls until unfrozen"),
    "unfreeze": Verb("unfreeze", "Operators", "lift a freeze"),
    "kill": Verb("kill", "Operators", "end a worker, a connection, a call or a principal's work"),
    "metrics": Verb("metrics", "Administration", "print the broker's figures for Prometheus"),
    "forward": Verb("forward", "Administration", "send the record to another host"),
    "ssh": Verb("ssh", "Administration", "list SSH hosts, add their keys, import an ssh_config"),
    "config": Verb("config", "Administration", "check, show and reload the configuration"),
    "posture": Verb("posture", "Administration", "show and set what worker units are allowed"),
    "doctor": Verb("doctor", "Administration", "look for drift between this host and the package"),
    "policy": Verb("policy", "Administration", "explain and test what the policy decides"),
    "redact": Verb("redact", "Administration", "filter secrets out of a stream"),
}
