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
on another machine, which reaches this host through ssh with a key and without a terminal.

Standard output is what to run or to save; where it goes is said on standard error. The forms for
claude-code, codex, continue, copilot, gemini, opencode and qwen were tried with those programs,
the others follow what their makers document."""

EXAMPLES = """\
examples:
  relay-shell client-config claude-code
  relay-shell client-config vscode > .vscode/mcp.json
  ssh alice@web1.example.org relay-shell client-config codex --ssh alice@web1.example.org"""

PROGRAM = "/usr/bin/relay-shell"
# RFC 952/1123 host names, addresses and ssh_config(5) aliases; never an option.
_DESTINATION = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*@)?[A-Za-z0-9_\[][A-Za-z0-9_.:\[\]%-]*")
# Clients call tools by "mcp__" + server + "__" + tool, and model APIs take 64 characters.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")

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


def _zed(name: str, entry: Entry) -> str:
    return _json({"context_servers": {name: entry}})


def _opencode(name: str, entry: Entry) -> str:
    server = {"type": "local", "command": [entry["command"], *entry["args"]]}
    return _json({"$schema": "https://opencode.ai/config.json", "mcp": {name: server}})


def _continue(name: str, entry: Entry) -> str:
    """A block of Continue's, in YAML; its scalars are JSON, which YAML 1.2 contains."""
    return "\n".join(
        (
            f"name: {json.dumps(name)}",
            "version: 0.0.1",
            "schema: v1",
            "mcpServers:",
            f"  - name: {json.dumps(name)}",
            "    type: stdio",
            f"    command: {json.dumps(entry['command'])}",
            f"    args: {json.dumps(entry['args'])}",
        )
    )


def _added(*words: str) -> Callable[[str, Entry], str]:
    """A client that is told by a command: these words, the name, `--`, the server's command."""

    def write(name: str, entry: Entry) -> str:
        return shlex.join([*words, name, "--", entry["command"], *entry["args"]])

    return write


def _added_by_yargs(program: str) -> Callable[[str, Entry], str]:
    """Gemini and its kin: the command is a positional, only what follows it needs the `--`."""

    def write(name: str, entry: Entry) -> str:
        words = [program, "mcp", "add", "--scope", "user", name, entry["command"], "--"]
        return shlex.join([*words, *entry["args"]])

    return write


CLIENTS: dict[str, Client] = {
    "claude-code": Client(
        _added("claude", "mcp", "add", "--transport", "stdio", "--scope", "user"),
        "Run this command. For one project's .mcp.json instead: client 'json'.",
    ),
    "claude-desktop": Client(
        _servers,
        "Merge into claude_desktop_config.json (Settings, Developer, Edit Config), then restart "
        "the application.",
    ),
    "codex": Client(
        _added("codex", "mcp", "add"),
        "Run this command; it writes ~/.codex/config.toml.",
    ),
    "continue": Client(
        _continue,
        "Save as .continue/mcpServers/relay-shell.yaml of a workspace; for 'cn', which does not "
        "read that, merge mcpServers into ~/.continue/config.yaml.",
    ),
    "copilot": Client(
        _added("copilot", "mcp", "add"),
        "Run this command; it writes ~/.copilot/mcp-config.json.",
    ),
    "cursor": Client(
        _typed_servers, "Merge into ~/.cursor/mcp.json, or .cursor/mcp.json of a project."
    ),
    "gemini": Client(
        _added_by_yargs("gemini"),
        "Run this command; it writes ~/.gemini/settings.json. Servers start in trusted folders "
        "only.",
    ),
    "opencode": Client(
        _opencode,
        "Merge into ~/.config/opencode/opencode.json, or opencode.json of a project.",
    ),
    "qwen": Client(
        _added_by_yargs("qwen"),
        "Run this command; it writes ~/.qwen/settings.json.",
    ),
    "vscode": Client(
        _vscode,
        "Save as .vscode/mcp.json of a workspace, or merge by 'MCP: Open User Configuration'.",
    ),
    "windsurf": Client(_servers, "Merge into ~/.codeium/windsurf/mcp_config.json."),
    "zed": Client(_zed, "Merge into ~/.config/zed/settings.json."),
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
    # BatchMode ssh fails at once where it would wait for a password that nobody can type; a
    # client is idle for hours, which middleboxes forget, and would wait for a lost host for ever.
    options = ["-T", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=30"]
    return {"command": "ssh", "args": [*options, ssh, "relay-shell", verb]}


def trial(ssh: str, verb: str) -> str:
    """What to do once by hand: a client shows little of what ssh says, and cannot answer it."""
    command = shlex.join(["ssh", "-T", ssh, "relay-shell", verb])
    return (
        f"Try once in a terminal: {command} </dev/null\n"
        "It must ask for nothing but, the first time, about the host key, and end at once."
    )


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's options."""
    parser = subparsers.add_parser("client-config", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument(
        "client", choices=list(CLIENTS), metavar="CLIENT", help=f"one of {', '.join(CLIENTS)}"
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
            "InvalidArguments", reason="--name takes up to 40 letters, digits, '_' and '-'"
        )
    client = CLIENTS[args.client]
    found = shutil.which("relay-shell")
    print(client.write(args.name, entry(args.ssh, args.standalone, found or PROGRAM)))
    sys.stdout.flush()
    print(client.where, file=sys.stderr)
    if args.ssh is not None:
        print(trial(args.ssh, "stdio" if args.standalone else "connect"), file=sys.stderr)
    return 0
