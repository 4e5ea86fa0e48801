"""The record on its way to a SIEM, as a service, and as a bundle for an investigator."""

from __future__ import annotations

import json
import re

from appliance.agent import Agent
from appliance.machine import Machine

UNIT = "relay-shell-export@siem.service"
CONF = "/etc/relay-shell/export/siem.conf"
RECORDING = "/etc/relay-shell/relay-shell.d/50-recording.toml"
# A receiver of octet-counted messages: each on a line of its own. It ends when it is told to, and
# comes back on the same port.
RECEIVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 6601))
with open("/run/siem.log", "ab", buffering=0) as log:
    while True:
        sock, _ = listener.accept()
        rest = b""
        while chunk := sock.recv(65536):
            rest += chunk
            while b" " in rest[:12]:
                length, _, body = rest.partition(b" ")
                if len(body) < int(length):
                    break
                log.write(body[: int(length)] + b"\\n")
                rest = body[int(length) :]
"""


def receive(machine: Machine) -> None:
    machine.run("systemd-run", "--unit=siem", "python3", "/root/siem.py")
    machine.wait("ss -tln | grep -q 127.0.0.1:6601")


def seqs(machine: Machine) -> list[int]:
    said = machine.shell("cat /run/siem.log 2>/dev/null || true")
    return [int(n) for n in re.findall(r"\|externalId=(\d+) ", said)]


def last(machine: Machine) -> int:
    return int(json.loads(machine.out("relay-shell", "audit", "tail", "-n1", "--json"))["seq"])


def test_the_service_sends_all_of_it(appliance: Machine) -> None:
    """A receiver that comes late and goes away, a killed exporter, a rotation: nothing is lost."""
    machine = appliance
    machine.expect("relay-shell-export")
    machine.write("/root/siem.py", RECEIVER.encode())
    machine.write(CONF, b"FORMAT=cef\nSYSLOG=tcp:127.0.0.1:6601\nOPTIONS=--host=web1\n")
    machine.run("systemctl", "enable", "--now", UNIT)
    with Agent(machine) as agent:
        assert agent.sh("echo one; : 'a|b=c'").startswith("[exit 0]")
        machine.wait(f"systemctl show -p StatusText {UNIT} | grep -q 'waiting after'")
        receive(machine)
        agent.sh("echo two")
        machine.run("systemctl", "kill", "--signal=KILL", UNIT)
        agent.sh("echo three")
        machine.run("relay-shell", "audit", "rotate")
        agent.sh("echo four")
        machine.run("systemctl", "stop", "siem.service")
        agent.sh("echo five")
        receive(machine)
        agent.sh("echo six")
    upto = last(machine)
    machine.wait(f"grep -q '|externalId={upto} ' /run/siem.log")
    found = seqs(machine)
    assert set(range(1, upto + 1)) <= set(found)
    assert len(found) - len(set(found)) <= 4 * 256
    assert r"cs1={\"command\":\"echo one; : 'a|b\=c'\"}".replace('\\"', '"') in machine.read(
        "/run/siem.log"
    )
    # It reads the record by its group, and may do nothing to it.
    assert machine.out("systemctl", "show", "-p", "User", "--value", UNIT)
    pid = machine.out("systemctl", "show", "-p", "MainPID", "--value", UNIT)
    inside = f"nsenter -t {pid} -m ls /var/log /run/relay-shell 2>&1 || true"
    said = machine.shell(inside)
    assert "relay-shell" in said and "journal" not in said and "operator.sock" not in said
    machine.run("systemctl", "stop", UNIT, "siem.service")


def test_a_bundle_of_what_an_agent_did(appliance: Machine) -> None:
    machine = appliance
    machine.write(RECORDING, b'[recording]\nmode = "output"\nfree_bytes = 0\n')
    with Agent(machine) as agent:
        assert agent.sh("echo one").startswith("[exit 0]")
        machine.run("relay-shell", "audit", "rotate")
        session = agent.facts("shell_spawn", argv=["bash", "--norc"])["session"]
        agent.facts("session_send", session=session, text="echo two; exit\r")
        machine.wait(f"relay-shell replay --json {session} --check | grep -q complete", 60)
    made = machine.out(
        *(
            "relay-shell",
            "evidence",
            "export",
            "--principal",
            "agent",
            "--output",
            "/root/b.tar.gz",
        ),
        "--json",
    )
    facts = json.loads(made)
    assert facts["sealed"] and facts["recorded"] and facts["records"] >= 4
    report = json.loads(
        machine.out("relay-shell", "evidence", "verify", "/root/b.tar.gz", "--json")
    )
    assert report["status"] == 0 and report["findings"] == [], report["findings"]
    assert report["complete"] and report["manifest"]["posture"] == "scoped"
    recordings = [name for name in report["manifest"]["members"] if name.startswith("recordings/")]
    assert len(recordings) == 1 and f"_agent_{session}.cast" in recordings[0]
    assert report["export"]["principal"] == "unix:root"
    # The settings in the bundle are those that the broker recorded.
    assert report["manifest"]["config_sha256"]
    (found,) = machine.journal("RELAY_EVENT=export")
    assert json.loads(found.fields["RELAY_FACTS"])["manifest"] == facts["manifest_sha256"]
    for user in ("olga", "agent"):
        refused = machine.run("relay-shell", "evidence", "export", user=user, check=False)
        assert refused.returncode == 77, refused.stderr
