"""`relay-shell audit`: read, follow, export and verify the record."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..wire.errors import RelayError
from . import auditexport, auditverify, auditview
from .freeze import principal, worker
from .parser import Parser, Subparsers, add_json, add_socket
from .place import setting
from .records import Desk, Files, Filters, source
from .selection import add_call, add_file, add_filters
from .term import Style

DESCRIPTION = """\
Read the record of what agents asked for, what was decided and what came of it. It is read from the
file and the rotated files beside it; who may not read them (root and group adm may) is answered
by the broker, if an operator."""

EXAMPLES = """\
examples:
  relay-shell audit tail --principal alice --since 1h
  relay-shell audit tail --tier 2+ --event deny --since today
  relay-shell audit show k-0123456789abcdef
  relay-shell audit follow --json | jq 'select(.exit != 0)'
  relay-shell audit export --format cef --since today
  relay-shell audit verify"""


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's actions and options."""
    parser = subparsers.add_parser("audit", description=DESCRIPTION, epilog=EXAMPLES)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    tail = actions.add_parser("tail", help="print the last records")
    _add_count(tail, 20, "how many, 0 for all")
    _add_filters(tail)
    show = actions.add_parser("show", help="print one call in full, with what it executed")
    show.add_argument("id", metavar="ID", help="id of a call, or number of a record")
    follow = actions.add_parser("follow", help="print records as they are written")
    _add_count(follow, 10, "begin with the last N")
    _add_filters(follow)
    for action in (tail, show, follow):
        action.add_argument("--utc", action="store_true", help="times in UTC, not local")
    verify = actions.add_parser("verify", help="check the chain over all files of the record")
    key = actions.add_parser("key", help="print the public keys that checkpoints are signed with")
    key.add_argument("--create", action="store_true", help="make a key if there is none")
    key.add_argument(
        "--renew", action="store_true", help="make another key, in use once the broker restarts"
    )
    auditverify.add_options(verify)
    export = actions.add_parser("export", help="print or send the record as a SIEM takes it")
    auditexport.add_options(export)
    rotate = actions.add_parser("rotate", help="go on in a new file, and make the old immutable")
    rotate.add_argument(
        "--keep", type=_count, default=0, metavar="N", help="remove all but N rotated files"
    )
    add_json(rotate)
    add_socket(rotate)
    for action in (tail, show, follow, key):
        add_json(action, "print one JSON object a line")
        add_file(action)
    for action in (tail, show, follow):
        add_socket(action)


def _add_count(parser: Parser, default: int, what: str) -> None:
    parser.add_argument(
        "-n",
        "--count",
        type=_count,
        default=default,
        metavar="N",
        help=f"{what} (default {default})",
    )


def _add_filters(parser: Parser) -> None:
    group = add_filters(parser)
    add_call(group)
    group.add_argument("--tool", metavar="NAME", help="calls of one tool")
    group.add_argument("--tier", type=_tier, metavar="N", help="tier 0 to 3; 2+ is 2 and above")
    group.add_argument("--event", metavar="NAME", help="such as intent, outcome, deny, connect")
    group.add_argument("--decision", choices=["allow", "deny"], help="what was decided")
    group.add_argument("--conn", metavar="ID", help="of one connection")
    group.add_argument("--worker", metavar="ID", help="of one worker")
    group.add_argument("--unit", metavar="PATTERN", help="of units that match, * and ? allowed")


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return count


def _tier(text: str) -> list[int]:
    number = text.removesuffix("+")
    if number not in ("0", "1", "2", "3"):
        raise argparse.ArgumentTypeError("must be 0 to 3, or 0+ to 3+ for that and above")
    return list(range(int(number), 4 if text.endswith("+") else int(number) + 1))


def _filters(args: argparse.Namespace) -> Filters:
    wanted = {
        "principal": None if args.principal is None else principal(args.principal),
        "tool": args.tool,
        "tier": args.tier,
        "event": args.event,
        "decision": args.decision,
        "call_id": args.call,
        "conn": args.conn,
        "worker": None if args.worker is None else worker(args.worker),
        "since": args.since,
        "until": args.until,
    }
    return Filters(wanted, args.unit)


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    actions = {
        "tail": _tail,
        "show": _show,
        "follow": _follow,
        "verify": _verify,
        "export": auditexport.run,
        "key": _key,
        "rotate": _rotate,
    }
    return actions[args.action](args)


def _source(args: argparse.Namespace) -> Files | Desk:
    return source(args.file, Path(setting("paths.audit")), args.socket)


def _print(record: dict[str, Any], args: argparse.Namespace, style: Style) -> None:
    text = json.dumps(record) if args.json else auditview.line(record, style, args.utc)
    sys.stdout.write(f"{text}\n")


def _tail(args: argparse.Namespace) -> int:
    style = Style()
    found = False
    for record in _source(args).last(args.count, _filters(args)):
        _print(record, args, style)
        found = True
    if not found and not args.json:
        # Not an error, but silence would look like one.
        sys.stderr.write("relay-shell: no records fit\n")
    return 0


def _show(args: argparse.Namespace) -> int:
    where = _source(args)
    number = int(args.id) if args.id.isdecimal() else None
    if number is not None:
        found = where.number(number)
        records = [found] if found else []
    else:
        records = where.call(args.id)
    if not records:
        missing = RelayError("NotFound", reason=f"no record of {args.id!r}")
        missing.next_step = "'relay-shell audit tail' prints the ids of the last calls."
        raise missing
    style = Style()
    if args.json:
        for record in records:
            print(json.dumps(record))
    elif number is not None:
        print(auditview.plain(records[0], style))
    else:
        print(auditview.call(records, style, args.utc))
    return 0


def _follow(args: argparse.Namespace) -> int:
    from .follow import follow

    wanted = _filters(args)
    style = Style()
    for record in follow(_source(args), args.count):
        if record["event"] == "gap":
            missed = f"{record['first']} to {record['last']}"
            sys.stderr.write(f"relay-shell: records {missed} were not seen\n")
        elif wanted(record):
            _print(record, args, style)
            sys.stdout.flush()
    return 0


def _key(args: argparse.Namespace) -> int:
    from .auditkey import run as key

    return key(args)


def _rotate(args: argparse.Namespace) -> int:
    from .auditrotate import run as rotate

    return rotate(args)


def _verify(args: argparse.Namespace) -> int:
    from .auditverify import run as verify

    return verify(args)
