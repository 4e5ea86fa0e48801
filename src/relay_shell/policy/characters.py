"""Characters that text stands for, and those that it may not hold."""

from __future__ import annotations

import re

from .limits import Unresolvable

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff]"
)
_ESCAPES = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r"}
_ESCAPES |= {"t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"', "?": "?"}
_ANSI = re.compile(
    r"\\(?:([abeEfnrtv\\'\"?])|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})"
    r"|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|c(.)|(.))",
    re.DOTALL,
)


def check_characters(text: str) -> None:
    """Refuse characters that show a reader something else than the shell executes.

    Raises:
        Unresolvable: at a control, bidirectional-override, zero-width or unencodable one.
    """
    match = _UNPRINTABLE.search(text)
    if match:
        code = ord(match.group())
        raise Unresolvable(f"invisible or control character U+{code:04X}", match.start())


def decode_ansi(text: str, position: int) -> str:
    """The value of `$'...'` content.

    Raises:
        Unresolvable: for bytes above 127 and control escapes, whose value depends on locale.
    """

    def replace(match: re.Match[str]) -> str:
        simple, hexa, low, high, octal, control, other = match.groups()
        if simple:
            return _ESCAPES[simple]
        if hexa or octal:
            code = int(hexa, 16) if hexa else int(octal, 8) & 0xFF
            if not 0 < code < 128:
                raise Unresolvable("byte escape outside ASCII in $'...'", position)
            return chr(code)
        if low or high:
            code = int(low or high, 16)
            if not 0 < code < 0x110000 or 0xD800 <= code < 0xE000:
                raise Unresolvable("invalid Unicode escape in $'...'", position)
            return chr(code)
        if control:
            raise Unresolvable("control escape in $'...'", position)
        return "\\" + other

    return _ANSI.sub(replace, text)


def is_glob(text: str) -> bool:
    """Whether unquoted text may match file names."""
    if "*" in text or "?" in text:
        return True
    opening = text.find("[")
    return opening >= 0 and text.find("]", opening + 1) >= 0


def is_brace(text: str) -> bool:
    """Whether unquoted text may hold a brace expansion."""
    return "{" in text and "}" in text and ("," in text or ".." in text)
