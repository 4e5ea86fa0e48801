"""Records in IBM's Log Event Extended Format, 1.0 or 2.0.

    LEEF:1.0|Vendor|Product|Version|EventID|key=value<tab>key=value
    LEEF:2.0|Vendor|Product|Version|EventID|Delimiter|key=value<delimiter>key=value

The format has no escapes: a value may hold neither the delimiter nor a line end, and a header no
`|`. Where they occur they are written as visible escapes (`siem.visible`), as other control
characters are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .siem import PRODUCT, VENDOR, address, facts, name, plain, severity, summary, visible

VERSIONS = ("2.0", "1.0")
TAB = "\t"
TIME_FORMAT = "yyyy-MM-dd'T'HH:mm:ss.SSSZ"
"""devTimeFormat, a pattern of Java's SimpleDateFormat."""

_HEX = re.compile(r"(?:0x|x)([0-9A-Fa-f]{1,4})")


def delimiter(text: str) -> str:
    """The character that a delimiter field names: itself, or hexadecimal as x5E or 0x5E.

    Raises:
        ValueError: it is none, or one that cannot delimit: a letter or digit, `=`, `|`, `\\`, one
            that is frequent in values, or a control character other than tab.
    """
    found = _HEX.fullmatch(text)
    char = chr(int(found[1], 16)) if found else text
    ascii_only = len(char) == 1 and char.isascii()
    if (
        not ascii_only
        or char.isalnum()
        or char in "=|\\ \"'-_.:"
        or not (char == TAB or char.isprintable())
    ):
        raise ValueError(
            f"{text!r} cannot delimit: one of ^ ~ # % & ; and the like, or x09 for tab"
        )
    return char


def value(text: str, between: str) -> str:
    """A value of an attribute."""
    text = visible(text)
    return text if between == TAB else text.replace(between, f"\\x{ord(between):02x}")


def header(text: str, limit: int = 255) -> str:
    """A field of the header."""
    return visible(plain(text, limit)).replace("|", "\\x7c")


def encode(
    record: Mapping[str, Any],
    *,
    host: str = "",
    program: str = "",
    version: str = "2.0",
    between: str = TAB,
) -> str:
    """One record as one line, without its end.

    Args:
        host: name of the host that the record is of.
        program: version of relay-shell.
        version: one of `VERSIONS`.
        between: delimiter of the attributes; 1.0 knows tab alone.
    """
    fields = [f"LEEF:{version}", header(VENDOR), header(PRODUCT), header(program)]
    fields.append(header(str(record.get("event", ""))))
    if version == "1.0":
        between = TAB
    else:
        # A tab as such would be taken for part of the header by some.
        fields.append(f"x{ord(between):02X}" if between == TAB else between)
    pairs = attributes(record)
    if host:
        pairs["deviceHostName"] = host
    pairs["msg"] = plain(summary(record), 1023)
    body = between.join(f"{key}={value(text, between)}" for key, text in pairs.items())
    return "|".join(fields) + "|" + body


def attributes(record: Mapping[str, Any]) -> dict[str, str]:
    """The facts by key, as text."""
    pairs = {"sev": str(severity(record)), "name": name(record)}
    for fact, row, found in facts(record):
        key, text = row.leef, plain(found, row.limit)
        if fact == "ts":
            if when := _time(found):
                pairs["devTime"], pairs["devTimeFormat"] = when, TIME_FORMAT
            continue
        if fact == "address":
            kind, text = address(found)
            key = "src" if kind else key
        pairs.setdefault(key, text)
    return pairs


def _time(ts: Any) -> str:
    try:
        moment = datetime.fromisoformat(str(ts)).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"
