"""Which variables a command assigns, so that a loop does not trust their first values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from .arithmetic import assigned_names
from .limits import Budget
from .syntax import Arithmetic, Assignment, Calculation, Literal, Loop, Parameter, Simple, Word

_SETTERS = frozenset(
    (
        "read",
        "mapfile",
        "readarray",
        "getopts",
        "printf",
        "declare",
        "typeset",
        "local",
        "export",
        "readonly",
        "unset",
        "let",
        "wait",
    )
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def assigned_in(command: object, budget: Budget) -> dict[str, bool]:
    """Names that the command may assign; True where only arithmetic does."""
    found: dict[str, bool] = {}

    def note(name: str, number: bool) -> None:
        found[name] = number and found.get(name, True)

    stack: list[object] = [command]
    while stack:
        item = stack.pop()
        budget.spend()
        kind = type(item)
        if kind is str or kind is bool or kind is Literal or item is None:
            # Most of what there is, and nothing in it.
            continue
        if isinstance(item, Assignment):
            parts = item.value.parts
            arithmetic = len(parts) == 1 and isinstance(parts[0], Arithmetic)
            note(item.name, arithmetic and not item.append and item.array is None)
        elif isinstance(item, Loop):
            if item.name:
                note(item.name, False)
            for expression in item.expressions:
                _arithmetic(expression, note)
        elif isinstance(item, (Calculation, Arithmetic)):
            _arithmetic(item.expression, note)
        elif isinstance(item, Parameter) and "=" in item.op:
            note(item.name, False)
        elif isinstance(item, Simple) and item.words and item.words[0].plain in _SETTERS:
            for word in item.words[1:]:
                match = _NAME.match(word.plain or word.source)
                if match:
                    note(match.group(), False)
        if isinstance(item, list | tuple):
            stack.extend(item)
        elif not (isinstance(item, Word) and item.plain is not None):
            stack.extend([getattr(item, name) for name in _parts(kind)])
    return found


_known: dict[type, tuple[str, ...]] = {}


def _parts(kind: type) -> tuple[str, ...]:
    """The fields of a kind of node; none for what is no node."""
    found = _known.get(kind)
    if found is None:
        fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
        found = _known[kind] = tuple(field.name for field in fields if field.name != "source")
    return found


def _arithmetic(expression: Word, note: Callable[[str, bool], None]) -> None:
    text = "".join(part.text for part in expression.parts if isinstance(part, Literal))
    for name in assigned_names(text):
        note(name, True)
