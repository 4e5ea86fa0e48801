"""Verifies the installed units in a booted machine and prints how exposed each is.

    PYTHONPATH=tests python -m appliance.check_units

Exits 1 if a unit does not verify, or if front or broker score above LIMIT in systemd-analyze(1).
"""

from __future__ import annotations

import json
import re
import sys

from appliance import package
from appliance.machine import Machine
from appliance.steps import Steps

LIMIT = 1.5
CONFINED = (
    "relay-shell-front.service",
    "relay-shell.service",
    "relay-shell-observer.service",
    "relay-shell-keys.service",
)
EXPORT = "relay-shell-export@check.service"
WORKER = "relay-shell-worker@check.service"
UNITS = "/usr/lib/systemd/system"
DROP_IN = "/run/systemd/system/relay-shell-worker@.service.d/50-posture.conf"
POSTURES = "/usr/share/relay-shell/postures"


def exposure(machine: Machine, unit: str) -> float:
    """The overall exposure level of a loaded unit, 0 (best) to 10."""
    done = machine.run("systemd-analyze", "security", "--no-pager", unit)
    found = re.search(r"Overall exposure level for .*: ([0-9.]+) ", done.stdout)
    assert found, done.stdout
    return float(found[1])


def open_doors(machine: Machine, unit: str) -> list[str]:
    """What systemd-analyze finds left open, the widest first."""
    table = machine.out("systemd-analyze", "security", "--json=short", unit)
    rows = [row for row in json.loads(table) if row["set"] is False and row["exposure"]]
    return [row["name"] for row in sorted(rows, key=lambda row: -float(row["exposure"]))]


def verify(machine: Machine) -> str:
    """What systemd-analyze has to say against the units, manual pages aside."""
    done = machine.run(
        "sh", "-c", f"systemd-analyze verify --man=no {UNITS}/relay-shell* {UNITS}/relayshell*"
        " 2>&1", check=False,
    )  # fmt: skip
    return done.stdout


def use_posture(machine: Steps, name: str) -> None:
    machine.shell(f'mkdir -p "$(dirname {DROP_IN})"; cp {POSTURES}/{name}.conf {DROP_IN}')
    machine.run("systemctl", "daemon-reload")


def main() -> int:
    wrong = []
    with Machine(package.installed()) as machine:
        if complaints := verify(machine):
            wrong.append(f"systemd-analyze verify:\n{complaints}")
        for unit in CONFINED:
            level = exposure(machine, unit)
            print(f"{level:4.1f}  {unit:32} open: {', '.join(open_doors(machine, unit))}")
            if level > LIMIT:
                wrong.append(f"{unit}: exposure {level} is above {LIMIT}")
        print(f"{exposure(machine, EXPORT):4.1f}  {EXPORT:32}")
        for posture in ("scoped", "privileged"):
            use_posture(machine, posture)
            print(f"{exposure(machine, WORKER):4.1f}  {f'worker, {posture}':32}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
