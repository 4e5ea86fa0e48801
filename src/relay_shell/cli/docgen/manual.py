"""Generated parts of the manual pages, in reStructuredText for rst2man(1)."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping

from ...config.table import TABLE
from ...evidence.events import EVENTS
from ...evidence.record import FIELDS, journal_name
from ...evidence.unbundle import KINDS as KINDS_OF_BUNDLE
from ...evidence.verify import KINDS as KINDS_OF_DAMAGE
from ...policy.access import BUDGETS
from ...policy.access_document import GIVES, WHO
from ...ssh.document import HOST
from ...tools.registry import TOOLS
from ...wire.errors import KINDS
from ..auditverify import VERIFY_STATUS
from ..evidence import BUNDLE_STATUS
from ..forward import LATE, NOT_FORWARDING
from ..policy import EX_DATAERR
from . import commands


def verbs() -> str:
    """Each verb and action: its synopsis, description and options."""
    parts = []
    parents: dict[tuple[str, ...], argparse.ArgumentParser] = {}
    for path, parser in commands.parsers():
        parents[path] = parser
        if commands.subparsers(parser) and len(path) == 1:
            parts.append(_head(path, parser))
            continue
        if len(path) == 1:
            parts.append(_head(path, parser))
        else:
            line = commands.action_help(parents[path[:-1]], path[-1])
            parts.append(f"``{synopsis(path, parser)}``\n\n{line[:1].upper()}{line[1:]}.")
        parts.extend(_arguments(parser))
    return "\n\n".join(parts)


def synopsis(path: tuple[str, ...], parser: argparse.ArgumentParser) -> str:
    """One line: the words, the arguments, and what options there are."""
    words = ["relay-shell", *path]
    for action in commands.positionals(parser):
        name = commands.value_name(action)
        words.append(f"[{name}]" if action.nargs in ("?", "*") else name)
        if action.nargs in ("*", "+"):
            words[-1] += "..."
    if commands.subparsers(parser):
        words.append("|".join(commands.subparsers(parser)))
    if commands.options(parser):
        words.append("[options]")
    return " ".join(words)


def _head(path: tuple[str, ...], parser: argparse.ArgumentParser) -> str:
    title = " ".join(path)
    text = (parser.description or "").strip()
    text = _escape(text if "\n" in text else textwrap.fill(text, 98))
    lines = [title, "-" * len(title), "", f"``{synopsis(path, parser)}``", "", text]
    epilog = parser.epilog or ""
    if epilog.startswith("examples:\n"):
        lines += ["", "Examples::", "", epilog.removeprefix("examples:\n")]
    return "\n".join(lines)


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    items = []
    for action in commands.positionals(parser):
        if action.help:
            items.append(f"{commands.value_name(action)}\n    {_sentence(parser, action)}")
    parts = ["\n".join(items)] if items else []
    items = []
    for action in commands.options(parser):
        value = commands.value_name(action)
        # docutils takes any text as an option's argument only between angle brackets.
        suffix = f" {value}" if value.isalnum() else f" <{value}>" if value else ""
        names = ", ".join(name + suffix for name in sorted(action.option_strings, key=len))
        items.append(f"{names}\n    {_sentence(parser, action)}")
    if items:
        parts.append("\n".join(items))
    return parts


def _sentence(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = (action.help or "") % {"default": action.default, "prog": parser.prog}
    return _escape(f"{text}.")


def access_who() -> str:
    """What a rule of access.toml asks for."""
    return _definitions(WHO)


def access_gives() -> str:
    """What a rule of access.toml gives."""
    return _definitions(GIVES)


def access_budgets() -> str:
    """The budgets that a rule of access.toml may give."""
    rows = {name: TABLE[f"budgets.{name}"] for name in BUDGETS}
    return _definitions(
        {name: f"{row.help} At most {BUDGETS[name]}; 0 is no limit." for name, row in rows.items()}
    )


def inventory_host() -> str:
    """What a host of inventory.toml may say."""
    return _definitions(HOST)


def _definitions(rows: Mapping[str, str]) -> str:
    return "\n\n".join(
        f"{_escape(name)}\n" + textwrap.indent(textwrap.fill(_escape(text), 94), "    ")
        for name, text in rows.items()
    )


def _escape(text: str) -> str:
    for char in "\\*`|_":
        text = text.replace(char, f"\\{char}")
    return text


def statuses() -> str:
    """Exit status by kind of error."""
    by_status: dict[int, list[str]] = {}
    for kind, row in KINDS.items():
        by_status.setdefault(row.exit_status, []).append(kind)
    others = {
        74: "an input or output error of this command",
        EX_DATAERR: "``policy``: input or a file that cannot be used",
        NOT_FORWARDING: "``forward status``: nothing is forwarded",
        LATE: "``forward status``: the collector is late, or the service fails",
    }
    lines = ["0\n    Success."]
    lines.append(
        "1\n    A check found something: ``doctor`` a failure, ``posture diff`` a difference,"
        "\n    ``posture prove`` a claim that does not hold."
    )
    for kind, status in VERIFY_STATUS.items():
        lines.append(f"{status}\n    ``audit verify``: {KINDS_OF_DAMAGE[kind]}.")
    for kind, status in BUNDLE_STATUS.items():
        lines.append(f"{status}\n    ``evidence verify``: {KINDS_OF_BUNDLE[kind]}.")
    for status in sorted(by_status | others):
        said = [", ".join(by_status.get(status, ())), others.get(status, "")]
        text = "; ".join(filter(None, said))
        lines.append(f"{status}\n    {text[:1].upper()}{text[1:]}.")
    lines.append("130, 141\n    Interrupted; the reader of the output has gone.")
    return "\n\n".join(lines)


def groups() -> str:
    """Tool groups and their tools."""
    found: dict[str, list[str]] = {}
    for tool in TOOLS.values():
        found.setdefault(tool.group, []).append(tool.name)
    return "\n\n".join(
        f"{group}\n    {_escape(', '.join(names))}" for group, names in found.items()
    )


def events() -> str:
    """Events of the record with their journal ids."""
    return "\n\n".join(
        f"{name} ({row.message_id})\n    {_escape(_plain(row.subject))}."
        for name, row in EVENTS.items()
    )


def _plain(subject: str) -> str:
    """A catalog subject without the fields that journalctl fills in."""
    return subject.partition(": @")[0].replace("@", "")


def fields() -> str:
    """Facts of a record with the names of their journal fields."""
    return "\n\n".join(
        f"{_escape(name)} ({_escape(journal_name(name))}, {_escape(row.type)})\n    "
        f"{_escape(row.help)}"
        for name, row in FIELDS.items()
    )
