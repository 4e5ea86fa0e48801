"""`relay-shell audit verify`: whether the record is whole, signed, and what its copies hold."""

from __future__ import annotations

import argparse
import functools
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..wire.errors import RelayError
from . import auditpublish
from .parser import Parser, add_json, add_socket
from .place import setting
from .term import Style, safe, size

if TYPE_CHECKING:
    from ..evidence.signing import Keys
    from ..evidence.verify import Finding, Report

VERIFY_STATUS: dict[str, int] = {
    "missing": 10,
    "empty": 11,
    "unreadable": 12,
    "gap": 13,
    "order": 14,
    "edited": 15,
    "relinked": 16,
    "restart": 17,
    "foreign": 18,
    "signature": 19,
    "unknown-key": 20,
    "unsigned": 21,
    "differs": 22,
    "removed": 23,
    "absent": 24,
    "forked": 25,
    "copy": 26,
    "version": 27,
}
"""Exit status of `audit verify` by its first failure (evidence.verify.KINDS)."""

JOBS = 64
"""Most processes that read at once."""


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_json(parser, "print one JSON object")
    parser.add_argument(
        "--file", "--audit-path", metavar="PATH", help="another record than the host's"
    )
    parser.add_argument(
        "--segment", metavar="FILE", help="one file alone, a rotated or a compressed one too"
    )
    parser.add_argument(
        "--key",
        action="append",
        metavar="FILE",
        help="public keys that may have signed (default: evidence.pub beside the record)",
    )
    parser.add_argument(
        "--journal", action="store_true", help="compare with the journal of this host"
    )
    parser.add_argument(
        "--against", metavar="DIR", help="compare with journal files received on another host"
    )
    parser.add_argument(
        "--machine",
        default="",
        metavar="ID",
        help="host in DIR that wrote the record: its machine-id, or its name",
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="compare with what the broker says it wrote, and have it record what was found",
    )
    add_socket(parser)
    parser.add_argument(
        "--jobs",
        type=_jobs,
        default=0,
        metavar="N",
        help="processes that read large files (default: one for each processor)",
    )


def _jobs(text: str) -> int:
    number = int(text)
    if not 1 <= number <= JOBS:
        raise argparse.ArgumentTypeError(f"must be 1 to {JOBS}")
    return number


def run(args: argparse.Namespace) -> int:
    """Verify, print what was found, and return the status of the first failure."""
    from ..evidence.verify import verify_chain

    path = Path(args.segment or args.file or setting("paths.audit"))
    try:
        os.listdir(path.parent)
        path.open("rb").close()
    except PermissionError:
        # Not to be told from damage by its status, if it were left to the report.
        raise RelayError("PermissionDenied", reason=f"{path} is for root and group adm") from None
    except OSError:
        pass
    rotated = args.segment is None
    jobs = args.jobs or min(len(os.sched_getaffinity(0)), JOBS)
    if args.publish and (args.segment or args.file):
        raise RelayError("InvalidArguments", reason="--publish is for the record of this host")
    if args.machine and not args.against:
        raise RelayError("InvalidArguments", reason="--machine is for --against")
    began = time.monotonic()
    known = auditpublish.head(args.socket) if args.publish else None
    keys = _keys(args.key, path)
    report = verify_chain(path, rotated=rotated, keys=keys, jobs=jobs)
    report.findings.extend(_copies(args, path, rotated, keys))
    report.findings.extend(auditpublish.compare(path, report, known))
    failed = [finding for finding in report.findings if finding.fails]
    status = VERIFY_STATUS[failed[0].kind] if failed else 0
    if args.json:
        findings = [{**f._asdict(), "fails": f.fails} for f in report.findings]
        facts = {**report._asdict(), "findings": findings, "whole": report.whole, "status": status}
        print(json.dumps(facts))
    else:
        _print(report, compared=bool(args.journal or args.against or known))
    if args.publish:
        try:
            auditpublish.publish(report, status, time.monotonic() - began, args.socket)
        except RelayError:
            # What was found tells more than that it was not told.
            if not status:
                raise
    return status


def _keys(files: list[str] | None, path: Path) -> Keys | None:
    """The keys to check with.

    Raises:
        RelayError: a file that was named, or the one beside the record, cannot be used.
    """
    from ..evidence.keyfile import PUBLIC
    from ..evidence.signing import KeyFault, Keys

    default = path.parent / PUBLIC
    if not files and not default.exists():
        return None
    try:
        return Keys(Path(file).read_bytes() for file in files or [str(default)])
    except KeyFault as error:
        raise RelayError("InvalidArguments", reason=f"public key: {error}") from None


def _copies(
    args: argparse.Namespace, path: Path, rotated: bool, keys: Keys | None
) -> list[Finding]:
    if not args.journal and args.against is None:
        return []
    from ..evidence.copies import compare, read

    found = []
    if args.journal:
        copy = functools.partial(read, None, "", keys=keys)
        found += compare(path, copy, rotated=rotated, complete=True)
    if args.against is not None:
        copy = functools.partial(read, args.against, args.machine, keys=keys)
        found += compare(path, copy, rotated=rotated)
    return found


def _print(report: Report, *, compared: bool) -> None:
    from ..evidence.verify import KINDS

    style = Style()
    for finding in report.findings:
        mark = style("fail", "red") if finding.fails else style("note", "yellow")
        print(f"{mark}  {safe(finding)}")
    print(
        f"{report.records} records, {report.first} to {report.last}, "
        f"{size(report.bytes)} in {len(report.files)} file(s)"
    )
    if report.records:
        print(f"chain {report.chain}")
    if report.checkpoints:
        print(f"{report.checkpoints} signed checkpoints, up to record {report.sealed}")
    failed = [finding for finding in report.findings if finding.fails]
    if failed:
        print(style(f"NOT WHOLE: {KINDS[failed[0].kind]}", "bold", "red"))
        return
    print(style("whole", "green"))
    if not compared:
        print("a cut at the end shows only beside a copy: see --journal and --against")
