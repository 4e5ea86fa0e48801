"""`relay-shell freeze`: stop agents now and refuse their calls until an operator unfreezes."""

from __future__ import annotations

import argparse
import json
import os
import pwd
import sys
from typing import Any

from ..wire.errors import RelayError
from .operator import Operator
from .parser import Parser, Subparsers, add_json, add_socket
from .term import Style, safe

DESCRIPTION = """\
Refuse every call in the scope named, and end the workers in it with all that they started.
The freeze is recorded, survives a restart of the broker and of the host, and ends only with
'relay-shell unfreeze'. A tier freezes calls of that tier and above, a host those
that reach it by any of its names; workers go on, and so do sessions that have left for it. A host
that a command names only when it runs is not seen."""

EXAMPLES = """\
examples:
  relay-shell freeze all --reason 'incident 42'
  relay-shell freeze --principal unix:alice
  relay-shell freeze --host 'db-*'
  relay-shell freeze --tier 2 --reason 'change freeze'"""


def add_scope(parser: Parser) -> None:
    """Add the options that name what is frozen or unfrozen: exactly one of them."""
    scope = parser.add_mutually_exclusive_group(required=True)
    scope.add_argument("all", nargs="?", choices=["all"], help="everybody")
    scope.add_argument("--principal", metavar="NAME", help="one identity, for example unix:alice")
    scope.add_argument(
        "--worker", metavar="ID", help="one worker, as 'relay-shell status' names it"
    )
    scope.add_argument(
        "--host", metavar="NAME", help="calls that reach a host: a name, a pattern or a network"
    )
    scope.add_argument("--tier", type=int, choices=range(4), help="calls of this tier and above")


def scope_of(args: argparse.Namespace) -> tuple[str, str]:
    """The scope and value of the message, from the options of `add_scope`."""
    if args.principal is not None:
        return "principal", principal(args.principal)
    if args.worker is not None:
        return "worker", worker(args.worker)
    if args.host is not None:
        return "host", str(args.host)
    if args.tier is not None:
        return "tier", str(args.tier)
    return "all", ""


def principal(name: str) -> str:
    """A principal as the record writes it: a bare user name means `unix:<name>`.

    Raises:
        RelayError: InvalidArguments, for an empty name.
    """
    if not name:
        raise RelayError("InvalidArguments", reason="the principal is empty")
    return name if ":" in name else f"unix:{name}"


def worker(name: str) -> str:
    """The worker's id, also out of a handle such as `s1.abcd2345`."""
    return name.rpartition(".")[2] if name.count(".") == 1 else name


def reason_of(args: argparse.Namespace) -> str:
    """The reason given, or who acted, so that a record never lacks one."""
    if args.reason:
        return str(args.reason)
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"by {os.environ.get('SUDO_USER') or name}"


def describe(item: Any) -> str:
    """One freeze of the broker's list, as a line for a human."""
    if not isinstance(item, dict):
        return safe(item)
    scope, value = safe(item.get("scope", "?")), safe(item.get("value", ""))
    line = f"{scope} {value}".rstrip()
    if item.get("reason"):
        line += f": {safe(item['reason'])}"
    if item.get("since"):
        line += f" (since {safe(item['since'])})"
    return line


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's options."""
    parser = subparsers.add_parser("freeze", description=DESCRIPTION, epilog=EXAMPLES)
    add_scope(parser)
    parser.add_argument("--reason", metavar="TEXT", help="recorded, and told to the agents")
    add_json(parser)
    add_socket(parser)


def run(args: argparse.Namespace) -> int:
    """Freeze, and print what is frozen now."""
    scope, value = scope_of(args)
    with Operator(args.socket) as broker:
        reply = broker.request(
            "freeze", {"scope": scope, "value": value, "reason": reason_of(args)}
        )
    if args.json:
        print(json.dumps(reply))
        return 0
    where = f"{scope} {safe(value)}".rstrip()
    print(f"{Style()('frozen', 'red')} {where}; ended at once: {reply['stopped']}")
    for item in reply["frozen"]:
        print(f"  {describe(item)}")
    if scope == "principal" and not _known(value):
        name = safe(value.removeprefix("unix:"))
        sys.stderr.write(f"relay-shell: this host has no account {name!r}; the freeze stands\n")
    return 0


def _known(principal: str) -> bool:
    """False for the principal of an account that there is not: perhaps it is misspelt."""
    if not principal.startswith("unix:"):
        return True
    try:
        pwd.getpwnam(principal.removeprefix("unix:"))
    except KeyError:
        return False
    return True
