"""The whole command line as data: what the manual, the completion and their tests read."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module, util
from typing import Any

from ..parser import Parser
from ..verbs import VERBS

PACKAGE = __package__.rpartition(".")[0]


def parsers() -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Path and parser of each verb and each action below it, in the order of the table.

    A verb whose module is not installed is left out.
    """
    for name, verb in VERBS.items():
        full = f"{PACKAGE}.{verb.module}"
        if util.find_spec(full) is None:
            continue
        module: Any = import_module(full)
        top = Parser(prog="relay-shell")
        module.add_parser(top.add_subparsers(dest="verb", parser_class=Parser))
        choices = subparsers(top)
        yield from _walk((name,), choices[name])


def _walk(
    path: tuple[str, ...], parser: argparse.ArgumentParser
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    yield path, parser
    for name, child in subparsers(parser).items():
        yield from _walk((*path, name), child)


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The actions of a parser, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def action_help(parser: argparse.ArgumentParser, name: str) -> str:
    """The line of help of one action."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                if choice.dest == name:
                    return choice.help or ""
    return ""


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options of a parser, without --help and what is hidden."""
    return [
        action
        for action in parser._actions
        if action.option_strings
        and action.help is not argparse.SUPPRESS
        and not isinstance(action, argparse._HelpAction)
    ]


def positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments of a parser that are no options and no actions."""
    return [
        action
        for action in parser._actions
        if not action.option_strings and not isinstance(action, argparse._SubParsersAction)
    ]


def value_name(action: argparse.Action) -> str:
    """How the value of an action is called, "" if it takes none."""
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "|".join(str(choice) for choice in action.choices)
    return action.dest.upper()
