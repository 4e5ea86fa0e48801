"""The one line that a person reads of a record: MESSAGE in the journal, and `relay-shell audit`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

COMMAND_LENGTH = 160
"""Characters of the command shown; the record holds the rest."""

PLACES = 3
"""Machines that are named of those that a command is for."""

DIGITS = 16
"""Hexadecimal digits of the output's digest shown; the record holds all 64."""

_Facts = Mapping[str, Any]


def printable(text: str, limit: int = COMMAND_LENGTH) -> str:
    """Text on one line of a terminal: nothing that moves the cursor or turns the direction."""
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def message(record: Mapping[str, Any]) -> str:
    """A record in one line.

    >>> message({"event": "intent", "principal": "unix:alice", "tool": "shell_exec",
    ...          "args": {"command": "df -h"}, "tier": 0, "decision": "allow"})
    'alice shell_exec "df -h" tier 0 allowed'
    """
    text = _TEXTS.get(record["event"], _plain)(record)
    return " ".join(part for part in text if part)


def command(args: Any) -> str:
    """What a call's arguments come down to: the command, or the arguments as JSON."""
    if isinstance(args, str):
        return f'"{printable(args)}"'
    if not isinstance(args, Mapping):
        return ""
    for name in ("command", "script", "input", "pattern", "path"):
        if isinstance(args.get(name), str):
            return f'"{printable(args[name])}"'
    argv = args.get("argv")
    if isinstance(argv, (list, tuple)):
        return f'"{printable(" ".join(map(str, argv)))}"'
    return printable(json.dumps(args, ensure_ascii=False, default=str)) if args else ""


def _who(record: _Facts) -> str:
    return printable(str(record.get("principal", "")).removeprefix("unix:"))


def _call(record: _Facts) -> list[str]:
    args = record.get("args")
    return [_who(record), printable(record.get("tool", "")), command(args), _where(args)]


def _where(args: Any) -> str:
    """The machines that a command is for, as its arguments name them."""
    if not isinstance(args, Mapping) or ("command" not in args and "argv" not in args):
        return ""
    hosts = args.get("host", args.get("hosts"))
    names = [hosts] if isinstance(hosts, str) else hosts
    if not isinstance(names, (list, tuple)) or not names:
        return ""
    more = f" and {len(names) - PLACES} more" if len(names) > PLACES else ""
    return f"on {printable(', '.join(map(str, names[:PLACES])))}{more}"


def _tier(record: _Facts) -> str:
    return f"tier {record['tier']}" if "tier" in record else ""


def _intent(record: _Facts) -> list[str]:
    decision = "denied" if record.get("decision") == "deny" else "allowed"
    enforcement = record.get("enforcement", "none")
    return [
        *_call(record),
        _tier(record),
        decision,
        "" if enforcement == "none" else f"({enforcement})",
    ]


def _deny(record: _Facts) -> list[str]:
    reasons = record.get("reasons") or [record.get("error", "")]
    return [*_call(record), _tier(record), "denied:", printable("; ".join(map(str, reasons)))]


def _outcome(record: _Facts) -> list[str]:
    parts = []
    if record.get("status", "ok") not in ("ok", "error") or "exit" not in record:
        parts.append(str(record.get("status", "")))
    if "exit" in record:
        parts.append(f"exit {record['exit']}")
    if "signal" in record:
        parts.append(printable(record["signal"]))
    for name, unit in (("bytes", "bytes"), ("duration_ms", "ms")):
        if name in record:
            parts.append(f"{record[name]} {unit}")
    if record.get("bytes") and "sha256" in record:
        parts.append(f"sha256 {str(record['sha256'])[:DIGITS]}")
    if record.get("survivors"):
        parts.append(f"{record['survivors']} survivors")
    rows = [row for row in record.get("remote") or () if isinstance(row, Mapping)]
    if len(rows) > 1:
        failed = sum(row.get("status") != "ok" or bool(row.get("exit")) for row in rows)
        parts.append(f"{len(rows)} machines" + (f", {failed} failed" if failed else ""))
    if record.get("error"):
        parts.append(printable(record["error"]))
    return [_who(record), printable(record.get("tool", "")), ", ".join(filter(None, parts))]


def _exec(record: _Facts) -> list[str]:
    rows = [row for row in record.get("execs") or () if isinstance(row, Mapping)]
    names = [str(row.get("path", "?")).rpartition("/")[2] for row in rows]
    count = f"{len(rows)} program{'' if len(rows) == 1 else 's'}"
    told = record.get("facts")
    missing = ""
    if isinstance(told, Mapping):
        total, recorded = told.get("total", 0), told.get("recorded", 0)
        if isinstance(total, int) and isinstance(recorded, int) and total > recorded:
            missing = f"({total - recorded} more not recorded)"
    whose = record.get("tool") or record.get("detail") or ""
    parts = [_who(record), printable(whose), f"executed {count}:", printable(", ".join(names))]
    return [*parts, missing]


def _interrupted(record: _Facts) -> list[str]:
    return [*_call(record)[:2], str(record.get("call_id", "")), "interrupted, outcome unknown"]


def _connect(record: _Facts) -> list[str]:
    client = record.get("client") or record.get("address") or ""
    return [_who(record), f"{record['event']}ed", printable(client), _detail(record)]


def _trouble(record: _Facts) -> list[str]:
    return ["record cannot be written:", printable(record.get("error", ""), 512)]


def _verified(record: _Facts) -> list[str]:
    facts = record.get("facts") or {}
    span = printable(f"{facts.get('records')} records, {facts.get('first')} to {facts.get('last')}")
    if record["event"] == "verified":
        return [_who(record), f"verified the record: {span}, whole"]
    text = f"found the record NOT WHOLE: {printable(record.get('what', ''))}:"
    return [_who(record), text, printable(record.get("error", ""), 512)]


def _detail(record: _Facts) -> str:
    return printable(record.get("detail") or record.get("error") or "", 512)


def _plain(record: _Facts) -> list[str]:
    what = record.get("what", "")
    parts = [_who(record), record["event"], printable(what), printable(record.get("tool", ""))]
    facts = record.get("facts")
    tail = printable(json.dumps(facts, ensure_ascii=False, default=str)) if facts else ""
    return [*parts, _detail(record), tail]


_TEXTS: dict[str, Callable[[_Facts], list[str]]] = {
    "intent": _intent,
    "deny": _deny,
    "outcome": _outcome,
    "exec": _exec,
    "interrupted": _interrupted,
    "connect": _connect,
    "disconnect": _connect,
    "trouble": _trouble,
    "verified": _verified,
    "verify-failed": _verified,
}
