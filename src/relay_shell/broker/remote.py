"""What a worker says of each machine that ran something for a call: rows of the outcome record."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..wire.errors import RelayError
from .calls import STATUSES
from .reach import MACHINES, NAME

ERROR = 512
ERRORS = 256 * 1024
"""Characters of one machine's error in the record, and of all together: the record is a line of
bounded length (`evidence.record.MAX_LINE`), however many machines there are."""

NAMES = 256 * 1024
"""Characters of all names and addresses."""

_SAID = 4096
_NEEDED = frozenset(("host", "status"))
_EXIT = 2**32 - 1
"""RFC 4254, section 6.10: exit-status is a uint32."""

_TEXTS: Mapping[str, re.Pattern[str]] = {
    "host_key": re.compile(r"SHA256:[A-Za-z0-9+/]{43}"),
    "signal": re.compile(r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,63}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
}
_NUMBERS = {"exit": _EXIT, "bytes": 2**53}

Redact = Callable[[Any], Any]


def remote_rows(rows: Any, redact: Redact) -> list[dict[str, Any]]:
    """The rows as they are recorded: host, address, host_key, status, exit or signal, bytes,
    sha256, error.

    Raises:
        RelayError: kind Protocol; nothing of them is recorded then.
    """
    if not isinstance(rows, list) or len(rows) > MACHINES:
        raise _wrong(f"it is no list of at most {MACHINES} machines")
    room = min(ERROR, ERRORS // max(1, len(rows)))
    found = [_row(row, redact, room) for row in rows]
    if sum(len(row["host"]) + len(row.get("address", "")) for row in found) > NAMES:
        raise _wrong(f"the names have more than {NAMES} characters")
    return found


def _row(row: Any, redact: Redact, room: int) -> dict[str, Any]:
    if not isinstance(row, dict) or not row.keys() >= _NEEDED:
        raise _wrong("a row without host and status")
    if "exit" in row and "signal" in row:
        raise _wrong("a row with exit and signal")
    return {name: _value(name, row[name], redact, room) for name in sorted(row, key=_place)}


def _value(name: str, value: Any, redact: Redact, room: int) -> Any:
    if name in _NUMBERS:
        if type(value) is int and 0 <= value <= _NUMBERS[name]:
            return value
    elif isinstance(value, str):
        if name in _TEXTS:
            if _TEXTS[name].fullmatch(value):
                return value
        elif name == "status":
            if value in STATUSES:
                return value
        elif name == "error":
            if len(value) <= _SAID:
                return str(redact(value))[:room]
        elif 1 <= len(value) <= NAME and value.isprintable() and " " not in value:
            return str(redact(value))
    raise _wrong(f"{name} is none")


_ORDER = ("host", "address", "host_key", "status", "exit", "signal", "bytes", "sha256", "error")


def _place(name: Any) -> int:
    if name not in _ORDER:
        raise _wrong(f"no such member: {str(name)[:64]!r}")
    return _ORDER.index(name)


def _wrong(reason: str) -> RelayError:
    return RelayError("Protocol", reason=f"remote: {reason}")
