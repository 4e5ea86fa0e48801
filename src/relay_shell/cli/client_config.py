"""`relay-shell client-config`: what to write into an MCP client so that it finds this host.

Standard output is exactly what to paste; where it goes is said on standard error.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from ..wire.errors import RelayError
from .parser import Subparsers

DESCRIPTION = """\
Print the registration of this host's relay-shell for an MCP client. With --ssh it is for a client
on another machine, which reaches this host through ssh with a key and without a terminal."""

EXAMPLES = """\
examples:
  relay-shell client-config claude-code
  relay-shell client-config vscode > .vscode/mcp.json
  relay-shell client-config cursor --ssh alice@web1.example.org"""

PROGRAM = "/usr/bin/relay-shell"
# RFC 952/1123 host names, addresses and ssh_config(5) aliases; never an option.
_DESTINATION = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*@)?[A-Za-z0-9_\[][A-Za-z0-9_.:\[\]%-]*")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

Entry = dict[str, Any]


class Client(NamedTuple):
    """One client: how its registration is written, and where it goes."""

    write: Callable[[str, Entry], str]
    where: str


def _json(value: Any) -> str:
    return json.dumps(value, indent=2)


def _servers(name: str, entry: Entry) -> str:
    """The `mcpServers` object, without a type, as Claude Desktop documents it."""
    return _json({"mcpServers": {name: entry}})


def _typed_servers(name: str, entry: Entry) -> str:
    return _json({"mcpServers": {name: {"type": "stdio", **entry}}})


def _vscode(name: str, entry: Entry) -> str:
    return _json({"servers": {name: {"type": "stdio", **entry}}})


def _claude_code(name: str, entry: Entry) -> str:
    words = ["claude", "mcp", "add", "--transport", "stdio", "--scope", "user", name, "--"]
    return shlex.join([*words, entry["command"], *entry["args"]])


CLIENTS: dict[str, Client] = {
    "claude-code": Client(
        _claude_code, "Run this command. For one project's .mcp.json instead: client 'json'."
    ),
    "claude-desktop": Client(
        _servers,
        "Merge into claude_desktop_config.json (Settings, Developer, Edit Config), then restart "
        "the application.",
    ),
    "vscode": Client(
        _vscode,
        "Save as .vscode/mcp.json of a workspace, or merge by 'MCP: Open User Configuration'.",
    ),
    "cursor": Client(
        _typed_servers, "Merge into ~/.cursor/mcp.json, or .cursor/mcp.json of a project."
    ),
    "json": Client(
        _typed_servers,
        "The form that most clients read ('mcpServers'), a project's .mcp.json among them.",
    ),
}


def entry(ssh: str | None, standalone: bool, program: str) -> Entry:
    """The command and arguments that start the client's end.

    Raises:
        RelayError: InvalidArguments, for a destination that ssh might take for an option.
    """
    verb = "stdio" if standalone else "connect"
    if ssh is None:
        return {"command": program, "args": [verb]}
    if not _DESTINATION.fullmatch(ssh):
        raise RelayError("InvalidArguments", reason=f"{ssh!r} is no ssh destination (user@host)")
    # Without -T a pty would be asked for by some configurations, and rewrite line ends; with
    # BatchMode ssh fails at once where it would wait for a password that nobody can type.
    args = ["-T", "-o", "BatchMode=yes", ssh, "relay-shell", verb]
    return {"command": "ssh", "args": args}


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's options."""
    parser = subparsers.add_parser("client-config", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument(
        "client", choices=list(CLIENTS), help="which client the registration is for"
    )
    parser.add_argument("--ssh", metavar="USER@HOST", help="reach this host over ssh")
    parser.add_argument(
        "--name",
        default="relay-shell",
        help="name of the server in the client (default: %(default)s)",
    )
    parser.add_argument(
        "--standalone",
        action="store_true",
        help="register 'relay-shell stdio', which needs no systemd",
    )


def run(args: argparse.Namespace) -> int:
    """Print the registration."""
    if not _NAME.fullmatch(args.name):
        raise RelayError(
            "InvalidArguments", reason="--name takes up to 64 letters, digits, '_' and '-'"
        )
    client = CLIENTS[args.client]
    found = shutil.which("relay-shell")
    print(client.write(args.name, entry(args.ssh, args.standalone, found or PROGRAM)))
    sys.stdout.flush()
    print(client.where, file=sys.stderr)
    return 0
