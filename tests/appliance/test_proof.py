"""`relay-shell posture prove` in worker units of a booted machine."""

from __future__ import annotations

import json
from typing import Any

from appliance.machine import Machine

LIMITS = {"use all memory of the host", "use all processes of the host"}
"""What a container may lack the controllers for; test_limits.py has them."""


def prove(machine: Machine) -> dict[str, Any]:
    done = machine.run("relay-shell", "posture", "prove", "--json", check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    broken = {row["what"] for row in report["claims"] if row["held"] is False}
    assert done.returncode == (1 if broken else 0)
    report["broken"] = {
        row["what"]
        for row in report["claims"]
        if row["held"] is False and not (row["what"] in LIMITS and row["observed"] == "unknown")
    }
    return report


def test_postures_are_proven_and_a_hole_is_named(appliance: Machine) -> None:
    machine = appliance
    machine.run("systemctl", "start", "relay-shell.service", "relay-shell-front.service")
    scoped = prove(machine)
    assert (scoped["posture"], scoped["broken"]) == ("scoped", set())
    observed = {row["what"]: row["observed"] for row in scoped["claims"]}
    assert observed["signal the broker"] == observed["signal the front"] == "refused"

    hole = "/etc/systemd/system/relay-shell-worker@.service.d/99-hole.conf"
    machine.write(hole, "[Service]\nCapabilityBoundingSet=CAP_LINUX_IMMUTABLE\n")
    machine.run("systemctl", "daemon-reload")
    assert prove(machine)["broken"] == {"have a capability", "lift an append-only flag"}
    text = machine.run("relay-shell", "posture", "prove", check=False)
    assert text.returncode == 1
    assert "NOT AS CLAIMED: capability 9 can be had" in text.stdout
    machine.run("rm", hole)

    machine.run("relay-shell", "posture", "set", "privileged")
    privileged = prove(machine)
    assert (privileged["posture"], privileged["broken"]) == ("privileged", set())
    assert privileged["uid"] == 0

    left = machine.out(
        "sh", "-c", "ls -d /run/relay-shell-prove-* /run/systemd/system/*prove* || true"
    )
    assert left == ""
    refused = machine.run("relay-shell", "posture", "prove", user="agent", check=False)
    assert refused.returncode == 77
    assert "takes root" in refused.stderr
