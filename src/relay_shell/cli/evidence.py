"""`relay-shell evidence`: bundles of records that prove themselves, made and verified."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..wire.errors import RelayError
from .parser import Subparsers, add_json, add_socket
from .place import setting
from .selection import add_call, add_file, add_filters
from .term import Style, safe

DESCRIPTION = """\
Make a bundle of records for an investigator, or verify one. A bundle holds the records, the lines
that prove them up to a signed checkpoint, the recordings of their sessions, the settings, and
instructions; docs/evidence.md explains what it proves. The export is itself recorded."""

EXAMPLES = """\
examples:
  relay-shell evidence export --since 2026-01-31 --until 2026-02-01 --output incident.tar.gz
  relay-shell evidence export --principal alice --inclusion
  relay-shell evidence verify incident.tar.gz --key web1.pub"""

BUNDLE_STATUS: dict[str, int] = {
    "format": 40,
    "absent": 41,
    "extra": 42,
    "changed": 43,
    "manifest": 44,
    "edited": 45,
    "chain": 46,
    "signature": 47,
    "unknown-key": 48,
    "unsealed": 49,
    "chosen": 50,
    "recording": 51,
    "seal": 52,
    "untrusted": 53,
}
"""Exit status of `evidence verify` by its gravest failure (evidence.unbundle.KINDS)."""


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's actions and options."""
    parser = subparsers.add_parser("evidence", description=DESCRIPTION, epilog=EXAMPLES)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = actions.add_parser("export", help="make a bundle")
    add_call(add_filters(export))
    export.add_argument(
        "--inclusion",
        action="store_true",
        help="leave out what the proof of each record does not need; it no longer shows that "
        "nothing is missing",
    )
    export.add_argument(
        "--no-recordings", action="store_true", help="leave out the recordings of sessions"
    )
    export.add_argument("--output", metavar="FILE", help="default: evidence-HOST-FIRST-LAST.tar.gz")
    export.add_argument(
        "--offline", action="store_true", help="do not ask the broker to record the export"
    )
    add_file(export, "; offline")
    export.add_argument("--key", metavar="FILE", help="public keys (default: beside the record)")
    add_socket(export)
    verify = actions.add_parser("verify", help="say whether a bundle proves what it says")
    verify.add_argument("bundle", metavar="BUNDLE", help="the file")
    verify.add_argument(
        "--key",
        action="append",
        metavar="FILE",
        help="public keys of the host that it is of (default: those of this host, if it has any)",
    )
    for action in (export, verify):
        add_json(action, "print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    if args.action == "verify":
        return _verify(args)
    from .evidenceexport import export

    return export(args)


def _verify(args: argparse.Namespace) -> int:
    from ..evidence.keyfile import PUBLIC
    from ..evidence.signing import KeyFault, Keys
    from ..evidence.unbundle import verify

    files = [Path(file) for file in args.key or ()]
    default = Path(setting("paths.audit")).parent / PUBLIC
    keys = None
    try:
        if files:
            keys = Keys(file.read_bytes() for file in files)
        elif default.exists():
            keys = Keys([default.read_bytes()])
    except KeyFault as error:
        raise RelayError("InvalidArguments", reason=f"public key: {error}") from None
    except PermissionError:
        if files:
            raise
    report = verify(args.bundle, keys)
    failed = [finding for finding in report.findings if finding.fails]
    status = BUNDLE_STATUS[failed[0].kind] if failed else 0
    if args.json:
        findings = [{**f._asdict(), "fails": f.fails} for f in report.findings]
        print(json.dumps({**report._asdict(), "findings": findings, "status": status}))
        return status
    style = Style()
    for finding in report.findings:
        mark = style("fail", "red") if finding.fails else style("note", "yellow")
        print(f"{mark}  {safe(finding)}")
    manifest = report.manifest
    host = manifest.get("host")
    if isinstance(host, dict) and host:
        print(f"of host {safe(host.get('name'))}, machine {safe(host.get('machine_id'))}")
    print(
        f"{report.records} records chosen, proven by {report.lines} lines and "
        f"{report.checkpoints} signed checkpoints"
    )
    if report.export:
        who, ts = report.export.get("principal"), report.export.get("ts")
        print(f"exported by {safe(who)} at {safe(ts)}, record {safe(report.export.get('seq'))}")
    if failed:
        print(style(f"NOT PROVEN: {safe(failed[0])}", "bold", "red"))
        return status
    rest = "nothing between them is left out" if report.complete else "others may be left out"
    print(style("proven", "green") + f"; {rest}")
    return status
