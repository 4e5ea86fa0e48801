"""Argument parsing that ends with the project's exit statuses and names a next step."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from typing import Any, NoReturn

USAGE = 64
"""EX_USAGE of sysexits(3), where argparse would say 2."""

_NO_NUMBER = re.compile(r"invalid \w+ value: (.*)", re.DOTALL)


class Help(argparse.RawDescriptionHelpFormatter):
    """Keeps a description's own line breaks, and fills one that has none."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text.strip():
            return super()._fill_text(text, width, indent)
        return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)


class Parser(argparse.ArgumentParser):
    """ArgumentParser whose errors are one line, a next step and exit status 64."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", Help)
        super().__init__(*args, **options)
        self.hint = ""
        """What to try where an argument is not known, beside the help."""

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        """Parse, and leave nothing over: the parser of an action names its own help, where argparse
        would have the first of them do so."""
        found, rest = super().parse_known_args(*args, **options)
        if rest:
            hint = f"; {self.hint}" if self.hint else ""
            self.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Print the error as every other one of the command is printed, and exit with 64."""
        # argparse names the function that read the value; all of ours that fail so read numbers.
        message = _NO_NUMBER.sub(r"\1 is not a number", message)
        sys.stderr.write(f"relay-shell: {message}\nTry '{self.prog} --help'.\n")
        raise SystemExit(USAGE)


Subparsers = Any
"""What `ArgumentParser.add_subparsers` returns; argparse gives it no public name."""


def add_socket(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the operator socket."""
    parser.add_argument(
        "--socket",
        metavar="PATH",
        help="operator socket (default: setting paths.operator)",
    )


def add_json(parser: argparse.ArgumentParser, what: str = "print JSON") -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help=what)
