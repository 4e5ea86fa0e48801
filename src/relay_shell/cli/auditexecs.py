"""What a call claimed beside what was observed of it, for `relay-shell audit show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ..evidence.message import command
from .term import Style, clip, duration, safe, size, table

Record = Mapping[str, Any]
Rows = list[tuple[str, str]]

HEAD = ("AFTER", "PID", "PARENT", "UID", "PROGRAM", "COMMAND")
_PROGRAM, _COMMAND = 48, 400


def used(outcome: Record) -> Rows:
    """What the kernel accounted for."""
    words = []
    if isinstance(outcome.get("cpu_ms"), int):
        words.append(f"cpu {duration(outcome['cpu_ms'] / 1000)}")
    if isinstance(outcome.get("mem_peak"), int):
        words.append(f"memory {size(outcome['mem_peak'])}")
    for name, verb in (("io_read", "read"), ("io_write", "written")):
        octets = outcome.get(name)
        if isinstance(octets, int) and octets:
            operations = outcome.get(f"{name}s")
            count = f" in {operations}" if isinstance(operations, int) and operations else ""
            words.append(f"{verb} {size(octets)}{count}")
    if isinstance(outcome.get("tasks_peak"), int):
        words.append(f"{outcome['tasks_peak']} tasks at once")
    rows = [("used", ", ".join(words))] if words else []
    if outcome.get("accounting"):
        rows.append(("", f"by {safe(outcome['accounting'])}"))
    return rows


def compared(records: Sequence[Record], first: Record, outcome: Record, style: Style) -> Rows:
    """The command that was asked for, and under it what was executed.

    Args:
        first: the call's intent.
        outcome: empty while the call has none.
    """
    told = [record for record in records if record.get("event") == "exec"]
    if not told and "observed" not in outcome:
        return []
    rows = [("claimed", safe(command(first.get("args")).strip('"')) or "no command")]
    execs = [row for record in told for row in record.get("execs") or () if isinstance(row, dict)]
    rows.append(("observed", _summary(told, execs, outcome, style)))
    if execs:
        began = _moment(execs[0]) or 0.0
        cells = [_cells(row, began) for row in execs]
        rows += [("", line) for line in table(HEAD, cells, style).split("\n")]
    return rows


def _summary(told: Sequence[Record], execs: list[Any], outcome: Record, style: Style) -> str:
    last = told[-1].get("facts") if told else None
    facts: Mapping[str, Any] = last if isinstance(last, Mapping) else {}
    words = [f"{len(execs)} executions"]
    processes = facts.get("processes")
    if isinstance(processes, int):
        words.append(f"{processes} processes")
    missing = []
    total = facts.get("total")
    if isinstance(total, int) and total > len(execs):
        missing.append(f"{total - len(execs)} more are counted, not recorded")
    if any(_flag(record, "late") for record in told):
        missing.append("it ran before the observer did")
    if outcome.get("observed") is False:
        missing.append("not observed all the time")
    text = ", ".join(words)
    return f"{text}; {style('; '.join(missing), 'yellow')}" if missing else text


def _flag(record: Record, name: str) -> bool:
    facts = record.get("facts")
    return isinstance(facts, Mapping) and facts.get(name) is True


def _cells(row: Mapping[str, Any], began: float) -> list[str]:
    moment = _moment(row)
    after = "?" if moment is None else f"{max(0.0, moment - began):.3f} s"
    uid = str(row.get("uid", "?"))
    if "euid" in row:
        uid += f">{row['euid']}"
    shown = clip(safe(row.get("command", "")), _COMMAND)
    for name, text in (("moved", "outside its cgroup"), ("unreadable", "arguments not readable")):
        if row.get(name):
            shown += f" ({text})"
    program = clip(safe(row.get("path", "?")), _PROGRAM)
    return [after, str(row.get("pid", "?")), str(row.get("ppid", "?")), safe(uid), program, shown]


def _moment(row: Mapping[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(str(row["at"])).timestamp()
    except (KeyError, ValueError):
        return None
