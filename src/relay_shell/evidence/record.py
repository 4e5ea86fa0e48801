"""The table of facts: what a record may hold, in the order in which a line holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .events import EVENTS

VERSION = 1
GENESIS = "0" * 64
"""The `prev` of the first record ever."""

MAX_LINE = 4 * 1024 * 1024
"""Bytes that one line may have; a reader need not look further for its end."""


class Field(NamedTuple):
    """One fact: its JSON type ("object|string" is either), and what it says."""

    type: str
    help: str


_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
}

WRITTEN = ("v", "seq", "ts", "boot_id", "prev", "chain")
"""What the writer alone sets."""

FIELDS: dict[str, Field] = {
    "v": Field("integer", "Version of this table."),
    "seq": Field("integer", "Number of the record, from 1, without gaps, across files."),
    "ts": Field("string", "Time of writing: RFC 3339, UTC, microseconds."),
    "boot_id": Field("string", "Boot of the host, as in the journal's _BOOT_ID."),
    "event": Field("string", "What happened; see the table of events."),
    "call_id": Field("string", "The call; intent, outcome and notes share it."),
    "conn": Field("string", "The client's connection."),
    "principal": Field("string", "Who, as attested: unix:<user>, or <issuer>#<subject>."),
    "client": Field("string", "What the client calls itself. A claim."),
    "uid": Field("integer", "User id of the client's process."),
    "loginuid": Field("integer", "Login user id of the client's process (audit_getloginuid(3))."),
    "pid": Field("integer", "Process id of the client or the worker."),
    "transport": Field("string", "How the client is connected: unix, stdio, http."),
    "address": Field("string", "Network address of the client."),
    "unit": Field("string", "systemd unit of the worker."),
    "posture": Field("string", "Posture of the worker: scoped, privileged, standalone."),
    "worker": Field("string", "The worker's id."),
    "tool": Field("string", "The tool called."),
    "tier": Field("integer", "0 read-only, 1 reversible, 2 stateful, 3 irreversible."),
    "mode": Field("string", "Policy mode in force: open, guarded, readonly."),
    "enforcement": Field("string", "How the kernel confines the command: none, readonly."),
    "decision": Field("string", "allow or deny."),
    "reasons": Field("array", "Why the tier and the decision are what they are."),
    "reason": Field("string", "The agent's or operator's own reason. A claim."),
    "args": Field("object|string", "The arguments, redacted and cut to evidence.args_bytes."),
    "args_sha256": Field("string", "SHA-256 of the full arguments as canonical JSON."),
    "args_bytes": Field("integer", "Length of the full arguments as canonical JSON."),
    "hosts": Field(
        "array",
        "Hosts that the call is for: each machine by its first name, then their other names, then "
        "hosts that its command names. One that begins with ? is known only when the command runs; "
        "an item that begins with … counts what there was no room for, beyond 32 KiB.",
    ),
    "sha256": Field("string", "SHA-256 of the whole output."),
    "bytes": Field("integer", "Length of the whole output."),
    "truncated": Field("boolean", "Whether less than the whole output was returned."),
    "status": Field("string", "How the call ended: ok, error, timeout, cancelled, killed."),
    "exit": Field("integer", "Exit status of the command."),
    "signal": Field("string", "Signal that ended the command."),
    "duration_ms": Field("integer", "Time from verdict to end, milliseconds."),
    "cpu_ms": Field("integer", "CPU time of all processes of the call, milliseconds."),
    "mem_peak": Field("integer", "Most memory of all processes of the call at once, bytes."),
    "io_read": Field("integer", "Bytes read from devices by the processes of the call."),
    "io_write": Field(
        "integer", "Bytes written to devices, or put into the page cache to be written."
    ),
    "io_reads": Field("integer", "Read operations on devices."),
    "io_writes": Field("integer", "Write operations on devices."),
    "tasks_peak": Field("integer", "Most processes and threads of the call at once."),
    "accounting": Field(
        "string",
        "Where these figures come from: the call's cgroup, or rusage, which knows the main "
        "process and those that were waited for.",
    ),
    "survivors": Field("integer", "Processes of the call that could not be ended."),
    "observed": Field(
        "boolean", "Whether the kernel's view of what was executed was there all the time."
    ),
    "execs": Field(
        "array",
        "What the processes of the call executed, as the kernel saw it: at, n, pid, ppid, uid, "
        "path, and the redacted command.",
    ),
    "remote": Field(
        "array",
        "What each machine that ran something for the call says of it: host, address, host_key, "
        "status, exit or signal, bytes and sha256 of its output, error.",
    ),
    "session": Field("string", "The session that the call opened."),
    "request_id": Field("string", "The client's id of the request. A claim."),
    "what": Field("string", "Which kind of the event it is."),
    "detail": Field("string", "What it concerns."),
    "at": Field("string", "When it happened, if it could not be recorded then; as `ts`."),
    "facts": Field("object", "Further facts of this event."),
    "error": Field("string", "What went wrong."),
    "prev": Field("string", "The chain value of the record before."),
    "chain": Field("string", "SHA-256 over prev and this line without its chain."),
}

ORDER: tuple[str, ...] = tuple(name for name in FIELDS if name not in ("prev", "chain"))
_TYPES: dict[str, tuple[type, ...]] = {
    name: tuple(kind for part in row.type.split("|") for kind in _PYTHON[part])
    for name, row in FIELDS.items()
}
_BOOL = bool
_SETTABLE = {name: types for name, types in _TYPES.items() if name not in WRITTEN}


def journal_name(name: str) -> str:
    """The journal's field for a fact: call_id is RELAY_CALL_ID."""
    return f"RELAY_{name.upper()}"


def check(facts: Mapping[str, Any]) -> None:
    """Refuse what the tables do not know.

    Raises:
        ValueError: an unknown event or fact, one that the writer sets, or a wrong type; each is
            a defect of the caller.
    """
    if facts.get("event") not in EVENTS:
        raise ValueError(f"no such event: {facts.get('event')!r}")
    for name, value in facts.items():
        types = _SETTABLE.get(name)
        if types is None:
            raise ValueError(f"no fact to record: {name!r}")
        kind = type(value)
        # A subclass of str or int (an enum) is fine; bool among int is not.
        if kind not in types and (kind is _BOOL or not isinstance(value, types)):
            raise ValueError(f"{name} is {kind.__name__}, not {FIELDS[name].type}")
