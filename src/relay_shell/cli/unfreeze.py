"""`relay-shell unfreeze`: lift a freeze."""

from __future__ import annotations

import argparse
import json

from ..wire.errors import RelayError
from .freeze import add_scope, describe, scope_of
from .operator import Operator
from .parser import Subparsers, add_json, add_socket
from .term import safe

DESCRIPTION = """\
Lift the freeze of the scope named. Another freeze that covers the same agent still holds: what
remains is printed."""


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's options."""
    parser = subparsers.add_parser("unfreeze", description=DESCRIPTION)
    add_scope(parser)
    add_json(parser)
    add_socket(parser)


def run(args: argparse.Namespace) -> int:
    """Unfreeze, and print what stays frozen."""
    scope, value = scope_of(args)
    with Operator(args.socket) as broker:
        try:
            reply = broker.request("unfreeze", {"scope": scope, "value": value})
        except RelayError as error:
            if error.kind == "NotFound":
                error.next_step = "'relay-shell status' lists what is frozen."
            raise
    if args.json:
        print(json.dumps(reply))
        return 0
    still = reply["frozen"]
    where = f"{scope} {safe(value)}".rstrip()
    print(f"unfrozen {where}; {'still frozen:' if still else 'nothing is frozen now'}")
    for item in still:
        print(f"  {describe(item)}")
    return 0
