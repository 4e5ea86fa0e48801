"""The operator's and administrator's verbs on an installed system."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from appliance.machine import Machine

AUDIT = "/var/log/relay-shell/audit.jsonl"
DROP_IN = "/etc/systemd/system/relay-shell-worker@.service.d/50-posture.conf"

# A container's kernel is the host's, and its resource controllers stay with the host.
OF_THE_CONTAINER = {("kernel", "cgroup"), ("kernel", "landlock")}


@pytest.fixture
def machine(boot: Callable[..., Machine]) -> Machine:
    """A machine as the README leaves it, with an agent's user and an operator."""
    started = boot()
    started.add_user("alice", "relay-shell-access")
    started.add_user("olga", "relay-shell-operators")
    # The broker is at work before anything is broken: it must not be what breaks. Who asks while
    # it starts gives up after ten seconds.
    started.run("systemctl", "enable", "--now", "relay-shell.socket")
    started.run("systemctl", "start", "relay-shell.service")
    started.run("relay-shell", "status")
    return started


def findings(machine: Machine) -> dict[tuple[str, str], dict[str, Any]]:
    """What the doctor finds amiss, apart from what a container lacks."""
    done = machine.run("relay-shell", "doctor", "--json", check=False)
    return {
        (row["check"], row["subject"]): row
        for row in json.loads(done.stdout)
        if row["status"] != "ok" and (row["check"], row["subject"]) not in OF_THE_CONTAINER
    }


def test_a_fresh_installation_has_nothing_for_the_doctor(machine: Machine) -> None:
    assert findings(machine) == {}


DAMAGE: list[tuple[str, str, str | None]] = [
    (f"chattr -a {AUDIT}", "evidence", AUDIT),
    (f"chattr -a {AUDIT}; chmod 644 {AUDIT}; chattr +a {AUDIT}", "files", AUDIT),
    (
        "chmod 666 /run/relay-shell/operator.sock",
        "sockets",
        "/run/relay-shell/operator.sock",
    ),
    ("chmod o+w /usr/lib/relay-shell/relay_shell/wire", "files", "/usr/lib/relay-shell"),
    ("echo >> /usr/lib/relay-shell/relay_shell/wire/link.py", "package", "relay-shell"),
    (
        "printf '[policy]\\nmode = \"wild\"\\n' >> /etc/relay-shell/relay-shell.toml",
        "config",
        None,
    ),
    ("chmod 666 /etc/relay-shell/relay-shell.toml", "files", "/etc/relay-shell"),
    ("usermod -aG adm relay-shell", "accounts", "relay-shell"),
    ("usermod -aG relay-shell-internal alice", "accounts", "relay-shell-internal"),
    ("usermod -aG relay-shell-operators alice", "accounts", "relay-shell-operators"),
    (
        "mkdir -p /etc/systemd/system/relay-shell.service.d; "
        "printf '[Service]\\nLogRateLimitIntervalSec=0\\n' "
        "> /etc/systemd/system/relay-shell.service.d/x.conf; systemctl daemon-reload",
        "journal",
        "relay-shell.service",
    ),
    (
        "cp /usr/lib/systemd/system/relay-shell.socket /etc/systemd/system/; "
        "systemctl daemon-reload",
        "units",
        "relay-shell.socket",
    ),
    ("systemctl disable relay-shell.socket", "units", "relay-shell.socket"),
    ("systemctl stop relay-shell-worker.socket", "units", "relay-shell-worker.socket"),
    (
        f"mkdir -p {DROP_IN.rpartition('/')[0]}; "
        f"printf '[Service]\\nUser=root\\n' > {DROP_IN}; systemctl daemon-reload",
        "posture",
        "relay-shell-worker@.service",
    ),
    ("rm /etc/logrotate.d/relay-shell", "evidence", "/etc/logrotate.d/relay-shell"),
]
"""What somebody did, and the check and subject by which the doctor must find it."""


def test_the_doctor_sees_all_that_drifts(machine: Machine) -> None:
    missed = []
    for damage, check, subject in DAMAGE:
        before = findings(machine)
        machine.shell(damage)
        news = {key: row for key, row in findings(machine).items() if before.get(key) != row}
        match = [row for (c, s), row in news.items() if c == check and subject in (None, s)]
        if not match or not match[0]["fix"]:
            missed.append((damage, news))
    assert missed == []


def test_a_posture_is_chosen_shown_and_taken_back(machine: Machine) -> None:
    assert "posture of new workers: scoped" in machine.out("relay-shell", "posture", "show")
    machine.run("relay-shell", "posture", "set", "privileged")
    shown = machine.out("relay-shell", "posture", "show")
    assert "posture of new workers: privileged" in shown
    assert "\n  User=root\n" in shown
    assert machine.read(DROP_IN) == machine.read("/usr/share/relay-shell/postures/privileged.conf")
    machine.run("relay-shell", "posture", "set", "scoped")
    assert "\n  User=relay-shell\n" in machine.out("relay-shell", "posture", "show")
    assert findings(machine) == {}


def test_a_posture_is_an_administrators_choice(machine: Machine) -> None:
    done = machine.run("relay-shell", "posture", "set", "privileged", user="olga", check=False)
    assert done.returncode == 77
    assert "Permission denied" in done.stderr
    assert machine.run("test", "-e", DROP_IN, check=False).returncode == 1


def test_operators_operate_and_others_are_told_why_not(machine: Machine) -> None:
    assert "audit: written" in machine.out("relay-shell", "status", user="olga")
    machine.run("relay-shell", "freeze", "all", "--reason", "drill", user="olga")
    assert "FROZEN all: drill" in machine.out("relay-shell", "status")
    for verb in (["status"], ["unfreeze", "all"], ["audit", "tail"]):
        done = machine.run("relay-shell", *verb, user="alice", check=False)
        assert (done.returncode, done.stdout) == (77, "")
        assert "members of group relay-shell-operators" in done.stderr
    machine.run("relay-shell", "unfreeze", "all", user="olga")
    verify = machine.run("relay-shell", "audit", "verify", user="olga", check=False)
    assert (verify.returncode, verify.stdout) == (77, "")
    assert f"{AUDIT} is for root and group adm" in verify.stderr
    # olga may not read the file, so this comes from the broker.
    records = machine.out("relay-shell", "audit", "tail", "--json", user="olga").splitlines()
    acts = [json.loads(line) for line in records]
    assert [r["principal"] for r in acts if r["event"] in ("freeze", "unfreeze")] == [
        "unix:olga",
        "unix:olga",
    ]


def test_a_freeze_outlasts_the_broker(machine: Machine) -> None:
    machine.run("relay-shell", "freeze", "--principal", "alice", "--reason", "drill")
    machine.run("systemctl", "restart", "relay-shell.service")
    assert "FROZEN principal unix:alice: drill" in machine.out("relay-shell", "status")


def test_the_record_is_whole_and_its_copy_is_in_the_journal(machine: Machine) -> None:
    machine.run("relay-shell", "status")
    machine.run("relay-shell", "freeze", "all", "--reason", "drill")
    report = json.loads(machine.out("relay-shell", "audit", "verify", "--json"))
    assert report["whole"] is True
    found = machine.out(
        "journalctl", "--unit", "relay-shell", "--output", "json", "RELAY_EVENT=freeze"
    )
    assert json.loads(found)["RELAY_REASON"] == "drill"


def test_manual_pages_and_completion_are_installed(machine: Machine) -> None:
    for section, page in (
        ("1", "relay-shell"),
        ("7", "relay-shell"),
        ("5", "relay-shell.toml"),
        ("8", "relay-shell-broker"),
        ("8", "relay-shell-front"),
        ("8", "relay-shell-worker"),
    ):
        assert machine.out("man", "-w", section, page).startswith("/usr/share/man/")
    path = "/usr/share/bash-completion/completions/relay-shell"
    for other in (
        "/usr/share/fish/vendor_completions.d/relay-shell.fish",
        "/usr/share/zsh/vendor-completions/_relay-shell",
    ):
        machine.run("test", "-s", other)
    # An interactive session loads it by the name of the command.
    assert machine.out("bash", "-c", f". {path}; complete -p relay-shell").endswith("relay-shell")
