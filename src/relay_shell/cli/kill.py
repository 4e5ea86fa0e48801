"""`relay-shell kill`: end work in progress, with every process that it started."""

from __future__ import annotations

import argparse
import json

from ..wire.errors import RelayError
from .freeze import principal, reason_of, worker
from .operator import Operator
from .parser import Subparsers, add_json, add_socket
from .term import safe

DESCRIPTION = """\
End a worker, a connection, one call or all work of a principal. The agent may connect and call
again; 'relay-shell freeze' keeps it out."""


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's options."""
    parser = subparsers.add_parser("kill", description=DESCRIPTION)
    scope = parser.add_mutually_exclusive_group(required=True)
    scope.add_argument("--worker", metavar="ID", help="a worker with its calls and sessions")
    scope.add_argument("--conn", metavar="ID", help="a client's connection")
    scope.add_argument("--call", metavar="ID", help="one running call")
    scope.add_argument("--principal", metavar="NAME", help="everything of one identity")
    parser.add_argument("--reason", metavar="TEXT", help="recorded, and told to the agent")
    add_json(parser)
    add_socket(parser)


def run(args: argparse.Namespace) -> int:
    """Kill, and fail with NotFound if nothing was there to end."""
    for scope, tidy in (("worker", worker), ("conn", str), ("call", str), ("principal", principal)):
        given = getattr(args, scope)
        if given is not None:
            value = tidy(given)
            break
    with Operator(args.socket) as broker:
        reply = broker.request("kill", {"scope": scope, "value": value, "reason": reason_of(args)})
    if args.json:
        print(json.dumps(reply))
    elif reply["stopped"]:
        print(f"ended: {reply['stopped']}")
    if not reply["stopped"]:
        missing = RelayError("NotFound", reason=f"no {scope} {safe(value)!r} at work")
        missing.next_step = "'relay-shell status' lists what is."
        raise missing
    return 0
