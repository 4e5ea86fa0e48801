"""Agents at work: one unit each, every call on record, each apart from the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance import package
from appliance.agent import Agent, Gone
from appliance.machine import Machine
from appliance.process import poll
from appliance.units import agents

AUDIT = "/var/log/relay-shell/audit.jsonl"


def main_pid(machine: Machine, unit: str) -> str:
    return machine.out("systemctl", "show", "--property=MainPID", "--value", unit)


def records(machine: Machine, **wanted: object) -> list[dict[str, Any]]:
    """Records of the audit file with these facts, oldest first."""
    found = [json.loads(line) for line in machine.read(AUDIT).splitlines()]
    return [r for r in found if all(r.get(name) == value for name, value in wanted.items())]


def test_a_call_is_answered_and_on_record(appliance: Machine) -> None:
    with Agent(appliance) as agent:
        text = agent.sh("df -h /")
        assert text.startswith("[exit 0]") and "Filesystem" in text
        (unit,) = agents(appliance)

        trail = appliance.journal("--unit=relay-shell", "RELAY_TOOL=shell_exec")
        intent, outcome = (
            next(e for e in trail if e["RELAY_EVENT"] == kind) for kind in ("intent", "outcome")
        )
        assert intent["RELAY_PRINCIPAL"] == outcome["RELAY_PRINCIPAL"] == "unix:agent"
        assert intent["RELAY_CALL_ID"] == outcome["RELAY_CALL_ID"]
        assert intent["RELAY_TIER"] == "0"
        assert intent["RELAY_UNIT"] == unit
        assert len(outcome["RELAY_SHA256"]) == 64
        assert outcome["_SYSTEMD_UNIT"] == "relay-shell.service"
    appliance.wait(f"! systemctl --quiet is-active {unit}")


def test_stopping_a_unit_ends_that_agent_and_all_it_started(appliance: Machine) -> None:
    appliance.add_user("other", "relay-shell-access")
    with Agent(appliance, "other") as other, Agent(appliance) as agent:
        kept = other.facts("shell_spawn", command="sleep 7001")["session"]
        first = agents(appliance)
        agent.call("shell_spawn", command="sh -c 'setsid sleep 7002 & exec sleep 7003'")
        (unit,) = set(agents(appliance)) - set(first)
        appliance.wait("test \"$(pgrep -c -f '^sleep 700')\" = 3")

        appliance.run("systemctl", "stop", unit)
        assert appliance.out("pgrep", "-a", "-f", "^sleep 700").endswith("sleep 7001")
        assert agents(appliance) == first
        assert kept in other.call("session_list")


def test_who_is_in_neither_group_is_refused(appliance: Machine) -> None:
    with pytest.raises(Gone, match="relay-shell-access"):
        Agent(appliance, "outsider")
    for socket in ("broker", "worker", "operator"):
        done = appliance.run(
            *("python3", "-c"),
            "import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)"
            f".connect('/run/relay-shell/{socket}.sock')",
            user="agent",
            check=False,
        )
        assert "PermissionError" in done.stderr, socket


def test_a_command_cannot_reach_what_runs_it(appliance: Machine) -> None:
    with Agent(appliance) as agent:
        agent.sh("true")
        (unit,) = agents(appliance)
        pids = {
            name: main_pid(appliance, name)
            for name in (unit, "relay-shell-front.service", "relay-shell.service")
        }
        for name, pid in pids.items():
            attempts = [f"cat /proc/{pid}/environ", f"ls /proc/{pid}/fd/", f": > /proc/{pid}/mem"]
            if name != unit:
                attempts += [f"kill -9 {pid}", f"kill -STOP {pid}"]
            for attempt in attempts:
                assert not agent.sh(attempt).startswith("[exit 0]"), attempt
        for path in (AUDIT, "/usr/lib/relay-shell/relay-shell-worker", "/etc/relay-shell/x"):
            assert not agent.sh(f"echo x >> {path}").startswith("[exit 0]"), path
        assert pids == {name: main_pid(appliance, name) for name in pids}


def test_a_command_that_kills_its_worker_ends_its_own_agent_and_no_other(
    appliance: Machine,
) -> None:
    appliance.expect(r"relay-shell-worker@\S+: (Main process exited|Failed with result)")
    appliance.add_user("other", "relay-shell-access")
    with Agent(appliance, "other") as other, Agent(appliance) as agent:
        other.sh("true")
        others = agents(appliance)
        services = ("relay-shell-front.service", "relay-shell.service")
        before = [main_pid(appliance, unit) for unit in (*others, *services)]

        assert not agent.sh("kill -9 $PPID; sleep 7001").startswith("[exit 0]")

        assert before == [main_pid(appliance, unit) for unit in (*others, *services)]
        appliance.wait("! pgrep -f '^sleep 7001'")
        assert agent.sh("echo again").endswith("again")
    (intent,) = [r for r in records(appliance, event="intent") if "$PPID" in str(r["args"])]
    ended = [r["event"] for r in records(appliance, call_id=intent["call_id"])]
    assert [event for event in ended if event != "exec"] == ["intent", "interrupted"]


def test_agents_are_apart_but_see_the_host(appliance: Machine) -> None:
    appliance.add_user("other", "relay-shell-access")
    with Agent(appliance, "other") as other, Agent(appliance) as agent:
        other.sh("echo secret > /tmp/mine; echo secret > /dev/shm/mine; echo secret > ~/mine")
        spawned = other.facts("shell_spawn", command="sleep 7001")
        # The session is there before its shell has become the command.
        appliance.wait("pgrep -f '^sleep 7001'")
        pid = appliance.out("pgrep", "-f", "^sleep 7001")
        for attempt in (
            "cat /tmp/mine /dev/shm/mine ~/mine",
            f"kill {pid}",
            f"cat /proc/{pid}/root/tmp/mine",
            f"cat /proc/{pid}/environ",
        ):
            text = agent.sh(attempt)
            assert not text.startswith("[exit 0]") and "secret" not in text, attempt
        assert spawned["session"] not in agent.call("session_list")
        stolen = agent.call("session_send", session=spawned["session"], text="x\n")
        assert "NotFound" in stolen or "ERROR" in stolen
        assert "systemd-journal" in agent.sh("ps -eo comm")
        assert f" {pid} " in f" {agent.sh('ps -eo pid').replace(chr(10), ' ')} "


def test_no_agent_reaches_the_terminal_of_another(appliance: Machine) -> None:
    """The account is the same, and so would be its terminals in a common /dev/pts."""
    appliance.add_user("other", "relay-shell-access")
    with Agent(appliance, "other") as other, Agent(appliance) as agent:
        session = other.facts("shell_spawn", command="bash")["session"]
        assert other.sh("ls /dev/pts") == "[exit 0]\n0\nptmx"
        assert agent.sh("ls /dev/pts") == "[exit 0]\nptmx"
        assert "/dev/pts/0" in agent.sh("script -qec tty /dev/null")
        for way in ("cd /run/relay-shell-terminals", "ls /proc/1/root/dev/pts"):
            assert "Permission denied" in agent.sh(way), way
        # Nor does the host see them, once the workers have their own.
        mounted = "findmnt -n -o TARGET -t devpts"
        appliance.wait(f'test "$({mounted})" = /dev/pts && ! ls /run/relay-shell-terminals/*')
        other.call("session_send", session=session, text="tty; echo a$((40+2))b\n")
        screen = other.call("session_recv", session=session, wait="a42b", timeout=120)
        assert "/dev/pts/0" in screen


def test_a_killed_broker_costs_no_session_and_no_record(appliance: Machine) -> None:
    appliance.expect(r"relay-shell\.service: (Main process exited|Failed with result)")
    appliance.expect(r"broker|Broker")
    with Agent(appliance) as agent:
        session = agent.facts("shell_spawn", command="sh")["session"]
        appliance.run("systemctl", "kill", "--signal=KILL", "relay-shell.service")
        appliance.wait("systemctl --quiet is-active relay-shell.service")
        appliance.wait('test -n "$(systemctl show --property=MainPID --value relay-shell)"')

        def served() -> bool:
            text = agent.sh("echo after")
            # Refused while it is away: nothing runs, and the error says so.
            assert "ERROR" in text or text.endswith("after")
            return text.startswith("[exit 0]")

        poll(served, 60, "calls are admitted again")
        assert session in agent.call("session_list")
    sequence = [record["seq"] for record in records(appliance)]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))


def test_a_killed_front_costs_the_connection_but_no_session(appliance: Machine) -> None:
    appliance.expect(r"relay-shell-front\.service: (Main process exited|Failed with result)")
    with Agent(appliance) as agent:
        session = agent.facts("shell_spawn", command="sh")["session"]
        appliance.run("systemctl", "kill", "--signal=KILL", "relay-shell-front.service")
        with pytest.raises(Gone):
            agent.sh("true")
    with Agent(appliance) as agent:
        assert session in agent.call("session_list")
        agent.call("session_send", session=session, text="echo a$((40+2))b\n")
        assert "a42b" in agent.call("session_recv", session=session, wait="a42b", timeout=120)


def test_a_killed_worker_ends_its_call_and_is_recorded(appliance: Machine) -> None:
    appliance.expect(r"relay-shell-worker@\S+: (Main process exited|Failed with result)")
    with Agent(appliance) as agent:
        agent.sh("true")
        (unit,) = agents(appliance)
        call = agent.start(
            "tools/call", {"name": "shell_exec", "arguments": {"command": "sleep 7001"}}
        )
        appliance.wait("pgrep -f '^sleep 7001'")
        appliance.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", unit)
        answer = agent.answer(call)
        assert answer["isError"]
        appliance.wait("! pgrep -f '^sleep 7001'")
        assert agent.sh("echo again").endswith("again")
    (intent,) = [r for r in records(appliance, event="intent") if "sleep 7001" in str(r["args"])]
    events = [r["event"] for r in records(appliance, call_id=intent["call_id"])]
    ends = set(events) - {"intent", "exec"}
    assert ends, "the call has no end on record"


def test_reinstalling_keeps_live_sessions(appliance: Machine) -> None:
    with Agent(appliance) as agent:
        session = agent.facts("shell_spawn", command="sh")["session"]
        before = agents(appliance)
        deb = f"/root/{package.deb().name}"
        appliance.run("apt-get", "install", "--yes", "--reinstall", deb, timeout=300)
        appliance.wait("systemctl --quiet is-active relay-shell.service")
        assert agents(appliance) == before
        agent.call("session_send", session=session, text="echo a$((40+2))b\n")
        assert "a42b" in agent.call("session_recv", session=session, wait="a42b", timeout=120)


def test_rotation_under_a_live_broker_loses_nothing(appliance: Machine) -> None:
    with Agent(appliance) as agent:
        assert agent.sh("echo before").endswith("before")
        appliance.run("logrotate", "--force", "/etc/logrotate.d/relay-shell")
        assert agent.sh("echo after").endswith("after")
    rotated = appliance.shell(f"ls {AUDIT}-*")
    assert "i" in appliance.out("lsattr", rotated).split()[0]
    older = [json.loads(line) for line in appliance.read(rotated).splitlines()]
    newer = records(appliance)
    numbers = [record["seq"] for record in (*older, *newer)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert any("before" in str(r.get("args")) for r in older)
    assert any("after" in str(r.get("args")) for r in newer)


def test_a_full_disk_refuses_calls_until_there_is_space(appliance: Machine) -> None:
    appliance.expect(r"relay-shell\.service: ")
    appliance.shell(
        "mount -t tmpfs -o size=64k,mode=0751 tmpfs /var/log/relay-shell;"
        f"install -o relay-shell-broker -g adm -m 640 /dev/null {AUDIT}"
    )
    with Agent(appliance) as agent:
        assert agent.sh("echo fine").endswith("fine")
        appliance.run("sh", "-c", "cat /dev/zero > /var/log/relay-shell/ballast", check=False)
        for _ in range(50):
            text = agent.sh("touch /tmp/ran")
            if not text.startswith("[exit 0]"):
                break
        assert "ERROR" in text or "DENIED" in text
        count = agent.sh("echo must not run")
        assert "must not run" not in count
        appliance.run("rm", "/var/log/relay-shell/ballast")
        appliance.wait("relay-shell status >/dev/null", user="root")
        poll(lambda: agent.sh("echo resumed").endswith("resumed"), 60, "calls are admitted again")


def test_a_privileged_worker_is_root_behind_the_fence(appliance: Machine) -> None:
    appliance.run("relay-shell", "posture", "set", "privileged")
    with Agent(appliance) as agent:
        assert agent.sh("id -un").endswith("root")
        assert not agent.sh(f"cat {AUDIT}").startswith("[exit 0]")
        assert not agent.sh("touch /usr/lib/relay-shell/x").startswith("[exit 0]")
        assert agent.sh("touch /etc/made-by-agent && stat -c %a /etc/made-by-agent").endswith("644")
    assert records(appliance, event="outcome", tool="shell_exec")
