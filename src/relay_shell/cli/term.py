"""What goes to an operator's terminal: safe text, colours, tables, ages and sizes.

Audit records carry text that an agent chose. Printed raw, an escape sequence in a command could
repaint the operator's screen or hide a line, so whatever comes from a record passes `safe`.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Sequence
from typing import IO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Style:
    """Colours a stream when it is a terminal; see https://no-color.org for NO_COLOR."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        stream = sys.stdout if stream is None else stream
        self.on = (
            stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    def __call__(self, text: str, *names: str) -> str:
        """Return `text` in the named colours, or as it is where colours are off."""
        if not self.on or not names or not text:
            return text
        codes = ";".join(_CODES[name] for name in names)
        return f"\x1b[{codes}m{text}\x1b[0m"


def safe(value: object, *, keep: str = "") -> str:
    r"""Return text in which no character can act on a terminal or reorder what is read.

    Control, format (bidirectional overrides, zero-width), surrogate, private-use and line
    separator characters become `\xNN`, `\uNNNN` or `\UNNNNNNNN`; those in `keep` pass.
    """
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c in keep or c == " " or unicodedata.category(c)[0] not in "CZ" else _escape(c)
        for c in text
    )


def _escape(char: str) -> str:
    if char in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Columns that a terminal gives to `text`, colour codes not counted."""
    columns = 0
    skip = False
    for char in text:
        if char == "\x1b":
            skip = True
        elif skip:
            skip = char != "m"
        elif unicodedata.combining(char):
            continue
        else:
            columns += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return columns


def table(head: Sequence[str], rows: Sequence[Sequence[str]], style: Style) -> str:
    """Left-aligned columns, two spaces apart, with a bold head line."""
    widths = [max(width(row[n]) for row in (head, *rows)) for n in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (cell + " " * (widths[n] - width(cell)) for n, cell in enumerate(cells))
        return "  ".join(padded).rstrip()

    return "\n".join([style(line(head), "bold"), *(line(row) for row in rows)])


def duration(seconds: float) -> str:
    """A length of time in at most two units: `12 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    for size, name, small, small_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    raise AssertionError(seconds)


def size(octets: int) -> str:
    """A number of octets in IEC units: `512 B`, `1.5 KiB`, `3.0 GiB`."""
    if octets < 1024:
        return f"{octets} B"
    value = float(octets)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024 or unit == "TiB":
            return f"{value:.1f} {unit}"
    raise AssertionError(octets)


def clip(text: str, columns: int) -> str:
    """Cut to a number of characters, the cut marked."""
    return text if len(text) <= columns else text[: max(columns - 3, 0)] + "..."
