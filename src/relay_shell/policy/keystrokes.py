"""What keystrokes make of the line that a shell is about to read.

A shell runs lines, not messages, and keys edit lines before they are run. Where a key's effect
can be followed (the erasing keys of a terminal) both readings are kept, the line as typed and the
line as edited, for the program may have given the key another meaning. Any other key leaves a line
that cannot be known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from .limits import Budget, OverBudget, Unresolvable
from .parser import parse

LINE = 4096
"""Characters of one line; the terminal's own buffer holds no more (termios(3), canonical mode)."""

STATEMENT = 8 * 1024
"""Characters of a command over several lines."""

TOO_LONG = "\N{FULL BLOCK}" * (64 * 1024 + 1)
"""Stands for a line that is not kept: longer than what is judged at all."""

_NAMED = {
    "enter": "\r",
    "return": "\r",
    "tab": "\t",
    "space": " ",
    "backspace": "\x7f",
    "bspace": "\x7f",
}
_ENTER = "\r\n\x0f"
"""Carriage return, line feed, and operate-and-get-next of readline(3)."""

_ERASE, _KILL, _WORD, _INTERRUPT = "\x7f\b", "\x15", "\x17", "\x03\x1c"
_UNKNOWN = "\x1b"
_SEQUENCE = re.compile(r"\x1b(?:\[\[?[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")
_LAST_WORD = re.compile(r"[^\s]*[ \t]*\Z")
_CONTINUED = re.compile(r"(?<!\\)(?:\\\\)*\\\n\Z")


class Line(NamedTuple):
    """One reading of what waits in a session for its end."""

    text: str = ""
    unknown: bool = False
    """Whether keys were pressed whose effect on the text cannot be followed."""


def characters(args: Mapping[str, object]) -> str | None:
    """What a session_send types: text, then keys, then Enter; None if that is not understood."""
    text = args.get("text", "")
    keys = args.get("keys", ())
    if not isinstance(text, str) or not isinstance(keys, list | tuple):
        return None
    typed = [text]
    for key in keys:
        if not isinstance(key, str):
            return None
        typed.append(_key(key))
    if args.get("submit") is True:
        typed.append("\r")
    return "".join(typed)


def _key(name: str) -> str:
    if len(name) == 1:
        return name
    known = _NAMED.get(name.lower())
    if known is not None:
        return known
    character = name[1:] if name[:1] == "^" else name[2:] if name[:2] in ("C-", "c-") else ""
    if character == "?":
        return "\x7f"
    if len(character) == 1 and "@" <= character.upper() <= "_":
        return chr(ord(character.upper()) - 64)
    return _UNKNOWN


def press(line: Line, typed: str) -> tuple[set[Line], set[Line]]:
    """Type into a reading of a session's input.

    Returns:
        The texts that a shell could come to read, and what can wait for its end after that.
    """
    if line.text == TOO_LONG and not any(end in typed for end in _ENTER):
        return {line}, {line}
    plain, edited, unknown = _typed(line.text, typed)
    judged = {Line(plain, line.unknown or unknown), Line(edited, line.unknown or unknown)}
    left: set[Line] = set()
    for reading in judged:
        left.update(_left(reading, "\n" in reading.text[len(line.text) :] or unknown))
    return judged, left


def _typed(before: str, typed: str) -> tuple[str, str, bool]:
    """The text as typed and as edited, and whether a key was pressed that edits."""
    if not _CONTROL.search(typed):
        text = before + typed.replace("\r", "\n")
        return text, text, False
    plain: list[str] = []
    edited = before
    unknown = False
    at = 0
    while at < len(typed):
        char = typed[at]
        at += 1
        if char in _ENTER:
            plain.append("\n")
            edited += "\n"
            # What follows belongs to a line that no key has touched.
        elif char == "\t":
            # A blank to a plain terminal, completion to readline(3).
            plain.append(char)
            unknown = True
        elif char == _UNKNOWN:
            found = _SEQUENCE.match(typed, at - 1)
            at = found.end() if found else at
            unknown = True
        elif char >= " " and char != "\x7f":
            plain.append(char)
            edited += char
        else:
            unknown = True
            start = edited.rfind("\n") + 1
            if char in _ERASE:
                edited = edited[: max(start, len(edited) - 1)]
            elif char == _KILL:
                edited = edited[:start]
            elif char == _WORD:
                edited = edited[:start] + _LAST_WORD.sub("", edited[start:])
            elif char in _INTERRUPT:
                edited = ""
    return before + "".join(plain), edited, unknown


def _left(reading: Line, changed: bool) -> set[Line]:
    """What of a text waits for more, once a shell has read its complete commands."""
    text, unknown = reading
    if text == TOO_LONG or len(text) > STATEMENT:
        if "\n" not in text:
            return {Line(TOO_LONG, unknown)}
        # No shell is known to wait for the end of so much; its last line is followed on.
        return {_bounded(Line(text.rpartition("\n")[2], True))}
    complete, end, rest = text.rpartition("\n")
    if not end or not changed:
        return {_bounded(reading)}
    fresh = _bounded(Line(rest))
    if unfinished(complete + end):
        # The program may be a shell that waits for the rest, or something else that does not.
        return {fresh, Line(text, unknown)}
    return {fresh}


def _bounded(line: Line) -> Line:
    last = line.text.rpartition("\n")[2]
    return Line(TOO_LONG, line.unknown) if len(last) > LINE else line


def unfinished(text: str) -> bool:
    """Whether a shell that has read these lines waits for more of the same command."""
    if _CONTINUED.search(text):
        return True
    try:
        parse(text, Budget())
    except OverBudget:
        return True
    except Unresolvable as error:
        return not error.reason.startswith("unexpected")
    except RecursionError:
        return True
    return False
