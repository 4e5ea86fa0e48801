"""Records in ArcSight's Common Event Format, version 0 (specification 0.1) or 1 (1.x).

    CEF:Version|Device Vendor|Device Product|Device Version|Class ID|Name|Severity|Extension

In the header, `|` and `\\` are escaped by `\\`, and there are no line ends. In the extension, `=`
and `\\` are, and a line feed or carriage return is `\\n` or `\\r`. Of other control characters the
format says nothing; they are written as visible escapes (`siem.visible`), since receivers differ
in what ends a line for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .siem import PRODUCT, VENDOR, address, facts, name, plain, severity, summary, visible

VERSIONS = ("0", "1")

_INTEGERS = frozenset({"spid", "cn1", "cn2", "cn3"})
_MOST = 2**63 - 1


def header(text: str, limit: int) -> str:
    """A field of the header."""
    text = visible(plain(text, limit))
    return text.replace("\\", "\\\\").replace("|", "\\|")


def value(text: str) -> str:
    """A value of the extension."""
    text = visible(text, keep="\r\n").replace("\\", "\\\\").replace("=", "\\=")
    return text.replace("\n", "\\n").replace("\r", "\\r")


def encode(
    record: Mapping[str, Any], *, host: str = "", program: str = "", version: str = "0"
) -> str:
    """One record as one line, without its end.

    Args:
        host: name of the host that the record is of.
        program: version of relay-shell.
        version: one of `VERSIONS`.
    """
    event = str(record.get("event", ""))
    fields = [
        f"CEF:{version}",
        header(VENDOR, 63),
        header(PRODUCT, 63),
        header(program, 31),
        header(event, 1023),
        header(name(record), 512),
        str(severity(record)),
    ]
    pairs = extension(record, version)
    if host:
        pairs["dvchost"] = plain(host, 100)
    pairs["msg"] = plain(summary(record), 1023)
    return "|".join(fields) + "|" + " ".join(f"{key}={value(text)}" for key, text in pairs.items())


def extension(record: Mapping[str, Any], version: str) -> dict[str, str]:
    """The facts by key, before escaping."""
    pairs: dict[str, str] = {}
    for fact, row, found in facts(record):
        key, label, text = row.cef, row.label, plain(found, row.limit)
        if fact == "ts":
            milliseconds = _milliseconds(found)
            text = milliseconds or text
            key = key if milliseconds.isdigit() else "relayShellTs"
        elif fact == "address":
            kind, text = address(found)
            if kind == 4 or (kind == 6 and version != "0"):
                key = "src"
            elif kind == 6:
                key, label = "c6a2", "Source IPv6 Address"
        elif key in _INTEGERS and not (type(found) is int and abs(found) <= _MOST):
            continue
        if key in pairs:
            continue
        pairs[key] = text
        if label:
            pairs[f"{key}Label"] = label
    return pairs


def _milliseconds(ts: Any) -> str:
    """The time as milliseconds since 1970, or empty."""
    try:
        return str(int(datetime.fromisoformat(str(ts)).timestamp() * 1000))
    except (ValueError, OverflowError):
        return ""
