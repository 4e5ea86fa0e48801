"""Recordings on an installed system: who writes, who reads, what the broker's death costs."""

from __future__ import annotations

import json
from typing import Any

from appliance.agent import Agent
from appliance.machine import Machine

SETTING = "/etc/relay-shell/relay-shell.d/50-recording.toml"
PLACE = "/var/log/relay-shell/recordings"
HOSTILE = r"printf '\033]52;c;ZXZpbA==\007\033[6n\377\n'"


def send(agent: Agent, session: str, text: str, wait: str) -> dict[str, Any]:
    facts = agent.facts(
        "session_send", session=session, text=text, submit=True, wait=wait, timeout=120
    )
    assert facts["reason"] == "match", facts
    return facts


def recorded(machine: Machine, session: str) -> dict[str, Any]:
    """The row of an ended session, as the operator's list has it."""
    machine.wait(f"relay-shell replay --json {session} --check | grep -q complete", 60)
    rows = [json.loads(line) for line in machine.out("relay-shell", "replay", "--json").split("\n")]
    (row,) = [row for row in rows if row["session"] == session]
    return row


def test_a_session_from_the_terminal_to_the_replay(appliance: Machine) -> None:
    machine = appliance
    machine.write(SETTING, '[recording]\nmode = "full"\nfree_bytes = 0\n')
    machine.run("systemctl", "start", "relay-shell.service")
    machine.run("systemctl", "reload", "relay-shell.service")
    with Agent(machine) as agent:
        session = agent.facts("shell_spawn", argv=["bash", "--norc", "-i"])["session"]
        send(agent, session, "PS1='ready'\\>; echo begin", r"begin\nready>")
        # A real program that asks on the controlling terminal.
        send(agent, session, "ssh-keygen -q -t ed25519 -f /tmp/key", "Enter passphrase")
        send(agent, session, "correct horse", "Enter same passphrase")
        send(agent, session, "correct horse", "ready>")
        agent.facts("session_resize", session=session, rows=40, columns=120)
        send(agent, session, HOSTILE, "ready>")
        agent.facts("session_send", session=session, text="seq 30000; echo mid$((1+1))\r")
        machine.run("systemctl", "kill", "--signal=KILL", "relay-shell.service")
        machine.expect(r"relay-shell\.service: (Main process exited|Failed with result)")
        agent.facts("session_recv", session=session, wait="mid2", timeout=60, max_output=1 << 20)
        # Commands have the worker's account, which sees none of it.
        seen = agent.sh(f"cat {PLACE}/*/* 2>&1; ls {PLACE} 2>&1; echo x > {PLACE}/x; id -un")
        assert "begin" not in seen and "relay-shell" in seen and '"o"' not in seen
        agent.facts("session_send", session=session, text="exit 3\r")
        row = recorded(machine, session)

    assert row["mode"] == "full" and row["principal"] == "unix:agent"
    assert row["path"].startswith(f"{PLACE}/20") and f"_agent_{session}.cast" in row["path"]
    status = machine.out("stat", "-c", "%U:%G %a", row["path"])
    assert status == "relay-shell-broker:relay-shell-broker 640"
    text = machine.read(row["path"])
    assert "correct horse" not in text and text.count("[masked]\\r") == 2
    shown = machine.run("relay-shell", "replay", session, "--cat", user="olga")
    assert "begin\n" in shown.stdout.replace("\r", "") and "correct horse" not in shown.stdout
    numbers = [line for line in shown.stdout.replace("\r", "").split("\n") if line.isdecimal()]
    assert numbers == [str(n) for n in range(1, 30_001)], "the broker's death cost nothing"
    assert "OSC 52 x 1" in shown.stderr and "query x 1" in shown.stderr
    assert "gap" not in shown.stderr
    assert machine.run("relay-shell", "audit", "verify", check=False).returncode == 0

    for user in ("agent", "outsider", "relay-shell", "relay-shell-front"):
        assert machine.run("cat", row["path"], user=user, check=False).returncode
        done = machine.run("relay-shell", "replay", session, user=user, check=False)
        assert done.returncode == 77 and "begin" not in done.stdout
    assert machine.run("sh", "-c", f"echo >> {row['path']}", user="olga", check=False).returncode
    entries = machine.journal("_SYSTEMD_UNIT=relay-shell.service", "RELAY_WHAT=recording")
    assert [entry["RELAY_DETAIL"] for entry in entries] == [session]

    # Root can change it, and is found out.
    machine.run("sed", "-i", "s/begin/begun/", row["path"])
    changed = machine.run("relay-shell", "replay", session, "--cat", user="olga", check=False)
    assert changed.returncode == 65 and "it was changed" in changed.stderr
    assert "begun" not in changed.stdout


def test_a_password_for_sudo_and_the_end_of_a_recording(appliance: Machine) -> None:
    machine = appliance
    machine.write(SETTING, '[recording]\nmode = "full"\nfree_bytes = 0\ndays = 1\n')
    machine.run("relay-shell", "posture", "set", "privileged")
    machine.expect("unable to resolve host")
    # The session ends while sudo checks the password, wherever that has come to.
    machine.expect(r"pam_unix\(sudo:auth\): (unix_chkpwd abnormal exit|conversation failed)")
    machine.expect(r"pam_unix\(sudo:auth\): auth could not identify password|incorrect password")
    with Agent(machine) as agent:
        argv = ["setpriv", "--reuid=outsider", "--clear-groups", "sudo", "-k", "id"]
        session = agent.facts("shell_spawn", argv=argv)["session"]
        asked = agent.facts("session_recv", session=session, wait="password for", timeout=120)
        assert asked["reason"] == "match", asked
        agent.facts("session_send", session=session, text="open sesame\r")
        agent.facts("session_kill", session=session)
        row = recorded(machine, session)
        text = machine.read(row["path"])
        assert "[masked]" in text and "open sesame" not in text
        # A root worker is kept out by its namespace, not by modes.
        assert '"o"' not in agent.sh(f"cat {PLACE}/*/*; ls -la {PLACE}")

        machine.run("touch", "-d", "3 days ago", row["path"])
        machine.run("systemctl", "restart", "relay-shell.service")
        second = agent.facts("shell_spawn", command="exit 0")["session"]
        recorded(machine, second)
    assert machine.run("test", "-e", row["path"], check=False).returncode
    gone = machine.run("relay-shell", "replay", session, check=False)
    assert gone.returncode == 66 and "recording.days = 1" in gone.stderr
