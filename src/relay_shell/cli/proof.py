"""`relay-shell posture prove`: try what a posture refuses, inside a worker's own sandbox.

An instance of the worker's unit runs the prober in place of the worker, so that unit, drop-ins,
kernel and Landlock domain are those of an agent. `worker.prove` has the claims.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ..wire.errors import RelayError
from . import systemctl
from .install import replace
from .term import Style

PROBER = "/usr/lib/relay-shell/relay-shell-prove"
UNITS = Path("/run/systemd/system")

DROP_IN = """\
[Service]
Type=oneshot
WatchdogSec=0
ExecStart=
ExecStart={prober} {posture}
Environment=RELAY_SHELL_PROVE_FRONT={front} RELAY_SHELL_PROVE_BROKER={broker}
StandardOutput=truncate:{report}
"""


def run(args: argparse.Namespace, posture: str) -> int:
    """Start the prober, print what it found; status 1 if a claim did not hold."""
    if posture == "edited":
        error = RelayError("InvalidArguments", reason="the drop-in is none of the shipped postures")
        error.next_step = "Look at 'relay-shell posture diff'; 'posture set NAME' installs one."
        raise error
    if os.geteuid() != 0:
        raise RelayError("PermissionDenied", reason="starting a unit takes root")
    if not systemctl.available():
        error = RelayError("Unavailable", reason="starting a unit takes a running systemd")
        error.next_step = "Run this on the host itself."
        raise error
    report = _report(posture)
    failed = [row for row in report["claims"] if row["held"] is False]
    if args.json:
        print(json.dumps(report))
    else:
        _print(report, failed)
    return 1 if failed else 0


def _report(posture: str) -> dict[str, Any]:
    scratch = Path(tempfile.mkdtemp(prefix="relay-shell-prove-", dir="/run"))
    unit = f"relay-shell-worker@prove-{os.getpid()}.service"
    settings = UNITS / f"{unit}.d"
    try:
        text = DROP_IN.format(
            prober=PROBER,
            posture=posture,
            front=_main_pid("relay-shell-front.service"),
            broker=_main_pid("relay-shell.service"),
            report=scratch / "report",
        )
        replace(settings / "90-prove.conf", text.encode())
        systemctl.call("daemon-reload")
        systemctl.call("start", unit)
        return _parsed((scratch / "report").read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(settings, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)
        systemctl.call("daemon-reload")


def _main_pid(unit: str) -> str:
    return systemctl.show(unit, ("MainPID",)).get("MainPID", "0")


def _parsed(text: str) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(text)
        if "error" in report:
            raise RelayError("Enforcement", reason=report["error"])
        report["claims"][0]["held"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise RelayError("Unavailable", reason=f"the prober said: {text.strip()[:200]!r}") from None
    return report


def _print(report: dict[str, Any], failed: list[dict[str, Any]]) -> None:
    style = Style()
    print(f"posture {style(report['posture'], 'bold')}, as uid {report['uid']}, in a worker unit:")
    width = max(len(row["what"]) for row in report["claims"])
    marks = {
        True: style("as claimed", "green"),
        False: style("NOT AS CLAIMED", "bold", "red"),
        None: "not claimed",
    }
    for row in report["claims"]:
        print(
            f"  {row['what']:{width}}  {row['observed']:9}  {marks[row['held']]}: {row['detail']}"
        )
    held = sum(row["held"] is True for row in report["claims"])
    claimed = held + len(failed)
    print(f"{held} of {claimed} claims hold")
