"""Where the words of each program that connects name its hosts: destinations.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import NamedTuple

from .spec import Option, declarations


class Way(NamedTuple):
    """How a program is told where to connect."""

    operands: str
    """all, first, second, last or none of its operands, or a reader of `destinations`."""
    options: dict[str, Option]
    """Its options, so that values are told from operands."""
    hosts: tuple[str, ...]
    """Options whose value names hosts."""
    hides: tuple[str, ...]
    """Options after which the words do not tell the hosts."""
    stops: bool
    """Whether the first operand ends the options."""
    style: str


class Ways(NamedTuple):
    """All that is known."""

    programs: dict[str, Way]
    silent: frozenset[str]
    """Programs whose words may look like a URL, and that connect to nothing."""


@cache
def ways() -> Ways:
    """The table, read once."""
    file = resources.files(__package__).joinpath("destinations.toml")
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    programs: dict[str, Way] = {}
    for row in document["program"]:
        style = row.get("style", "gnu")
        way = Way(
            row["operands"],
            declarations(row.get("opts", ""), style),
            tuple(row.get("hosts", "").split()),
            tuple(row.get("hides", "").split()),
            row.get("stops", False),
            style,
        )
        programs.update(dict.fromkeys(row["names"].split(), way))
    return Ways(programs, frozenset(document["silent"].split()))
