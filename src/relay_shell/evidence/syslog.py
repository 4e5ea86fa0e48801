"""Syslog messages (RFC 5424, RFC 3164) and their framing on a stream (RFC 6587, RFC 5425).

The message is sent without the byte order mark that RFC 5424 wants before UTF-8: it is MSG-ANY,
since receivers look for `CEF:` or `LEEF:` at its very beginning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .events import EVENTS, NOTICE

FACILITY = 13
"""Log audit (RFC 5424, table 1)."""

APP = "relay-shell"
_PRINTABLE = re.compile(r"[^\x21-\x7e]")
_MONTHS = ("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec").split()


def priority(record: Mapping[str, Any]) -> int:
    """PRI: facility and severity."""
    known = EVENTS.get(str(record.get("event", "")))
    return FACILITY * 8 + (known.priority if known else NOTICE)


def rfc5424(record: Mapping[str, Any], text: str, host: str) -> bytes:
    """A message with the header of RFC 5424: the record's time, its event as MSGID."""
    head = [
        f"<{priority(record)}>1",
        _time(record),
        _name(host, 255),
        APP,
        "-",
        _name(str(record.get("event", "")), 32),
        "-",
    ]
    return " ".join([*head, text]).encode("utf-8", "backslashreplace")


def rfc3164(record: Mapping[str, Any], text: str, host: str = "") -> bytes:
    """A message with the header of RFC 3164; without a host it is the form of /dev/log (syslog(3)).
    The time is local, as this form knows no zone."""
    try:
        moment = datetime.fromisoformat(str(record.get("ts", ""))).astimezone()
    except (ValueError, OverflowError):
        moment = datetime.now().astimezone()
    when = f"{_MONTHS[moment.month - 1]} {moment.day:2d} {moment:%H:%M:%S}"
    where = f"{_name(host, 255)} " if host else ""
    head = f"<{priority(record)}>{when} {where}{APP}: "
    return (head + text).encode("utf-8", "backslashreplace")


def counted(message: bytes) -> bytes:
    """A message on a stream by octet counting (RFC 6587 section 3.4.1, RFC 5425 section 4.3)."""
    return b"%d %b" % (len(message), message)


def _time(record: Mapping[str, Any]) -> str:
    ts = str(record.get("ts", ""))
    return ts if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", ts, re.ASCII) else "-"


def _name(text: str, limit: int) -> str:
    return _PRINTABLE.sub("_", text)[:limit] or "-"
