"""``relay-shell redact``: filter secrets out of standard input."""

from __future__ import annotations

import argparse
import os
import sys

from .parser import Subparsers

_CHUNK = 1 << 16


def add_parser(sub: Subparsers) -> None:
    """Add the verb to an ``add_subparsers()`` object."""
    parser = sub.add_parser(
        "redact",
        help="replace secrets in standard input",
        description="Copy standard input to standard output with every secret that a redaction "
        "rule knows replaced by [REDACTED:rule]. Works on bytes of any encoding and on endless "
        "input.",
    )
    parser.add_argument(
        "--count", action="store_true", help="print redactions by rule to standard error at the end"
    )
    parser.add_argument(
        "--keep-structure",
        action="store_true",
        help="as in the audit: never cover shell operators, quotes or blanks, even inside quotes",
    )
    parser.add_argument("--rules", action="store_true", help="list the rules with their sources")


def run(args: argparse.Namespace) -> int:
    """Filter until the end of input; OSError of either end goes to the caller."""
    # RE2 and the rules are needed by this verb alone.
    from ..secrets import default

    redactor = default(args.keep_structure)
    if args.rules:
        for rule in sorted(redactor.rules, key=lambda item: item.name):
            print(f"{rule.name}\t{rule.kind}\t{rule.source}")
        return 0
    stream = redactor.stream()
    try:
        while data := os.read(0, _CHUNK):
            _write(stream.feed(data))
        _write(stream.finish())
    finally:
        # Also when the reader has left or the user interrupts: what was done until then counts.
        if args.count:
            _report(stream.counts)
    return 0


def _report(counts: dict[str, int]) -> None:
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        print(f"{count}\t{name}", file=sys.stderr)
    print(f"{sum(counts.values())}\ttotal", file=sys.stderr)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
