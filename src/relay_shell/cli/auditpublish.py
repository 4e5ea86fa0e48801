"""What the timer adds to a verification: the broker's own word, and telling the broker."""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..wire.errors import RelayError
from .operator import Operator
from .term import safe

if TYPE_CHECKING:
    from ..evidence.verify import Finding, Report

PATIENCE = 50
"""Tenths of a second in which the first checkpoint is written."""

_CRITICAL, _ERROR = "<2>", "<3>"
"""Priorities of a line on standard error (sd-daemon(3))."""


class Head(NamedTuple):
    """The last record, as the broker says that it wrote it."""

    seq: int
    chain: str


def head(socket: str | None) -> Head | None:
    """Ask the broker, before the record is read: what is written meanwhile is not missing then.

    None where it does not answer, or says nothing of it.
    """
    try:
        with Operator(socket) as broker:
            evidence = _evidence(broker)
            # Where there never was a checkpoint, the first one is due in a moment.
            for _ in range(PATIENCE):
                signing = evidence.get("signing", {})
                if signing.get("state") != "ok" or signing.get("sealed"):
                    break
                time.sleep(0.1)
                evidence = _evidence(broker)
    except RelayError:
        # To publish will fail too, and say why.
        return None
    seq, chain = evidence.get("seq"), evidence.get("chain")
    return Head(seq, chain) if isinstance(seq, int) and isinstance(chain, str) and seq else None


def _evidence(broker: Operator) -> dict[str, Any]:
    found = broker.request("status")["status"].get("evidence")
    return found if isinstance(found, dict) else {}


def compare(path: Path, report: Report, known: Head | None) -> list[Finding]:
    """What the record lacks of what the broker wrote: a cut at the end shows in no other way."""
    from ..evidence.reader import iter_records
    from ..evidence.verify import Finding

    if known is None or not report.records:
        return []
    if report.last < known.seq:
        text = f"record {report.last + 1} to {known.seq}, which the broker has written"
        return [Finding("removed", str(path), 0, report.last + 1, text)]
    try:
        found = iter_records(path, filters={"seq": known.seq}, reverse=True)
        chains = {record.get("chain") for record in islice(found, 1)}
    except OSError:
        # The verification has said so.
        return []
    if chains != {known.chain}:
        text = f"record {known.seq} is not the one that the broker has written"
        return [Finding("differs", str(path), 0, known.seq, text)]
    return []


def publish(report: Report, status: int, seconds: float, socket: str | None) -> None:
    """Tell the broker, which records it and keeps it for `status` and `metrics`; a failure is also
    told at once to the journal, where standard error goes there.

    Raises:
        RelayError: the broker was not told.
    """
    failed = [finding for finding in report.findings if finding.fails]
    if failed:
        sys.stderr.write(f"{_CRITICAL}the record is NOT WHOLE: {safe(str(failed[0]))}\n")
    body = {
        "exit": status,
        "kind": failed[0].kind if failed else "",
        "detail": str(failed[0])[:1024] if failed else "",
        "records": report.records,
        "first": report.first,
        "last": report.last,
        "checkpoints": report.checkpoints,
        "sealed": report.sealed,
        "findings": len(failed),
        "duration_ms": int(seconds * 1000),
    }
    try:
        with Operator(socket) as broker:
            broker.request("verified", body)
    except RelayError as error:
        sys.stderr.write(f"{_ERROR}the broker was not told: {safe(error.message)}\n")
        raise
