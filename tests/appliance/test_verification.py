"""The timed verification and the metrics, on a booted machine as the package sets them up."""

from __future__ import annotations

import json

from appliance.machine import Machine

AUDIT = "/var/log/relay-shell/audit.jsonl"
UNIT = "relay-shell-verify.service"
COLLECTOR = "/var/lib/prometheus/node-exporter"


def metrics(machine: Machine, path: str) -> dict[str, float]:
    lines = machine.read(path).splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


def test_a_verification_tells_broker_journal_and_metrics(appliance: Machine) -> None:
    machine = appliance
    assert machine.out("systemctl", "is-active", "relay-shell-verify.timer") == "active"
    machine.run("systemctl", "start", UNIT)
    (told,) = machine.journal("RELAY_EVENT=verified")
    assert told.fields["_SYSTEMD_UNIT"] == "relay-shell.service"
    assert told.fields["RELAY_PRINCIPAL"] == "unix:relay-shell-verify"
    # Prometheus is not there, and then it is.
    machine.run("systemctl", "start", "relay-shell-metrics.service")
    own = "/var/lib/relay-shell-metrics/relay-shell.prom"
    assert metrics(machine, own)["relay_shell_verify_whole"] == 1
    assert metrics(machine, own)["relay_shell_record_append_only"] == 1
    assert machine.out("stat", "--format=%U %a", own) == "root 644"
    machine.run("mkdir", "--parents", COLLECTOR)
    machine.run("systemctl", "start", "relay-shell-metrics.service")
    assert metrics(machine, f"{COLLECTOR}/relay-shell.prom")["relay_shell_journal_ok"] == 1

    machine.expect("NOT WHOLE")
    machine.expect(r"relay-shell-verify\.service: Failed|Failed to start relay-shell-verify")
    # One record is changed, by who can.
    machine.shell(f"chattr -a {AUDIT}; sed -i '1s/mode\":\"open/mode\":\"OPEN/' {AUDIT}; "
                  f"chown relay-shell-broker:adm {AUDIT}; chattr +a {AUDIT}")  # fmt: skip
    machine.run("systemctl", "restart", "relay-shell.service")
    assert machine.run("systemctl", "start", UNIT, check=False).returncode
    shown = machine.out("systemctl", "show", "--property=ExecMainStatus", "--value", UNIT)
    assert shown == "15"
    (alarm,) = machine.journal("RELAY_EVENT=verify-failed")
    assert (alarm.fields["PRIORITY"], alarm.fields["RELAY_WHAT"]) == ("2", "edited")
    own_words = machine.journal(f"_SYSTEMD_UNIT={UNIT}", "PRIORITY=2")
    assert "the record is NOT WHOLE" in own_words[-1].fields["MESSAGE"]
    assert "NOT WHOLE" in machine.out("relay-shell", "status")
    findings = json.loads(machine.run("relay-shell", "doctor", "--json", check=False).stdout)
    (finding,) = [row for row in findings if row["subject"] == "verification"]
    assert finding["status"] == "fail"
    machine.run("systemctl", "start", "relay-shell-metrics.service")
    assert metrics(machine, f"{COLLECTOR}/relay-shell.prom")["relay_shell_verify_status"] == 15
