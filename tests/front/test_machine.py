"""The front under systemd on a booted Debian 13: sessions outlive it, however it ends."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from appliance.machine import Machine
from appliance.units import NO_AGENT, agents
from front.peers import initialize

pytestmark = pytest.mark.appliance


class Agent:
    """An MCP client in the machine, over `relay-shell connect`."""

    def __init__(self, machine: Machine) -> None:
        self.process = machine.popen(
            *("relay-shell", "connect"),
            user="agent",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.ident = 0
        assert "result" in self.ask("initialize", initialize())
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def write(self, frame: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(frame).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.ident += 1
        self.write({"jsonrpc": "2.0", "id": self.ident, "method": method, "params": params})
        while line := self.process.stdout.readline():
            answer = json.loads(line)
            if answer.get("id") == self.ident:
                return answer
        return {}

    def call(self, name: str, **args: Any) -> dict[str, Any]:
        answer = self.ask("tools/call", {"name": name, "arguments": args})
        return answer["result"]["structuredContent"]

    def leave(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


def reaches(machine: Machine, handle: str) -> None:
    """A new connection finds the session, and the shell in it still answers."""
    agent = Agent(machine)
    assert "error" not in agent.call("session_send", session=handle, text="echo marco$((1+1))\n")
    assert agent.call("session_recv", session=handle, wait="marco2")["reason"] == "match"
    listed = agent.call("session_list")["sessions"]
    assert [row["session"] for row in listed] == [handle]
    agent.leave()


def shown(machine: Machine, unit: str, name: str) -> str:
    return machine.out("systemctl", "show", unit, "-p", name, "--value")


def test_sessions_outlive_front_and_broker(appliance: Machine) -> None:
    agent = Agent(appliance)
    handle = agent.call("shell_spawn", command="bash --norc")["session"]
    appliance.wait(
        "systemctl show relay-shell-front -p StatusText | grep -q '1 clients (agent); 1 workers'"
    )
    assert shown(appliance, "relay-shell-front", "NFileDescriptorStore") == "1"
    agent.leave()
    appliance.expect("relay-shell-front.service: .*(status=9/KILL|result 'signal')")
    appliance.run("systemctl", "kill", "-s", "KILL", "relay-shell-front")
    reaches(appliance, handle)
    appliance.run("systemctl", "restart", "relay-shell-front")
    reaches(appliance, handle)
    appliance.run("systemctl", "stop", "relay-shell-front")
    assert shown(appliance, "relay-shell-front", "NFileDescriptorStore") == "1"
    reaches(appliance, handle)
    appliance.run("systemctl", "restart", "relay-shell")
    reaches(appliance, handle)
    assert len(agents(appliance)) == 1
    agent = Agent(appliance)
    agent.call("session_kill", session=handle)
    agent.leave()
    appliance.wait(NO_AGENT)
    assert shown(appliance, "relay-shell-front", "NFileDescriptorStore") == "0"


def test_a_connection_lives_through_a_broker_restart(appliance: Machine) -> None:
    # The unit of a worker that is about to start wants the broker's socket.
    appliance.write("/etc/relay-shell/relay-shell.d/50-test.toml", "[worker]\nspare = 0\n")
    agent = Agent(appliance)
    assert agent.call("shell_exec", command="echo one")["stdout"] == "one\n"
    appliance.run("systemctl", "restart", "relay-shell")
    assert agent.call("shell_exec", command="echo two")["stdout"] == "two\n"
    appliance.run("systemctl", "stop", "relay-shell-broker.socket", "relay-shell.service")
    assert agent.call("shell_exec", command="echo three")["error"]["kind"] == "BrokerUnavailable"
    fresh = Agent(appliance)
    assert fresh.call("shell_exec", command="echo four")["error"]["kind"] == "BrokerUnavailable"
    appliance.run("systemctl", "start", "relay-shell-broker.socket")
    assert agent.call("shell_exec", command="echo five")["stdout"] == "five\n"
    assert fresh.call("shell_exec", command="echo six")["stdout"] == "six\n"
    agent.leave()
    fresh.leave()


def test_outsider_is_told_the_group(appliance: Machine) -> None:
    done = appliance.run("relay-shell", "connect", user="outsider", check=False)
    assert (done.returncode, done.stdout) == (77, "")
    assert "usermod -aG relay-shell-access outsider" in done.stderr
