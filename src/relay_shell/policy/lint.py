"""Check operator files before they are used: command files and lists of rules."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from .knowledge import Knowledge, current, read_tables
from .programs import handler
from .rules import RuleError, Rules
from .spec import Spec, SpecError, compile_spec


def lint_file(path: Path) -> list[str]:
    """What is wrong with a file, one line each; empty if it can be used.

    A file with a table `policy`, or with `deny` or `allow` at the top, is a list of rules; any
    other TOML file describes commands.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return [f"{path}: {error.strerror}"]
    except UnicodeDecodeError:
        return [f"{path}: not UTF-8"]
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [f"{path}: {error}"]
    section = document.get("policy", document)
    if isinstance(section, dict) and ("deny" in section or "allow" in section):
        return list(_rules(path, section))
    return list(_commands(path, text, current()))


def _rules(path: Path, section: dict[str, object]) -> Iterator[str]:
    for action in ("deny", "allow"):
        patterns = section.get(action, [])
        if not isinstance(patterns, list):
            yield f"{path}: {action} must be a list of patterns"
            continue
        for index, pattern in enumerate(patterns):
            try:
                Rules(deny=[pattern])
            except RuleError as error:
                yield f"{path}: {action}: pattern {index + 1}: {error.reason}"
                continue
            if action == "allow" and not str(pattern).startswith("^"):
                yield (
                    f"{path}: allow: pattern {index + 1}: warning: not anchored with ^, so it also "
                    f"allows commands that only contain it: {pattern!r}"
                )


def _commands(path: Path, text: str, knowledge: Knowledge) -> Iterator[str]:
    try:
        tables = read_tables(text, str(path))
    except SpecError as error:
        yield str(error)
        return
    for name, table in tables.items():
        try:
            spec = compile_spec(name, table)
            yield from _handlers(path, spec)
        except SpecError as error:
            yield f"{path}: {error}"
            continue
        if spec.same and knowledge.get(spec.same) is None and spec.same not in tables:
            yield f"{path}: {name}: same as unknown program {spec.same!r}"
        if spec.any and spec.tier == 0 and (spec.options or spec.has_subs):
            yield f"{path}: {name}: any = true makes opts and subcommands meaningless"


def _handlers(path: Path, spec: Spec) -> Iterator[str]:
    if spec.handler:
        try:
            handler(spec.handler)
        except LookupError:
            yield f"{path}: {spec.name}: unknown handler {spec.handler!r}"
    for entry in [*spec.subs.values(), *spec.prefixes.values()]:
        if isinstance(entry, Spec):
            yield from _handlers(path, entry)
