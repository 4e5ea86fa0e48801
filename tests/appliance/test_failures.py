"""What a host does to the evidence: journald stops, the attribute is lifted; each is seen, told,
and over by itself."""

from __future__ import annotations

import json
from typing import Any

from appliance.agent import Agent
from appliance.machine import Machine

AUDIT = "/var/log/relay-shell/audit.jsonl"
JOURNALD = (
    "systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket "
    "systemd-journald.service"
)


def evidence(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.out("relay-shell", "status", "--json"))
    return found


def in_record(machine: Machine, event: str, what: str) -> str:
    return f'grep \'"event":"{event}"\' {AUDIT} | grep -q \'"what":"{what}"\''


def test_a_journald_that_is_stopped(appliance: Machine) -> None:
    machine = appliance
    with Agent(machine) as agent:
        assert agent.sh("echo before").startswith("[exit 0]")
        # What lies in its socket when journald stops is lost with it: let the last record be read.
        machine.wait(f'grep -q \'"event":"exec"\' {AUDIT}')
        machine.run("journalctl", "--sync")
        machine.shell(f"systemctl stop {JOURNALD}")
        for n in range(5):
            assert agent.sh(f"echo {n}").startswith("[exit 0]")
        status = evidence(machine)
        assert status["evidence"]["journal"]["state"] != "ok"
        assert status["metrics"]["relay_shell_journal_ok"] == 0
        assert status["metrics"]["relay_shell_journal_spooled"] >= 10
        machine.wait(in_record(machine, "degraded", "journal"))
        machine.shell(f"systemctl start {JOURNALD}")
        machine.wait(in_record(machine, "recovered", "journal"))
        status = evidence(machine)
        assert status["metrics"]["relay_shell_journal_ok"] == 1
        assert status["metrics"]["relay_shell_journal_lost_total"] == 0
        report = json.loads(machine.out("relay-shell", "audit", "verify", "--journal", "--json"))
        assert report["whole"], report["findings"]

        machine.write(
            "/etc/relay-shell/relay-shell.d/50-block.toml", '[evidence]\njournal = "block"\n'
        )
        machine.run("systemctl", "reload", "relay-shell.service")
        machine.shell(f"systemctl stop {JOURNALD}")
        assert agent.sh("echo of its own").startswith("[exit 0]")
        refused = agent.sh("echo refused")
        assert "EvidenceUnavailable" in refused and "journald" in refused, refused
        machine.shell(f"systemctl start {JOURNALD}")
        machine.wait("relay-shell status --json | grep -q '\"relay_shell_journal_ok\": 1'")
        assert agent.sh("echo after").startswith("[exit 0]")


def test_the_attribute_is_lifted(appliance: Machine) -> None:
    machine = appliance
    machine.expect("append-only attribute is lost")
    with Agent(machine) as agent:
        assert agent.sh("echo before").startswith("[exit 0]")
        machine.run("chattr", "-a", AUDIT)
        machine.wait(
            "relay-shell status --json"
            ' | grep -q \'"relay_shell_evidence_state{state=\\\\"attribute\\\\"}": 1\'',
            seconds=180,
        )
        refused = agent.sh("echo refused")
        assert "EvidenceUnavailable" in refused and "chattr +a" in refused, refused
        # The broker tells the service manager soon, not with every change.
        shown = "systemctl show --property=StatusText relay-shell.service"
        machine.wait(f"{shown} | grep -q 'REFUSING CALLS, '")
        doctor = json.loads(machine.run("relay-shell", "doctor", "--json", check=False).stdout)
        assert {"append-only flag is lost"} <= {row["reason"] for row in doctor}
        machine.run("chattr", "+a", AUDIT)
        machine.wait(in_record(machine, "recovered", "attribute"))
        assert agent.sh("echo after").startswith("[exit 0]")
        assert json.loads(machine.out("relay-shell", "audit", "verify", "--json"))["whole"]
