"""What a SIEM calls the facts of a record: one table for CEF and LEEF, and how grave an event is.

Keys and lengths are those of "Implementing ArcSight Common Event Format" (versions 0.1 and 1.x) and
of IBM's "Log Event Extended Format (LEEF)". A fact without a row goes under a key of its own, made
from its name, so that nothing that is recorded stays behind.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .events import CRITICAL, ERROR, EVENTS, INFO, NOTICE, WARNING
from .message import message

VENDOR, PRODUCT = "relay-shell", "relay-shell"

LONG = 4000
"""Characters of a value at most, that of CEF's custom strings."""

ANOMALY = "anomaly"
"""Event of the exporter's own: what it found in the record that is no record in its place."""


class Row(NamedTuple):
    """One fact: its key in CEF and in LEEF, CEF's label for it, and CEF's length for the key."""

    cef: str
    leef: str
    label: str = ""
    limit: int = LONG


MAP: dict[str, Row | None] = {
    "v": None,
    "prev": None,
    "seq": Row("externalId", "seq", limit=40),
    "ts": Row("rt", "devTime"),
    "event": Row("cat", "cat", limit=1023),
    "call_id": Row("cs2", "callId", "callId"),
    "conn": Row("cs3", "connection", "connection"),
    "principal": Row("suser", "usrName", limit=1023),
    "client": Row("requestClientApplication", "clientApplication", limit=1023),
    "uid": Row("suid", "userId", limit=1023),
    "pid": Row("spid", "processId"),
    "transport": Row("app", "transport", limit=31),
    "address": Row("shost", "address", limit=1023),
    "unit": Row("destinationServiceName", "unit", limit=1023),
    "posture": Row("dpriv", "role", limit=1023),
    "tool": Row("cs4", "tool", "tool"),
    "tier": Row("cn1", "tier", "tier"),
    "mode": Row("cs5", "policy", "mode"),
    "enforcement": Row("cs6", "enforcement", "enforcement"),
    "decision": Row("act", "action", limit=63),
    "reasons": Row("reason", "reasons", limit=1023),
    "reason": Row("flexString1", "statedReason", "statedReason", limit=1023),
    "args": Row("cs1", "arguments", "arguments"),
    "hosts": Row("dhost", "destinationHosts", limit=1023),
    "sha256": Row("fileHash", "outputSha256", limit=255),
    "bytes": Row("cn2", "outputBytes", "outputBytes"),
    "status": Row("outcome", "status", limit=63),
    "exit": Row("cn3", "exitStatus", "exitStatus"),
    "signal": Row("flexString2", "signal", "signal", limit=1023),
}
"""Facts by name; None for what the other facts say as well."""

_SEVERITY = {INFO: 2, NOTICE: 5, WARNING: 7, ERROR: 9, CRITICAL: 10}
_EVENTS = {
    "interrupted": 6,
    "refused": 6,
    "torn": 8,
    "journal-lost": 8,
    "freeze": 6,
    "unfreeze": 6,
    "kill": 6,
    ANOMALY: 8,
}
_TIERS = (1, 3, 5, 7)
_CALLS = frozenset({"intent", "outcome", "deny", "replay", "observe"})


def severity(record: Mapping[str, Any]) -> int:
    """How grave an event is, 1 to 10: a call by its tier, one more if it was refused."""
    event = str(record.get("event", ""))
    tier = record.get("tier")
    known = EVENTS.get(event)
    level = _EVENTS.get(event, _SEVERITY[known.priority] if known else 5)
    if event in _CALLS and type(tier) is int and 0 <= tier < len(_TIERS):
        level = _TIERS[tier]
        if event == "deny" or record.get("decision") == "deny":
            level += 1
    if record.get("survivors"):
        level = max(level, 6)
    return level


def name(record: Mapping[str, Any]) -> str:
    """What happened, in words."""
    event = str(record.get("event", ""))
    if event == ANOMALY:
        return "The record is not as the broker writes it"
    known = EVENTS.get(event)
    return known.subject.partition(": @")[0].replace("@", "") if known else event


def visible(text: str, *, keep: str = "") -> str:
    """Text in which nothing ends a line, moves a cursor, turns the direction or cannot be encoded:
    what is not printable is written as its escape (as Python writes it), except those to keep."""
    if text.isprintable():
        return text
    return "".join(
        char if char in keep or char.isprintable() else char.encode("unicode_escape").decode()
        for char in text
    )


def plain(value: Any, limit: int = LONG) -> str:
    """A fact as text, cut to so many characters."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, (list, tuple)):
        text = "; ".join(plain(item) for item in value)
    elif isinstance(value, dict):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    else:
        text = str(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def camel(name: str) -> str:
    """A key out of a fact's name: args_sha256 is argsSha256. Letters and digits alone."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word]
    return "".join(
        [words[0], *(word[:1].upper() + word[1:] for word in words[1:])] if words else []
    )


def facts(record: Mapping[str, Any]) -> Iterator[tuple[str, Row, Any]]:
    """Each fact of a record that is exported, with its row."""
    for fact, value in record.items():
        row = MAP.get(fact, _OWN)
        if row is _OWN:
            key = camel(str(fact))[:48]
            if not key:
                continue
            # CEF wants keys of one's own marked with vendor and product.
            row = Row("relayShell" + key[:1].upper() + key[1:], key)
        if row is not None and value is not None:
            yield str(fact), row, value


_OWN = Row("", "")


def address(value: Any) -> tuple[int, str]:
    """The version of an IP address (0 if it is none) and its canonical form."""
    try:
        found = ipaddress.ip_address(str(value))
    except ValueError:
        return 0, str(value)
    return found.version, str(found)


def summary(record: Mapping[str, Any]) -> str:
    """The line that a person reads."""
    try:
        return message(record)
    except (KeyError, TypeError, AttributeError, ValueError):
        # Only a line that the broker did not write has facts of other types.
        return name(record)
