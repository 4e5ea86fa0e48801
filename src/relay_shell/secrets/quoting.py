"""Where a quoted value may be covered whole although shell structure has to stay.

Whether a quote opens or closes depends on all that precedes it, and a quoted word may be parsed
again by eval, ssh or sh -c. Both are settled only for an assignment that begins its command, in a
text whose whole beginning is made of plain and simply quoted words: there the quoted characters
are data whatever they look like. Everywhere else a mark ends at the first operator or blank.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .tokens import compile_bytes

if TYPE_CHECKING:
    from .scan import Scanner

#: Offsets below this are never trimmed from a stream's buffer, so the beginning is at hand.
REACH = 4096

_PLAIN = r"[^\x00-\x20\x7f\"'`\\;&|<>(){}$]"
_FIRST = r"[^\x00-\x20\x7f\"'`\\;&|<>(){}$#]"
_QUOTED = r"'[^'\x00]*'|\"[^\"\\$`\x00]*\"|\$[A-Za-z_][A-Za-z0-9_]*"
_WORD = rf"(?:{_FIRST}|{_QUOTED})(?:{_PLAIN}|{_QUOTED})*"
_COMMAND = rf"{_WORD}(?:[ \t]+{_WORD})*"
_BEGINNING = (
    rf"\A(?:[ \t\n]*{_COMMAND}[ \t]*(?:&&|\|\||[;|\n]))*[ \t\n]*"
    r"(?:(?:export|readonly|local|declare|typeset|env)[ \t]+)?"
    rf"(?:[A-Za-z_][A-Za-z0-9_]*=(?:{_PLAIN}|{_QUOTED})*[ \t]+)*"
    r"[A-Za-z_][A-Za-z0-9_]*=[\"']$"
)
_INSIDE = {
    b'"': re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f\"\\$`]*"),
    b"'": re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f']*"),
}


@lru_cache(maxsize=1)
def _beginning() -> Any:
    return compile_bytes(_BEGINNING)


def whole(scanner: Scanner, begin: int, limit: int) -> int | None:
    """End of the quoted value that starts at ``begin``, if it may be covered whole.

    ``limit`` when the closing quote is still to come.
    """
    if begin >= REACH:
        return None
    buf = scanner.buf
    quote = buf[begin - 1 : begin]
    if quote not in _INSIDE:
        return None
    stop = scanner.run(_INSIDE[quote], begin, limit)
    if stop < limit and buf[stop : stop + 1] != quote:
        return None
    if stop == limit and (limit < len(buf) or scanner.final):
        return None
    if _beginning().match(buf[:begin]) is None:
        return None
    return stop
