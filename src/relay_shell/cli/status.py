"""`relay-shell status`: who is at work, what runs, what is frozen, and whether it is recorded."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .freeze import describe
from .metrics import series
from .operator import Operator
from .parser import Subparsers, add_json, add_socket
from .term import Style, clip, duration, safe, size, table

DESCRIPTION = """\
Show the broker, live agents with their units, running calls, freezes and the state of the audit.
Stopping a unit ends that agent: systemctl stop 'relay-shell-worker@...service'."""

SLICE = "/sys/fs/cgroup/relayshell.slice"
"""Where systemd has the cgroups of worker units (Slice=)."""

CLEAR = "\x1b[H\x1b[2J"


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's options."""
    parser = subparsers.add_parser("status", description=DESCRIPTION)
    add_json(parser, "print the broker's answer as one JSON object")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=interval,
        const=2.0,
        metavar="SECONDS",
        help="repeat until interrupted, every 2 seconds or as given",
    )
    add_socket(parser)


def interval(text: str) -> float:
    """Seconds between two looks, 0.2 to 3600."""
    seconds = float(text)
    if not 0.2 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("must be between 0.2 and 3600 seconds")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Print the status once, or until interrupted."""
    with Operator(args.socket) as broker:
        while True:
            status = broker.request("status")["status"]
            style = Style()
            if args.json:
                status["metrics"] = series({**status, "version": _version(broker)})
                text = json.dumps(status)
            else:
                text = render(status, str(broker.broker["program"]), style)
            if args.watch is not None and style.on:
                text = CLEAR + text
            print(text)
            sys.stdout.flush()
            if args.watch is None:
                return 0
            time.sleep(args.watch)


def _version(broker: Operator) -> str:
    return str(broker.broker["program"]).rpartition(" ")[2]


def audit_health(status: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the record is kept as it must be, and one line that says so."""
    evidence = status.get("evidence")
    if not isinstance(evidence, dict):
        return False, "the broker says nothing of its record"
    if evidence.get("state") != "ok":
        reason = evidence.get("trouble") or evidence.get("state")
        if evidence.get("policy", "block") == "block":
            return False, f"calls are refused: {safe(reason)}"
        waiting, lost = evidence.get("waiting", 0), evidence.get("lost", 0)
        return False, (
            f"NOT written: {safe(reason)}; calls go on ({safe(evidence['policy'])}), "
            f"{waiting} records wait, {lost} are lost"
        )
    words = [f"written, record {evidence.get('seq')}"]
    journal = evidence.get("journal")
    if isinstance(journal, dict):
        if journal.get("lost"):
            return False, f"{journal['lost']} records did not reach the journal"
        if journal.get("state") != "ok":
            return False, f"journald does not take records: {safe(journal.get('state'))}"
        if journal.get("spooled"):
            words.append(f"{journal['spooled']} wait for journald")
    remote = evidence.get("remote_ack")
    if isinstance(remote, dict) and remote.get("state") == "late":
        return False, f"the collector is late: {remote.get('calls')} calls refused or marked"
    if "attribute" in evidence.get("degraded", ()):
        return False, "the record has LOST its append-only attribute, and calls go on"
    if evidence.get("append_only") is not None:
        words.append("append-only" if evidence["append_only"] else "NOT append-only")
    signing = evidence.get("signing")
    if isinstance(signing, dict) and signing.get("state") != "ok":
        words.append(f"NOT signed: {safe(signing.get('state'))}")
    if isinstance(evidence.get("free"), int):
        words.append(f"{size(evidence['free'])} free")
    return True, ", ".join(words)


def verification(verified: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the record was whole when it was last verified, and one line that says so."""
    ago = f"{duration(_age(verified.get('at')))} ago"
    if verified.get("kind"):
        return False, f"{ago}, NOT WHOLE: {safe(verified.get('detail') or verified['kind'])}"
    return True, f"{ago}, whole, record {verified.get('first')} to {verified.get('last')}"


def render(status: Mapping[str, Any], program: str, style: Style) -> str:
    """The status for a human."""
    parts = [_summary(status, program, style)]
    frozen = status.get("frozen") or ()
    if frozen:
        parts.append("\n".join(style("FROZEN", "bold", "red") + f" {describe(f)}" for f in frozen))
    parts.append(_workers(status, style))
    waiting = spares(status)
    if waiting:
        parts.append(f"{waiting} spare worker{'s' if waiting > 1 else ''} for the next connections")
    calls = _rows(status, "calls")
    if calls:
        parts.append(_calls(calls, style))
    return "\n\n".join(parts)


def spares(status: Mapping[str, Any], directory: str = "") -> int:
    """How many worker units of this host belong to nobody that the broker knows."""
    known = {row.get("unit") for row in _rows(status, "workers")}
    with contextlib.suppress(OSError):
        units = fnmatch.filter(os.listdir(directory or SLICE), "relay-shell-worker@*.service")
        return sum(unit not in known for unit in units)
    return 0


def _summary(status: Mapping[str, Any], program: str, style: Style) -> str:
    words = [style(safe(program), "bold")]
    if "since" in status:
        words.append(f"up {duration(_age(status['since']))}")
    if "mode" in status:
        words.append(f"mode {safe(status['mode'])}")
    healthy, text = audit_health(status)
    lines = [", ".join(words), f"audit: {style(text, 'green' if healthy else 'red')}"]
    recordings = status.get("recordings")
    if isinstance(recordings, dict) and recordings.get("trouble"):
        lines.append(style(safe(recordings["trouble"]), "red"))
    verified = status.get("verified")
    if isinstance(verified, dict):
        good, said = verification(verified)
        lines.append(f"verified: {style(said, 'green' if good else 'red')}")
    watched = status.get("observer")
    if isinstance(watched, dict) and watched.get("wanted"):
        state, lost = safe(watched.get("state")), watched.get("lost")
        text = f"on, {lost} executions missed" if state == "on" and lost else state
        if watched.get("reason"):
            text += f": {safe(watched['reason'])}"
        lines.append(f"observer: {style(text, 'green' if text == 'on' else 'yellow')}")
    if status.get("reload_error"):
        lines.append(style(f"reload refused: {safe(status['reload_error'])}", "red"))
    if status.get("needs_restart"):
        names = ", ".join(map(safe, status["needs_restart"]))
        lines.append(f"changed, but only a restart applies it: {names}")
    return "\n".join(lines)


def _workers(status: Mapping[str, Any], style: Style) -> str:
    workers = _rows(status, "workers")
    connections = {row.get("conn"): row for row in _rows(status, "connections")}
    if not workers and not connections:
        return "no agents are connected"
    running: dict[str, int] = {}
    for call in _rows(status, "calls"):
        running[call.get("worker", "")] = running.get(call.get("worker", ""), 0) + 1
    rows = []
    for row in workers:
        clients = [connections.pop(conn, None) for conn in row.get("conns", ())]
        names = [safe(client["client"]) for client in clients if client and client.get("client")]
        rows.append(
            [
                safe(row.get("principal", "")),
                safe(row.get("worker", "")),
                _posture(row, style),
                str(running.get(row.get("worker", ""), 0)),
                str(len(row.get("sessions", ()))),
                duration(_age(row.get("since"))),
                clip(", ".join(names), 32) or _state(row, clients),
                safe(row.get("unit", "")) or f"pid {row.get('pid')}",
            ]
        )
    # A client that has not called a tool yet has no worker.
    for row in connections.values():
        client = clip(safe(row.get("client", "")), 32)
        age = duration(_age(row.get("since")))
        cells = ["-", safe(row.get("posture", "")), "0", "0", age, client, f"pid {row.get('pid')}"]
        rows.append([safe(row.get("principal", "")), *cells])
    head = ["PRINCIPAL", "WORKER", "POSTURE", "CALLS", "SESSIONS", "AGE", "CLIENT", "UNIT"]
    return table(head, rows, style)


def _posture(row: Mapping[str, Any], style: Style) -> str:
    name = safe(row.get("posture", ""))
    return style(name, "yellow") if name == "privileged" else name


def _state(row: Mapping[str, Any], clients: Sequence[Any]) -> str:
    if row.get("stopping"):
        return "stopping"
    return "" if any(clients) else "parked"


def _calls(calls: Sequence[Mapping[str, Any]], style: Style) -> str:
    rows = [
        [
            safe(row.get("call", "")),
            safe(row.get("principal", "")),
            safe(row.get("worker", "")),
            safe(row.get("tool", "")),
            str(row.get("tier", "")),
            duration(float(row.get("seconds", 0))),
        ]
        for row in calls
    ]
    return table(["CALL", "PRINCIPAL", "WORKER", "TOOL", "TIER", "FOR"], rows, style)


def _rows(status: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = status.get(name)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _age(since: Any) -> float:
    return max(0.0, time.time() - since) if isinstance(since, (int, float)) else 0.0
