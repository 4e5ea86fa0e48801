"""`relay-shell doctor`: whether this host is still what the package set up."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path

from .checks.base import FAIL, OK, SKIP, WARN, Finding, Host
from .parser import Subparsers, add_json, add_socket
from .term import Style, safe

DESCRIPTION = """\
Look for drift: units replaced or overridden, lost file attributes, journal limits, permissions,
accounts, versions, kernel features, space. Each finding that is not ok names its reason and a fix.
Exit status 0: nothing failed. 1: something failed. Run it as root to see everything."""

# The configuration comes first: the others look where it points.
DOMAINS = ("configuration", "units", "files", "accounts", "keys", "evidence", "kernel", "software")

_COLOURS = {OK: "green", WARN: "yellow", FAIL: "red", SKIP: "dim"}


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's options."""
    parser = subparsers.add_parser("doctor", description=DESCRIPTION)
    parser.add_argument("--strict", action="store_true", help="a warning is a failure too")
    parser.add_argument("--quiet", "-q", action="store_true", help="print only what is not ok")
    parser.add_argument(
        "--root", metavar="DIR", help="look at the system below DIR, not at what runs"
    )
    add_json(parser, "print one JSON array of findings")
    add_socket(parser)


def examine(host: Host) -> list[Finding]:
    """Run every check; one that cannot work becomes a finding itself and hides no other."""
    found: list[Finding] = []
    for domain in DOMAINS:
        module = import_module(f"{__package__}.checks.{domain}")
        try:
            found.extend(module.check(host))
        except Exception as error:
            found.append(
                Finding(domain, FAIL, domain, f"cannot be checked: {error}", "run it as root")
            )
    return found


def run(args: argparse.Namespace) -> int:
    """Print the findings."""
    host = Host(Path(args.root or "/"), live=args.root is None, operator_socket=args.socket)
    findings = examine(host)
    bad = {FAIL, WARN} if args.strict else {FAIL}
    status = 1 if any(finding.status in bad for finding in findings) else 0
    if args.json:
        print(json.dumps([finding._asdict() for finding in findings]))
        return status
    style = Style()
    for finding in findings:
        if args.quiet and finding.status == OK:
            continue
        mark = style(f"{finding.status:<4}", _COLOURS[finding.status])
        print(f"{mark}  {finding.check:<10} {safe(finding.subject)}: {safe(finding.reason)}")
        if finding.fix and finding.status in (WARN, FAIL):
            print(f"      {'':<10} fix: {finding.fix}")
    counts = {
        name: sum(finding.status == name for finding in findings) for name in (OK, WARN, FAIL, SKIP)
    }
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    return status
