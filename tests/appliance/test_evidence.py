"""The record of an installed system: signed, rotated without a gap, and verified."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.agent import Agent
from appliance.machine import Machine

AUDIT = "/var/log/relay-shell/audit.jsonl"
PUBLIC = "/var/log/relay-shell/evidence.pub"
KEYS = ("/etc/credstore.encrypted", "/etc/credstore")
NAME = "relay-shell.evidence-key"


def records(machine: Machine, path: str = AUDIT) -> list[dict[str, Any]]:
    return [json.loads(line) for line in machine.read(path).splitlines()]


@pytest.mark.parametrize("posture", ["scoped", "privileged"])
def test_the_broker_alone_has_the_key_and_signs_with_it(appliance: Machine, posture: str) -> None:
    appliance.run("relay-shell", "posture", "set", posture)
    appliance.run("systemctl", "restart", "relay-shell.service")
    kept = appliance.shell(f"find {' '.join(KEYS)} -name {NAME} -printf '%h %U %m\\n' || true")
    assert kept in (f"{KEYS[0]} 0 400", f"{KEYS[1]} 0 400")
    with Agent(appliance) as agent:
        assert "root" in agent.sh("id -un") or posture == "scoped"
        # A broker that starts anew is handed the key anew.
        appliance.run("systemctl", "restart", "relay-shell.service")
        for path in ("/run/credentials/relay-shell.service", *(f"{d}/{NAME}" for d in KEYS)):
            said = agent.sh(f"cat {path}/* {path} 2>/dev/null | wc --bytes")
            assert said.split()[:3] == ["[exit", "0]", "0"], said
    appliance.wait(f'grep -q \'"event":"checkpoint"\' {AUDIT}')
    status = json.loads(appliance.out("relay-shell", "status", "--json"))
    key = status["evidence"]["signing"]["key"]
    assert status["evidence"]["signing"]["state"] == "ok"
    shown = json.loads(appliance.out("relay-shell", "audit", "key", "--json"))
    # This machine is a copy of the one in which the package was installed, whose key it has no use
    # for; the other's public half is still there, for the records from then.
    assert (shown["path"], shown["keys"][-1], shown["made"]) == (PUBLIC, key, "")
    report = json.loads(appliance.out("relay-shell", "audit", "verify", "--journal", "--json"))
    assert report["whole"] and report["checkpoints"] and report["status"] == 0
    appliance.run("systemctl", "stop", "relay-shell.service")
    *_, last = records(appliance)
    assert (last["event"], last["what"], last["facts"]["key"]) == ("checkpoint", "stop", key)
    # The journal has it too, which is what goes off the host.
    found = appliance.journal("RELAY_EVENT=checkpoint", "RELAY_WHAT=stop")
    assert json.loads(found[-1].fields["RELAY_FACTS"]) == last["facts"]


def test_a_rotation_is_one_step_and_every_file_is_sealed(appliance: Machine) -> None:
    with Agent(appliance) as agent:
        for n in range(3):
            assert agent.sh(f"echo {n}").startswith("[exit 0]")
            appliance.run("relay-shell", "audit", "rotate")
        assert agent.sh("echo last").startswith("[exit 0]")
    rotated = appliance.shell(f"ls {AUDIT}-*").splitlines()
    assert len(rotated) == 3
    assert set(appliance.shell(f"lsattr {AUDIT}-* | tr -d -- - | cut -d' ' -f1").split()) <= {
        "ia",
        "iae",
    }
    assert "a" in appliance.out("lsattr", AUDIT).split()[0]
    assert appliance.out("stat", "--format=%U:%G %a", AUDIT) == "relay-shell-broker:adm 640"
    for path in rotated:
        assert records(appliance, path)[-1]["event"] == "checkpoint"
    report = json.loads(appliance.out("relay-shell", "audit", "verify", "--journal", "--json"))
    assert (report["whole"], len(report["files"])) == (True, 4)
    appliance.run("relay-shell", "audit", "rotate", "--keep", "2")
    assert appliance.shell(f"ls {AUDIT}-*").splitlines()[:1] != rotated[:1]
    refused = appliance.run("relay-shell", "audit", "rotate", user="olga", check=False)
    assert (refused.returncode, "only root" in refused.stderr) == (77, True)


def test_logrotate_asks_for_it(appliance: Machine) -> None:
    appliance.run("systemctl", "start", "relay-shell.service")
    appliance.run("relay-shell", "status")
    appliance.shell(
        "sed -i 's/maxsize 1G/size 1/' /etc/logrotate.d/relay-shell; "
        "systemctl start logrotate.service"
    )
    (rotated,) = appliance.shell(f"ls {AUDIT}-*").splitlines()
    assert "i" in appliance.out("lsattr", rotated).split()[0]
    assert "a" in appliance.out("lsattr", AUDIT).split()[0]
    assert json.loads(appliance.out("relay-shell", "audit", "verify", "--json"))["whole"]


def test_a_rotation_that_is_killed_leaves_the_attribute_on(appliance: Machine) -> None:
    appliance.run("systemctl", "start", "relay-shell.service")
    appliance.run("relay-shell", "status")
    # Names that the rotation would take are there already; and it is killed wherever it is.
    for n in range(12):
        appliance.run(
            "sh",
            "-c",
            "now=$(date +%s); for s in 0 1 2; do "
            f": > {AUDIT}-$(date -u +%Y%m%d)-$((now + s)) || true; done; "
            f"timeout --signal=KILL 0.{n + 4:02} relay-shell audit rotate",
            check=False,
        )
        appliance.wait(f"lsattr {AUDIT} | cut -d' ' -f1 | grep -q a")
    appliance.run("relay-shell", "audit", "rotate")
    appliance.run("systemctl", "start", "relay-shell.service")
    appliance.run("relay-shell", "status")
    report = json.loads(appliance.out("relay-shell", "audit", "verify", "--journal", "--json"))
    assert report["whole"], report["findings"]
    unprotected = appliance.shell(
        f"for f in $(find {AUDIT}* -size +0); do lsattr $f | cut -d' ' -f1 | grep -q a || echo $f; "
        "done"
    )
    assert unprotected == ""
