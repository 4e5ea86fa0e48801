"""The one table of metrics: `relay-shell metrics`, and `metrics` in `relay-shell status --json`.

No label holds a name that an agent chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Labels = Mapping[str, str]
"""The labels of a value; that without a name is what follows the metric's name, as `_bucket`."""

Values = list[tuple[Labels, float]]
Status = Mapping[str, Any]


class Metric(NamedTuple):
    """One row: what it is called after `relay_shell_`, its type, what it says, and its values."""

    name: str
    type: str
    help: str
    values: Callable[[Status], Values]


def _part(status: Status, *names: str) -> Any:
    value: Any = status
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _number(*names: str, scale: float = 1) -> Callable[[Status], Values]:
    """A number of the status, absent if it is not there."""

    def get(status: Status) -> Values:
        value = _part(status, *names)
        if isinstance(value, (bool, int, float)):
            return [({}, value * scale if scale != 1 else value)]
        return []

    return get


def _is(wanted: str, *names: str) -> Callable[[Status], Values]:
    """1 if a text of the status is this, 0 if it is another, absent if it is not there."""

    def get(status: Status) -> Values:
        value = _part(status, *names)
        return [({}, int(value == wanted))] if isinstance(value, str) else []

    return get


def _count(*names: str) -> Callable[[Status], Values]:
    """How many items a list of the status has."""

    def get(status: Status) -> Values:
        value = _part(status, *names)
        return [({}, len(value))] if isinstance(value, list) else []

    return get


def _events(*chosen: str, label: str = "event") -> Callable[[Status], Values]:
    def get(status: Status) -> Values:
        found = _part(status, "evidence", "events")
        if not isinstance(found, Mapping):
            return []
        if chosen:
            return [({}, sum(found.get(name, 0) for name in chosen))]
        return [({label: str(name)}, count) for name, count in sorted(found.items())]

    return get


def _state(status: Status) -> Values:
    from ..evidence.errors import CAUSES

    now = _part(status, "evidence", "state")
    return [({"state": name}, int(name == now)) for name in ("ok", *CAUSES)] if now else []


def _policy(status: Status) -> Values:
    now = _part(status, "evidence", "policy")
    if not isinstance(now, str):
        return []
    return [
        ({"policy": name}, int(name == now)) for name in ("block", "spool", "continue-and-mark")
    ]


def _mode(status: Status) -> Values:
    modes = ("open", "guarded", "readonly")
    now = status.get("mode")
    return [({"mode": name}, int(name == now)) for name in modes] if now else []


def _frozen(status: Status) -> Values:
    found = status.get("frozen")
    if not isinstance(found, list):
        return []
    scopes = [freeze.get("scope") for freeze in found if isinstance(freeze, Mapping)]
    return [
        ({"scope": name}, scopes.count(name))
        for name in ("all", "principal", "worker", "tier", "host")
    ]


def _observer(status: Status) -> Values:
    return _is("on", "observer", "state")(status) if _part(status, "observer", "wanted") else []


def _verdicts(status: Status) -> Values:
    return [
        ({name: str(row[name]) for name in ("tool", "tier", "verdict")}, row["count"])
        for row in _part(status, "tally", "verdicts") or ()
    ]


def _latency(status: Status) -> Values:
    tally = _part(status, "tally")
    if not isinstance(tally, Mapping):
        return []
    bounds = [*map(repr, tally["bounds"]), "+Inf"]
    within = tally["within"]
    buckets: Values = [
        ({"": "_bucket", "le": bound}, count) for bound, count in zip(bounds, within, strict=True)
    ]
    return [*buckets, ({"": "_sum"}, float(tally["seconds"])), ({"": "_count"}, within[-1])]


def _ends(status: Status) -> Values:
    ends = _part(status, "tally", "ends") or {}
    return [({"status": name}, count) for name, count in ends.items()]


METRICS: tuple[Metric, ...] = (
    Metric("up", "gauge", "Whether the broker answers.", lambda s: [({}, int(bool(s)))]),
    Metric(
        "build_info",
        "gauge",
        "Version of the broker.",
        lambda s: [({"version": str(s["version"])}, 1)] if "version" in s else [],
    ),
    Metric("start_time_seconds", "gauge", "When the broker started.", _number("since")),
    Metric("mode", "gauge", "The policy mode in force is 1.", _mode),
    Metric("connections", "gauge", "Clients that are connected.", _count("connections")),
    Metric("connections_total", "counter", "Clients that have connected.", _events("connect")),
    Metric("workers", "gauge", "Workers that are there.", _count("workers")),
    Metric("sessions", "gauge", "Terminal sessions that are open.", _count("sessions")),
    Metric("calls", "gauge", "Calls that run.", _count("calls")),
    Metric("calls_total", "counter", "Calls that were admitted.", _events("intent")),
    Metric("denials_total", "counter", "Calls that were refused.", _events("deny")),
    Metric(
        "verdicts_total",
        "counter",
        "What was decided of calls; the verdict is allow, deny, replay, or why there was none.",
        _verdicts,
    ),
    Metric(
        "verdict_seconds",
        "histogram",
        "Time from the question to the verdict, the intent's way to the disk included.",
        _latency,
    ),
    Metric("ended_calls_total", "counter", "How calls that were admitted ended.", _ends),
    Metric("refused_peers_total", "counter", "Peers that were turned away.", _number("refused")),
    Metric("freezes", "gauge", "Freezes that stand.", _frozen),
    Metric(
        "evidence_state",
        "gauge",
        "The state of the record is 1; calls are refused unless it is ok or the settings say so.",
        _state,
    ),
    Metric(
        "evidence_policy",
        "gauge",
        "While the record cannot be written, what happens to calls is 1.",
        _policy,
    ),
    Metric(
        "evidence_refused",
        "gauge",
        "Records refused since the record cannot be written.",
        lambda s: _number("evidence", "refused")(s) or ([({}, 0)] if s else []),
    ),
    Metric("records_total", "counter", "Records that were written.", _events()),
    Metric("record_last_seq", "gauge", "Number of the last record.", _number("evidence", "seq")),
    Metric(
        "record_written_bytes_total",
        "counter",
        "Bytes that were written to the record.",
        _number("evidence", "bytes"),
    ),
    Metric(
        "record_unsynced",
        "gauge",
        "Records that are not on the disk yet.",
        _number("evidence", "unsynced"),
    ),
    Metric("record_syncs_total", "counter", "Syncs of the record.", _number("evidence", "syncs")),
    Metric(
        "record_slowest_sync_seconds",
        "gauge",
        "The longest that a sync of the record took.",
        _number("evidence", "slowest_sync_ms", scale=0.001),
    ),
    Metric("record_rotations_total", "counter", "Rotations.", _number("evidence", "rotations")),
    Metric(
        "record_torn_total",
        "counter",
        "Writes that were cut off and named.",
        _number("evidence", "torn"),
    ),
    Metric(
        "record_append_only",
        "gauge",
        "Whether the record has the append-only attribute; absent where there is none.",
        _number("evidence", "append_only"),
    ),
    Metric(
        "record_free_bytes",
        "gauge",
        "Space for the record.",
        _number("evidence", "free"),
    ),
    Metric(
        "record_waiting",
        "gauge",
        "Facts that wait to be recorded.",
        _number("evidence", "waiting"),
    ),
    Metric(
        "record_waiting_bytes",
        "gauge",
        "Bytes of intents that wait to be recorded.",
        _number("evidence", "waiting_bytes"),
    ),
    Metric(
        "record_lost_total",
        "counter",
        "Facts that found no room to wait to be recorded.",
        _number("evidence", "lost"),
    ),
    Metric(
        "checkpoints_signed",
        "gauge",
        "Whether checkpoints are signed.",
        _is("ok", "evidence", "signing", "state"),
    ),
    Metric(
        "record_unsealed",
        "gauge",
        "Records that no checkpoint covers yet.",
        _number("evidence", "signing", "unsealed"),
    ),
    Metric(
        "journal_ok",
        "gauge",
        "Whether journald takes records.",
        _is("ok", "evidence", "journal", "state"),
    ),
    Metric(
        "journal_sent_total",
        "counter",
        "Records that journald took.",
        _number("evidence", "journal", "sent"),
    ),
    Metric(
        "journal_lost_total",
        "counter",
        "Records that never reached journald.",
        _number("evidence", "journal", "lost"),
    ),
    Metric(
        "journal_spooled",
        "gauge",
        "Records that wait for journald.",
        _number("evidence", "journal", "spooled"),
    ),
    Metric(
        "journal_spooled_bytes",
        "gauge",
        "Bytes of the records that wait for journald.",
        _number("evidence", "journal", "spooled_bytes"),
    ),
    Metric(
        "remote_ack_late",
        "gauge",
        "Whether the collector is late, where calls wait for it.",
        _is("late", "evidence", "remote_ack", "state"),
    ),
    Metric(
        "remote_ack_waiting",
        "gauge",
        "Calls that wait for the collector.",
        _number("evidence", "remote_ack", "waiting"),
    ),
    Metric("recordings", "gauge", "Recordings that are open.", _number("recordings", "open")),
    Metric(
        "recordings_ok",
        "gauge",
        "Whether recordings can be written.",
        _is("", "recordings", "trouble"),
    ),
    Metric(
        "observer_ok",
        "gauge",
        "Whether executions are observed, if they are to be.",
        _observer,
    ),
    Metric(
        "observer_lost_total",
        "counter",
        "Executions that were not recorded, for there were too many at once.",
        _number("observer", "lost"),
    ),
    Metric(
        "needs_restart",
        "gauge",
        "Settings in the files that apply after a restart only.",
        _count("needs_restart"),
    ),
    Metric(
        "reload_ok",
        "gauge",
        "Whether the settings in the files are valid.",
        _is("", "reload_error"),
    ),
    Metric(
        "verify_whole",
        "gauge",
        "Whether the record was whole when it was last verified.",
        _is("", "verified", "kind"),
    ),
    Metric(
        "verify_status",
        "gauge",
        "Exit status of the last verification.",
        _number("verified", "exit"),
    ),
    Metric(
        "verify_time_seconds",
        "gauge",
        "When the record was last verified.",
        _number("verified", "at"),
    ),
    Metric(
        "verify_duration_seconds",
        "gauge",
        "How long the last verification took.",
        _number("verified", "duration_ms", scale=0.001),
    ),
    Metric(
        "verify_records",
        "gauge",
        "Records that were read by the last verification.",
        _number("verified", "records"),
    ),
    Metric(
        "verify_findings",
        "gauge",
        "Findings of the last verification that leave the record not whole.",
        _number("verified", "findings"),
    ),
)
"""Every metric, in the order in which they are printed."""
