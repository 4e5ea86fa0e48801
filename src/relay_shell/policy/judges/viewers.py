"""Editors and pagers: what their options and `+` words make them do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..programs import by_spec
from ..values import Value, known

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

_LESS_COMMAND = re.compile(r"\+\+?(?:G|F|g|\d+[gGp%]?|/[^\n!|]*|\?[^\n!|]*)?")
_EDITOR_DELETES = re.compile(r"\bdelete\(|\(delete-(?:file|directory)\b|\bos\.(?:remove|unlink)\b")


def judge_editor(call: Call, spec: Spec) -> None:
    """Editors: any of them can write and run commands; their scripts often do."""
    for arg in call.args:
        if arg.exact and arg.text.startswith(("+", "-c", "--cmd", "--eval", "-s", "-S", "-E")):
            call.add(2, f"`{call.name} {arg.text}` runs commands of the editor")
    for arg in call.args:
        match = re.search(r":?!\s*(.+)", arg.text) if arg.exact else None
        if match:
            call.shell(known(match.group(1)))
        if _EDITOR_DELETES.search(arg.text):
            call.add(3, f"`{call.name}` is told to delete a file")
    call.add(2, f"`{call.name}` is an editor, which can write files and run commands")


def judge_less(call: Call, spec: Spec) -> None:
    """`less`: `+cmd` is typed into it at the start, and `!` there runs a program."""
    parsed = by_spec(call, spec)
    for arg in parsed.operands:
        if arg.text.startswith("+") and not (arg.exact and _LESS_COMMAND.fullmatch(arg.text)):
            call.add(2, f"`less {arg.display}` starts with a command that may run a program")
    if call.stdin.text is not None and not call.args:
        call.output = Value(call.stdin.text)


def judge_more(call: Call, spec: Spec) -> None:
    """`more`, `pg`: `+` takes a line or pattern, and in some of them a command."""
    parsed = by_spec(call, spec)
    for arg in parsed.operands:
        if arg.text.startswith("+") and not re.fullmatch(r"\+(?:\d+|/.*)", arg.text, re.DOTALL):
            call.add(2, f"`{call.name} {arg.display}` may run a command")
