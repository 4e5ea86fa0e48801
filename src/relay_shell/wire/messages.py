"""The one table of messages between front, broker, worker and operator.

A message is a request (answered once) or a notice (never answered). Each names who may say it to
whom, the phase it is legal in, and its fields with type and bound; a frame that the table does
not allow ends the link. The shape is that of OpenSSH's monitor: closed, sized, phase-checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

VERSION = 1
"""Version of this table; peers that differ refuse each other in their hello."""

SHORT = 256
TEXT = 4096
ARGUMENTS = 4 * 1024 * 1024
"""Bound of a call's arguments in bytes of JSON, that of an MCP message (design section 7)."""

LARGE = 16 * 1024 * 1024
"""Bound of a whole frame: 1 MiB of output, escaped six-fold in the worst case, twice, and slack."""


class Field(NamedTuple):
    """Type and bound of one field: `size` limits characters, items, keys or the magnitude."""

    type: type | tuple[type, ...]
    size: int = SHORT
    required: bool = True


class Message(NamedTuple):
    """One row: who says it to whom, its body, and the body of its reply (None for a notice)."""

    sender: str
    receiver: str
    body: Mapping[str, Field]
    reply: Mapping[str, Field] | None = None
    hello: bool = False
    fds: int = 0


def _str(size: int = SHORT, required: bool = True) -> Field:
    return Field(str, size, required)


def _int(required: bool = True) -> Field:
    return Field(int, 2**53, required)


def _obj(required: bool = True) -> Field:
    return Field(dict, 4096, required)


def _list(size: int = 4096, required: bool = True) -> Field:
    return Field(list, size, required)


_BOOL = Field(bool, 1)
_ACCESS: dict[str, Field] = {
    "mode": _str(16),
    "ceiling": _int(),
    "groups": _list(256),
}

TABLE: dict[str, Message] = {
    # The front's link to the broker.
    "hello_front": Message(
        "front",
        "broker",
        {"version": _int()},
        {"instance": _str(), "settings": _obj()},
        hello=True,
    ),
    "connect": Message(
        "front",
        "broker",
        {
            "conn": _str(SHORT, False),
            "transport": _str(16),
            "address": _str(SHORT, False),
            "claims": _obj(False),
        },
        {"conn": _str(), "principal": _str(), "user": _str(), "posture": _str(), **_ACCESS},
        fds=1,
    ),
    "client": Message(
        "front",
        "broker",
        {"conn": _str(), "name": _str(), "version": _str(), "protocol": _str()},
    ),
    "ticket": Message("front", "broker", {"conn": _str()}, {"ticket": _str()}),
    "workers": Message("front", "broker", {}, {"workers": _list()}),
    "adopt": Message("front", "broker", {"worker": _str(), "conn": _str()}, {}),
    "rejected": Message(
        "front",
        "broker",
        {
            "conn": _str(),
            "what": _str(),
            "tool": _str(SHORT, False),
            "detail": _str(TEXT, False),
            "sha256": _str(64, False),
            "length": _int(False),
        },
        {},
    ),
    "observe": Message(
        "front",
        "broker",
        {"conn": _str(), "what": _str(), "name": _str(TEXT)},
        {"allowed": _BOOL, "reason": _str(TEXT)},
    ),
    "disconnect": Message("front", "broker", {"conn": _str(), "reason": _str(TEXT)}, {}),
    "close": Message("broker", "front", {"conn": _str(), "reason": _str(TEXT)}),
    "access": Message("broker", "front", {"conn": _str(), **_ACCESS}),
    "front_settings": Message("broker", "front", {"settings": _obj()}),
    # A worker's link to the broker.
    "hello_worker": Message(
        "worker",
        "broker",
        {
            "version": _int(),
            "ticket": _str(SHORT, False),
            "worker": _str(SHORT, False),
            "resume": _str(SHORT, False),
            "calls": _list(4096, False),
        },
        {
            "worker": _str(),
            "resume": _str(),
            "principal": _str(),
            "user": _str(),
            "posture": _str(),
            "settings": _obj(),
            **_ACCESS,
            "access_hosts": _list(256, False),
        },
        hello=True,
    ),
    "begin": Message(
        "worker",
        "broker",
        {
            "call": _str(),
            "conn": _str(),
            "tool": _str(),
            "args": Field(dict, 256),
            "hosts": _list(4096, False),
            "shell": _str(16, False),
            "reason": _str(TEXT, False),
            "request_id": _str(SHORT, False),
        },
        {
            "decision": _str(16),
            "tier": _int(),
            "mode": _str(16),
            "enforcement": _str(16),
            "reasons": _list(64),
            "hint": _str(TEXT),
            "replay": _obj(False),
        },
    ),
    "end": Message(
        "worker",
        "broker",
        {
            "call": _str(),
            "status": _str(16),
            "exit": _int(False),
            "signal": _str(16, False),
            "sha256": _str(64, False),
            "bytes": _int(False),
            "truncated": Field(bool, 1, False),
            "duration_ms": _int(),
            "cpu_ms": _int(False),
            "mem_peak": _int(False),
            "io_read": _int(False),
            "io_write": _int(False),
            "io_reads": _int(False),
            "io_writes": _int(False),
            "tasks_peak": _int(False),
            "accounting": _str(128, False),
            "session": _str(64, False),
            "survivors": _int(False),
            "remote": _list(4096, False),
            "error": _str(TEXT, False),
        },
        {},
    ),
    "note": Message(
        "worker", "broker", {"what": _str(), "call": _str(SHORT, False), "facts": _obj()}
    ),
    "record_open": Message(
        "worker",
        "broker",
        {
            "session": _str(64),
            "call": _str(),
            "rows": _int(),
            "columns": _int(),
            "title": _str(TEXT),
            "term": _str(64),
            "shell": _str(TEXT),
        },
        {"recording": _str(64), "mode": _str(16)},
    ),
    "record": Message(
        "worker",
        "broker",
        {"recording": _str(64), "first": _int(), "events": _list(4096)},
        {"more": _BOOL},
    ),
    "record_close": Message(
        "worker",
        "broker",
        {
            "recording": _str(64),
            "first": _int(),
            "dropped": _int(),
            "masked": _int(),
            "reason": _str(TEXT),
            "exit": _int(False),
        },
        {},
    ),
    "audit_tail": Message(
        "worker",
        "broker",
        {"count": _int(), "filters": _obj()},
        {"records": _list(4096)},
    ),
    "explain": Message("worker", "broker", {"args": Field(dict, 16)}, {"verdict": _obj()}),
    "busy": Message("worker", "broker", {"calls": _list(), "sessions": _list()}),
    "stop": Message("broker", "worker", {"reason": _str(TEXT)}),
    "abort": Message("broker", "worker", {"call": _str(), "reason": _str(TEXT)}),
    "settings": Message(
        "broker",
        "worker",
        {"settings": _obj(), **_ACCESS, "access_hosts": _list(256, False)},
    ),
    # The front's link to a worker.
    "start": Message(
        "front",
        "worker",
        {"ticket": _str(), "conn": _str()},
        {"worker": _str(), "pid": _int()},
        hello=True,
    ),
    "attach": Message("front", "worker", {"conn": _str()}, {"worker": _str()}),
    "detach": Message("front", "worker", {"conn": _str(), "reason": _str(TEXT)}),
    "call": Message(
        "front",
        "worker",
        {
            "call": _str(),
            "conn": _str(),
            "tool": _str(),
            "args": Field(dict, 256),
            "progress": _BOOL,
            "request_id": _str(SHORT, False),
        },
        {"result": _obj(), "is_error": _BOOL},
    ),
    "cancel": Message("front", "worker", {"call": _str(), "reason": _str(TEXT)}),
    "progress": Message(
        "worker",
        "front",
        {"call": _str(), "progress": Field((int, float), 2**53), "message": _str(TEXT)},
    ),
    "holding": Message("worker", "front", {"sessions": _int(), "outputs": _int()}),
    # The observer's link to the broker.
    "hello_observer": Message(
        "observer",
        "broker",
        {"version": _int()},
        {"instance": _str(), "settings": _obj()},
        hello=True,
    ),
    "observed": Message(
        "observer",
        "broker",
        {
            "unit": _str(),
            "group": _str(),
            "execs": _list(256),
            "total": _int(),
            "recorded": _int(),
            "lost": _int(),
            "processes": _int(),
            "ended": _BOOL,
            "late": Field(bool, 1, False),
        },
        {},
    ),
    "observing": Message(
        "observer", "broker", {"state": _str(16), "reason": _str(TEXT), "lost": _int()}
    ),
    "observer_settings": Message("broker", "observer", {"settings": _obj()}),
    # An operator's link to the broker.
    "hello_operator": Message(
        "operator",
        "broker",
        {"version": _int()},
        {"instance": _str(), "program": _str()},
        hello=True,
    ),
    "status": Message("operator", "broker", {}, {"status": _obj()}),
    "freeze": Message(
        "operator",
        "broker",
        {"scope": _str(16), "value": _str(), "reason": _str(TEXT)},
        {"frozen": _list(), "stopped": _int()},
    ),
    "unfreeze": Message(
        "operator", "broker", {"scope": _str(16), "value": _str()}, {"frozen": _list()}
    ),
    "kill": Message(
        "operator",
        "broker",
        {"scope": _str(16), "value": _str(), "reason": _str(TEXT)},
        {"stopped": _int()},
    ),
    "verified": Message(
        "operator",
        "broker",
        {
            "kind": _str(64),
            "detail": _str(1024),
            **{
                name: _int()
                for name in (
                    *("exit", "records", "first", "last"),
                    *("checkpoints", "sealed", "findings", "duration_ms"),
                )
            },
        },
        {"seq": _int()},
    ),
    "reload": Message(
        "operator", "broker", {}, {"refused": _str(4 * TEXT), "needs_restart": _list()}
    ),
    "rotate": Message("operator", "broker", {}, {"seq": _int(), "inode": _int()}),
    "checkpoint": Message("operator", "broker", {}, {"seq": _int(), "signed": _BOOL}),
    "export": Message(
        "operator",
        "broker",
        {
            "manifest": _str(64),
            "records": _int(),
            "first": _int(),
            "last": _int(),
            "filters": Field(dict, 16),
        },
        {"seq": _int(), "signed": _BOOL},
    ),
    "records": Message(
        "operator",
        "broker",
        {"count": _int(), "filters": _obj()},
        {"records": _list(4096)},
    ),
}
