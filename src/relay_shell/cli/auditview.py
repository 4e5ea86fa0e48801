"""How records read: a line each, or one call in full."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..evidence.message import message
from .auditexecs import compared, used
from .term import Style, duration, safe

Record = Mapping[str, Any]

TIERS = ("read-only", "reversible", "stateful", "irreversible")
_EVENT_WIDTH = 11
_LABEL_WIDTH = 11


def line(record: Record, style: Style, utc: bool = False) -> str:
    """One record on one line."""
    event = safe(record.get("event", "?"))
    try:
        text = safe(message(record))
    except (KeyError, TypeError, AttributeError):
        text = "(malformed)"
    where = safe(record.get("call_id") or record.get("conn") or "-")
    return "  ".join(
        (
            style(time_of(record, utc), "dim"),
            f"{where:<18}",
            style(f"{event:<{_EVENT_WIDTH}}", *_colours(record)),
            text,
        )
    )


def time_of(record: Record, utc: bool = False) -> str:
    """When the record was written, to the second, in local time or UTC."""
    try:
        moment = datetime.fromisoformat(str(record["ts"]))
    except (KeyError, ValueError):
        return "?" * 19
    return moment.astimezone(UTC if utc else None).strftime("%Y-%m-%d %H:%M:%S")


def _colours(record: Record) -> tuple[str, ...]:
    event = record.get("event")
    if event in ("deny", "rejected", "refused", "freeze", "kill", "interrupted"):
        return ("yellow",)
    if event in ("trouble", "torn", "journal-lost"):
        return ("red",)
    if event == "outcome":
        sound = record.get("status", "ok") == "ok" and not record.get("exit")
        return ("green",) if sound else ("yellow",)
    return ()


def call(records: Sequence[Record], style: Style, utc: bool = False) -> str:
    """One call: its intent (or refusal) joined with its outcome and what was noted between."""
    by_event: dict[str, Record] = {}
    for record in records:
        by_event.setdefault(str(record.get("event")), record)
    first = by_event.get("intent") or by_event.get("deny") or records[0]
    rows = [("call", style(safe(first.get("call_id", "?")), "bold"))]
    rows += _identity(first)
    rows += _request(first)
    rows.append(("decision", _decision(first, style)))
    rows += [("", f"because {safe(reason)}") for reason in first.get("reasons") or ()]
    rows.append(("asked", f"{time_of(first, utc)}, record {first.get('seq')}"))
    rows += _end(by_event, style, utc)
    rows += compared(records, first, by_event.get("outcome", {}), style)
    shown = {"intent", "deny", "outcome", "interrupted", "exec"}
    for record in records:
        if record.get("event") not in shown:
            rows.append(("noted", line(record, style, utc)))
    return "\n".join(f"{label:<{_LABEL_WIDTH}} {text}" for label, text in rows)


def plain(record: Record, style: Style) -> str:
    """Any record as its facts, one a line."""
    rows = []
    for name, value in record.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        rows.append(f"{style(f'{safe(name):<14}', 'dim')} {safe(text)}")
    return "\n".join(rows)


def _identity(record: Record) -> list[tuple[str, str]]:
    rows = []
    who = safe(record.get("principal", "?"))
    if "uid" in record:
        who += f" (uid {safe(record['uid'])})"
    rows.append(("principal", who))
    if record.get("client"):
        rows.append(("client", f"{safe(record['client'])} (its own words)"))
    place = [safe(record[name]) for name in ("worker", "posture", "unit") if record.get(name)]
    if place:
        rows.append(("worker", ", ".join(place)))
    return rows


def _request(record: Record) -> list[tuple[str, str]]:
    rows = [("tool", safe(record.get("tool", "?")))]
    arguments = record.get("args")
    if isinstance(arguments, Mapping):
        for name, value in arguments.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            first, *rest = str(text).split("\n")
            rows.append(("", f"{safe(name)}: {safe(first)}"))
            rows += [("", " " * (len(safe(name)) + 2) + safe(part)) for part in rest]
    elif arguments is not None:
        rows.append(("", safe(arguments)))
    if "args_sha256" in record:
        octets = record.get("args_bytes", "?")
        rows.append(("", f"in full {octets} bytes, sha256 {safe(record['args_sha256'])}"))
    if record.get("hosts"):
        rows.append(("hosts", ", ".join(map(safe, record["hosts"]))))
    if record.get("reason"):
        rows.append(("reason", f"{safe(record['reason'])} (its own words)"))
    return rows


def _decision(record: Record, style: Style) -> str:
    denied = record.get("event") == "deny" or record.get("decision") == "deny"
    words = [style("denied", "red") if denied else style("allowed", "green")]
    tier = record.get("tier")
    if isinstance(tier, int):
        name = TIERS[tier] if 0 <= tier < len(TIERS) else "unknown"
        words.append(f"tier {tier} ({name})")
    if record.get("mode"):
        words.append(f"mode {safe(record['mode'])}")
    if record.get("enforcement") not in (None, "none"):
        words.append(f"enforced {safe(record['enforcement'])}")
    return ", ".join(words)


def _machines(rows: object, style: Style) -> list[tuple[str, str]]:
    """A line for each machine that ran something."""
    found: list[tuple[str, str]] = []
    for row in rows if isinstance(rows, (list, tuple)) else ():
        if not isinstance(row, Mapping):
            continue
        words = [safe(row.get("status", "?"))]
        if "exit" in row:
            words.append(f"exit {safe(row['exit'])}")
        if "signal" in row:
            words.append(safe(row["signal"]))
        if "bytes" in row:
            words.append(f"{safe(row['bytes'])} bytes")
        if row.get("error"):
            words.append(safe(row["error"]))
        sound = row.get("status") == "ok" and not row.get("exit")
        where = safe(row.get("host", "?"))
        if row.get("address") not in (None, row.get("host")):
            where += f" ({safe(row['address'])})"
        text = f"{where}: {style(', '.join(words), 'green' if sound else 'yellow')}"
        digest = f"sha256 {safe(row['sha256'])}" if row.get("bytes") and "sha256" in row else ""
        key = f"host key {safe(row['host_key'])}" if "host_key" in row else ""
        found.append(("" if found else "machines", text))
        found += [("", f"  {', '.join(filter(None, (key, digest)))}")] if key or digest else []
    return found


def _end(events: Mapping[str, Record], style: Style, utc: bool) -> list[tuple[str, str]]:
    outcome = events.get("outcome")
    if outcome is None:
        if "interrupted" in events:
            lost = events["interrupted"]
            text = f"{time_of(lost, utc)}, record {lost.get('seq')}"
            return [("ended", style("interrupted: its outcome is not known", "yellow")), ("", text)]
        if "intent" not in events:
            return []
        return [("ended", style("no outcome is recorded: it runs still, or was lost", "yellow"))]
    words = [safe(outcome.get("status", "?"))]
    if "exit" in outcome:
        words.append(f"exit {safe(outcome['exit'])}")
    if "signal" in outcome:
        words.append(safe(outcome["signal"]))
    if isinstance(outcome.get("duration_ms"), int):
        words.append(f"after {duration(outcome['duration_ms'] / 1000)}")
    sound = outcome.get("status") == "ok" and not outcome.get("exit")
    rows = [("ended", style(", ".join(words), "green" if sound else "yellow"))]
    rows.append(("", f"{time_of(outcome, utc)}, record {outcome.get('seq')}"))
    if "bytes" in outcome:
        cut = "returned in part" if outcome.get("truncated") else "returned in full"
        rows.append(("output", f"{safe(outcome['bytes'])} bytes, {cut}"))
        if "sha256" in outcome:
            rows.append(("", f"sha256 {safe(outcome['sha256'])}"))
    rows += used(outcome)
    rows += _machines(outcome.get("remote"), style)
    if outcome.get("survivors"):
        rows.append(("survivors", style(f"{safe(outcome['survivors'])} could not be ended", "red")))
    if outcome.get("error"):
        rows.append(("error", safe(outcome["error"])))
    return rows
