"""Byte classes, and the mark that stands for a secret.

A redaction only ever covers bytes of ``PLAIN``: no white space, no quote, no backslash and none of
the characters that are shell operators, expansions, groupings or redirections (POSIX.1-2024 XCU
2.10). Whatever the quoting around it turns out to be, nothing that the shell would act upon is
hidden, and at most one word.
"""

from __future__ import annotations

import re

MARK_OPEN = b"[REDACTED:"
MARK_MAX = 64
MARK_SPAN = len(MARK_OPEN) + MARK_MAX
#: A beginning of a mark; the alternatives differ in their length alone.
MARK_HEAD = re.compile(
    rb"\[REDACTED:[a-z0-9\-]*|"
    + b"|".join(re.escape(MARK_OPEN[:size]) for size in range(len(MARK_OPEN)))
)

#: One run of bytes that a mark may cover.
PLAIN = re.compile(rb"[^\x00-\x20\x7f\"'`\\;&|<>(){}$]*")
PLAIN_BYTES = bytes(
    byte for byte in range(256) if byte > 0x20 and byte != 0x7F and byte not in b"\"'`\\;&|<>(){}$"
)
#: Inside quotes when shell structure need not be kept: up to the quote, an escape or a line end.
IN_DOUBLE = re.compile(rb"[^\x00-\x1f\"\\]*")
IN_SINGLE = re.compile(rb"[^\x00-\x1f'\\]*")

TOKEN = re.compile(rb"[A-Za-z0-9_\-./+=~:%@!,#?]*")
NOSPACE = re.compile(rb"[^\x00-\x20\x7f\"'`\\<>|]*")
LINE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
WORDRUN = re.compile(rb"[A-Za-z0-9_\-.=+/]*")
BASE64 = re.compile(rb"[A-Za-z0-9+/=]*")
KEYRUN = re.compile(rb"[A-Za-z0-9_.\-]*")
BLANK = re.compile(rb"[ \t\x1f]*")
SPACE = re.compile(rb"[ \t\r\n\x1f]*")

REACH = {"token": TOKEN, "nospace": NOSPACE, "line": LINE}

#: Bytes that may belong to a secret whose anchor is in its middle.
WORD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~-:"
KEY = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
ALNUM = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")

# A word byte before a token is no part of a longer word when it ends an escape: \n in JSON text,
# %3D in a URL, an SGR sequence of a terminal.
ESCAPED = re.compile(
    rb"(?:\\[nrtbfv0]|\\x[0-9A-Fa-f]{2}|\\u00[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2}|\x1b\[[0-9;]{0,5}m)\Z"
)


ESCAPES = frozenset(b"\\%\x1b")


def mark(name: str) -> bytes:
    """The text that replaces a secret found by the rule ``name``."""
    return MARK_OPEN + name.encode("ascii") + b"]"


def unbound(before: bytes) -> bool:
    """Whether a token may start after these (at most 8) bytes."""
    return not before or before[-1] not in ALNUM or ESCAPED.search(before) is not None
