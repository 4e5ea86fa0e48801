"""``relay-shell redact``: filter secrets out of standard input."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

_CHUNK = 1 << 16


def add_parser(sub: Any) -> argparse.ArgumentParser:
    """Add the verb to an ``add_subparsers()`` object."""
    parser: argparse.ArgumentParser = sub.add_parser(
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
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Exit codes: 0 done, 1 the reader or writer failed, 2 the rules are unusable."""
    try:
        # RE2 and the rules are needed by this verb alone.
        from relay_shell.secrets import RuleError, default
    except ImportError as error:
        print(f"relay-shell redact: {error}; install python3-re2", file=sys.stderr)
        return 2
    try:
        redactor = default(args.keep_structure)
    except RuleError as error:
        print(f"relay-shell redact: {error}", file=sys.stderr)
        return 2
    if args.rules:
        for rule in sorted(redactor.rules, key=lambda item: item.name):
            print(f"{rule.name}\t{rule.kind}\t{rule.source}")
        return 0
    stream = redactor.stream()
    code = 0
    try:
        while data := os.read(0, _CHUNK):
            _write(stream.feed(data))
        _write(stream.finish())
    except BrokenPipeError:
        # The reader left, as head(1) does; what it asked for is done.
        code = 1
    except OSError as error:
        print(f"relay-shell redact: {error.strerror}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    if args.count:
        counts = sorted(stream.counts.items(), key=lambda item: (-item[1], item[0]))
        for name, count in counts:
            print(f"{count}\t{name}", file=sys.stderr)
        print(f"{sum(count for _, count in counts)}\ttotal", file=sys.stderr)
    return code


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
