"""Units of workers in a machine: those of agents, and spares."""

from __future__ import annotations

import json

from .steps import Steps

NO_AGENT = """relay-shell status --json | grep -q '"workers": \\[\\]'"""
"""Shell condition: no worker belongs to anybody."""


def loaded(machine: Steps) -> list[str]:
    """All instances of the worker's unit."""
    pattern = "relay-shell-worker@*"
    listing = machine.out("systemctl", "list-units", "--no-legend", "--plain", pattern)
    return [line.split()[0] for line in listing.splitlines()]


def agents(machine: Steps) -> list[str]:
    """Units of the agents at work, by start time; the broker knows whose they are."""
    status = json.loads(machine.out("relay-shell", "status", "--json"))
    there = loaded(machine)
    rows = sorted(status["workers"], key=lambda row: row["since"])
    return [row["unit"] for row in rows if row["unit"] in there]


def spares(machine: Steps) -> list[str]:
    """Units that wait for an agent, as they say themselves."""
    there = []
    for unit in loaded(machine):
        shown = machine.out("systemctl", "show", "--property=StatusText", "--value", unit)
        if shown.startswith("spare:"):
            there.append(unit)
    return there
