"""A TOML file of ours: trusted, decoded and parsed, with the line of each of its keys."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from .errors import Problem
from .lines import Path as KeyPath
from .lines import key_lines
from .trust import read

Document = tuple[dict[str, Any], dict[KeyPath, int]]
"""What the file says, and the line of each key."""

_TWICE = re.compile(r"Cannot declare \((.*)\) twice")
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def parse_file(path: Path, problems: list[Problem], *, required: bool = False) -> Document | None:
    """The TOML of a trusted file; None if there is none to use.

    Args:
        problems: gets what is wrong with the file.
        required: its absence is wrong too.
    """
    where = str(path)
    try:
        data = read(path)
    except FileNotFoundError:
        if required or path.is_symlink():
            problems.append(Problem(where, 0, "is a link to a file that does not exist"))
        return None
    except ValueError as error:
        problems.append(Problem(where, 0, str(error)))
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.append(Problem(where, line, "is not UTF-8"))
        return None
    return parse_text(text, where, problems)


def parse_text(text: str, where: str, problems: list[Problem]) -> Document | None:
    """The TOML of a text; None, with a reason in `problems`, if it is none.

    Args:
        where: what the text is called in `problems`.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        problems.append(Problem(where, line, f"is no TOML: {_PLACE.sub('', _plain(message))}"))
        return None
    except ValueError as error:
        # int() refuses more than 4300 digits with an error of its own, and without a place.
        problems.append(Problem(where, 0, f"has a number that is too long: {error}"))
        return None
    except RecursionError:
        problems.append(Problem(where, 0, "is nested too deeply"))
        return None
    return document, key_lines(text.replace("\r\n", "\n"))


def _plain(message: str) -> str:
    """What the parser says, but for the mistake of adding a table below the shipped settings."""
    if twice := _TWICE.match(message):
        name = ".".join(re.findall(r"'([^']*)'", twice[1]))
        return f"the table [{name}] is there already; add its settings to that one"
    return message
