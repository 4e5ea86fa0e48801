"""What can be completed where: what the completions of all shells are made from."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

from ..verbs import VERBS
from . import commands

FILES = frozenset({"PATH", "FILE", "DIR", "BUNDLE"})
"""Values that are names of files."""

POSTURES = "/usr/share/relay-shell/postures"

TOP = {
    "--help": "show the help",
    "--version": "print the version",
    "--verify-audit": "the same as 'audit verify'",
}
"""Options of the bare command."""


class Option(NamedTuple):
    """One option."""

    names: tuple[str, ...]
    help: str
    takes: str
    """What follows it: "" for nothing, `file`, `choice`, or `text`, for which nothing is offered.
    A value that may be left out is never what has to follow."""
    choices: tuple[str, ...]

    @property
    def longest(self) -> str:
        """The name that is offered."""
        return max(self.names, key=len)


class Place(NamedTuple):
    """What may follow a verb, or a verb and its action."""

    path: tuple[str, ...]
    words: dict[str, str]
    """Actions and values of arguments, with their help."""
    files: bool
    """Whether names of files are arguments."""
    postures: bool
    """Whether names of postures are."""
    options: tuple[Option, ...]


def places() -> Iterator[Place]:
    """Every place, in the order of the manual; the bare command has none of its own."""
    for path, parser in commands.parsers():
        words = {name: commands.action_help(parser, name) for name in commands.subparsers(parser)}
        for action in commands.positionals(parser):
            choices = tuple(action.choices or ())
            several = len(choices) > 1
            for choice in choices:
                words[str(choice)] = "" if several else _help(parser, action)
        files = any(commands.value_name(a) in FILES for a in commands.positionals(parser))
        options = tuple(_option(parser, action) for action in commands.options(parser))
        postures = path in (("posture", "set"), ("posture", "diff"))
        yield Place(path, words, files, postures, options)


def paths() -> list[tuple[str, ...]]:
    """Paths of all verbs and actions, sorted; a verb without its module is one all the same."""
    return sorted({path for path, _ in commands.parsers()} | {(name,) for name in VERBS})


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> Option:
    choices = tuple(str(choice) for choice in action.choices or ())
    if action.nargs in (0, "?"):
        takes = ""
    elif choices:
        takes = "choice"
    else:
        takes = "file" if commands.value_name(action) in FILES else "text"
    return Option(tuple(action.option_strings), _help(parser, action), takes, choices)


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return parser._get_formatter()._expand_help(action) if action.help else ""
