"""What commands execute, beside what was asked for, in an installed system."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.agent import Agent
from appliance.machine import Machine
from appliance.process import poll
from appliance.steps import Steps

AUDIT = "/var/log/relay-shell/audit.jsonl"
OBSERVER = "relay-shell-observer.service"

# A command of a scoped worker owns its unit's cgroups: it makes one that is named like a call's,
# and starts a program in it.
FORGE = """
import ctypes, glob, os, struct
own = open("/proc/self/cgroup").read().split("::")[1].strip().rpartition("/")[0]
os.mkdir(path := "/sys/fs/cgroup" + own + "/call-k-0123456789abcdef")
fd = os.open(path, os.O_RDONLY)
args = struct.pack("=11Q", 0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, fd)
if ctypes.CDLL(None).syscall(435, ctypes.c_char_p(args), 88) == 0:
    os.execv("/bin/echo", ["echo", "forged"])
os.wait()
"""
SPOOF = """
import json, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect("/run/relay-shell/broker.sock")
s.send(b"\\3" + json.dumps({"m": "hello_observer", "i": 1, "b": {"version": 1}}).encode())
print(s.recv(65536).decode())
"""


def records(machine: Steps, event: str, **facts: Any) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in machine.read(AUDIT).splitlines()]
    wanted = facts | {"event": event}
    return [row for row in found if wanted.items() <= row.items()]


def outcome(machine: Steps) -> dict[str, Any]:
    """The last outcome."""
    return records(machine, "outcome")[-1]


def executed(machine: Steps, call: str) -> list[dict[str, Any]]:
    """What a call executed, once it has all been told."""

    def told() -> bool:
        return any(row["facts"]["ended"] for row in records(machine, "exec", call_id=call))

    poll(told, 180, f"what {call} executed is recorded")
    return [row for record in records(machine, "exec", call_id=call) for row in record["execs"]]


def watched(machine: Steps) -> None:
    """Wait until the observer is at work."""

    def on() -> bool:
        status = json.loads(machine.out("relay-shell", "status", "--json"))
        return bool(status["observer"]["state"] == "on")

    poll(on, 180, "the observer observes")


@pytest.mark.parametrize("posture", ["scoped", "privileged"])
def test_executions_are_shown_beside_the_claim(appliance: Machine, posture: str) -> None:
    appliance.run("relay-shell", "posture", "set", posture)
    with Agent(appliance) as agent:
        agent.sh("true")
        watched(appliance)
        command = "sh -c '/usr/bin/env true one; (setsid echo two >/dev/null &); sleep 0.1'"
        assert agent.sh(command).startswith("[exit 0]")
        ended = outcome(appliance)
        assert ended["observed"] is True
        rows = executed(appliance, ended["call_id"])
        account = 0 if posture == "privileged" else int(appliance.out("id", "-u", "relay-shell"))
        assert {row["uid"] for row in rows} == {account}
        commands = [row["command"] for row in rows]
        for wanted in ("/usr/bin/env true one", "true one", "setsid echo two", "sleep 0.1"):
            assert wanted in commands
        shown = appliance.out("relay-shell", "audit", "show", ended["call_id"])
        claimed, observed = (shown.index(word) for word in ("\nclaimed ", "\nobserved "))
        assert (
            claimed < shown.index(command, claimed) < observed < shown.index("true one", observed)
        )
        # In the journal too, by the broker's hand.
        (entry,) = appliance.journal("RELAY_EVENT=exec", f"RELAY_CALL_ID={ended['call_id']}")
        assert entry.fields["_SYSTEMD_UNIT"] == "relay-shell.service"
        assert [json.loads(row) for row in entry.fields["RELAY_EXECS"]] == rows


def test_a_session_is_observed_as_of_the_call_that_opened_it(appliance: Machine) -> None:
    with Agent(appliance) as agent:
        agent.sh("true")
        watched(appliance)
        session = agent.facts("shell_spawn", command="bash --norc")["session"]
        call = records(appliance, "outcome", session=session)[0]["call_id"]
        agent.call("session_send", session=session, text="/usr/bin/id -u\n")
        agent.call("session_kill", session=session)
        assert "/usr/bin/id -u" in [row["command"] for row in executed(appliance, call)]
        end = records(appliance, "session", what="session_end")[-1]["facts"]
        assert end["session"] == session and end["accounting"].startswith("cpu=cgroup")


def test_a_command_can_neither_forge_nor_stop_it(appliance: Machine) -> None:
    with Agent(appliance) as agent:
        agent.sh("true")
        watched(appliance)
        assert "forged" in agent.facts("shell_exec", argv=["python3", "-c", FORGE])["stdout"]
        forger = outcome(appliance)["call_id"]
        forged = [row for row in executed(appliance, forger) if row["command"] == "echo forged"]
        assert [row["moved"] for row in forged] == [True]
        assert records(appliance, "exec", call_id="k-0123456789abcdef") == []
        said = agent.facts("shell_exec", argv=["python3", "-c", SPOOF])["stdout"]
        assert "not the observer's account" in said
        pid = appliance.out("systemctl", "show", "--property=MainPID", "--value", OBSERVER)
        assert "not permitted" in agent.sh(f"kill -9 {pid}; kill -STOP {pid}")
        assert outcome(appliance)["observed"] is True
        assert records(appliance, "observer", what="lost") == []


def test_its_absence_is_recorded_and_stops_nothing(appliance: Machine) -> None:
    with Agent(appliance) as agent:
        agent.sh("true")
        watched(appliance)
        appliance.run("systemctl", "stop", OBSERVER)
        assert agent.sh("echo goes on") == "[exit 0]\ngoes on"
        assert outcome(appliance)["observed"] is False
        assert len(records(appliance, "observer", what="lost")) == 1
        assert "observer: absent" in appliance.out("relay-shell", "status")
        appliance.run("systemctl", "start", OBSERVER)
        watched(appliance)
        agent.sh("true again")
        assert outcome(appliance)["observed"] is True
        # A broker that restarts finds it again.
        appliance.run("systemctl", "restart", "relay-shell.service")
        watched(appliance)
        agent.sh("echo last")
        last = outcome(appliance)
        assert last["observed"] is True
        assert executed(appliance, last["call_id"])
