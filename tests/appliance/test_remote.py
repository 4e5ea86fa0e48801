"""Another machine, reached through SSH: what runs there, what does not, and what is recorded."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.agent import Agent
from appliance.batch import Batch
from appliance.conftest import ready
from appliance.machine import Machine
from appliance.offhost import ADDRESSES, wire
from appliance.test_enforcement import changes, commands

HERE = Path(__file__).parent
AUDIT = "/var/log/relay-shell/audit.jsonl"
INVENTORY = f"""
[host.other]
address = "{ADDRESSES[1]}"
user = "root"
shell = "bash"
groups = ["all"]

[host.gate]
address = "{ADDRESSES[1]}"
port = 2222
user = "gate"

[host.deep]
address = "localhost"
user = "deploy"
jump = "gate"
host_key = "deep"
groups = ["all"]
"""
SETTINGS = """
[policy]
mode = "{mode}"
{policy}
[worker]
idle = 1
[ssh]
idle = 1
[budgets]
calls_per_minute = 0
sensitive_per_minute = 0
"""
THROUGH = 'restrict,port-forwarding,permitopen="localhost:22",command="/usr/sbin/nologin" '
OFTEN = "Port 22\nPort 2222\nMaxStartups 100\nPerSourcePenalties no\n"

# What the readers of the corpus say to the other machine's journal, syslog and console.
ASKED_FOR = r"^<\d> (?!sshd)"


TRACES = {
    "/var/log/(lastlog|wtmp|wtmp.db|btmp)$": "who logged in",
    "/var/lib/(lastlog|wtmpdb)(/|$)": "who logged in",
    "/run/(motd.dynamic|user)$": "made at each login",
    "/root(/.config(/procps)?)?$": "top makes the directory of its configuration",
    "/var/cache/man/": "man keeps the pages that root has read",
    "/var/log/apt(/eipp.log.xz)?$": "apt keeps the problem that it solved last, also for -s",
    "/tmp/apt-changelog-": "of an apt that ran out of time",
}
"""What logins and readers leave on a machine on which nothing confines them."""


@pytest.fixture
def spaces(host: None) -> Iterator[tuple[str, str]]:
    with wire(f"rr{os.getpid()}") as names:
        yield names


@pytest.fixture
def other(boot: Callable[..., Machine], spaces: tuple[str, str]) -> Machine:
    """A machine with nothing but sshd; `gate` may only be passed through."""
    machine = boot(installed=False, network=spaces[1])
    machine.add_user("deploy")
    machine.add_user("gate")
    machine.write("/etc/ssh/sshd_config.d/ours.conf", OFTEN)
    machine.put(HERE / "snapshot.py", "/opt/snapshot.py")
    machine.shell("ssh-keygen -A; systemctl start ssh.service")
    return machine


@pytest.fixture
def fleet(boot: Callable[..., Machine], spaces: tuple[str, str], other: Machine) -> Machine:
    """The appliance, whose key the accounts of the other machine accept and whose host keys it
    knows."""
    machine = ready(boot(network=spaces[0]))
    machine.write("/etc/relay-shell/inventory.toml", INVENTORY)
    machine.shell(
        """
        ssh-keygen -q -t ed25519 -N '' -C fleet -f /etc/relay-shell/keys/fleet
        systemctl reload-or-restart relay-shell-keys.service
        """
    )
    public = machine.read("/etc/relay-shell/keys/fleet.pub")
    for user, home, options in (
        ("root", "/root", ""),
        ("deploy", "/home/deploy", ""),
        ("gate", "/home/gate", THROUGH),
    ):
        other.shell(f"install -d -m 700 -o {user} -g {user} {home}/.ssh")
        other.write(f"{home}/.ssh/authorized_keys", options + public)
        other.shell(f"chown {user} {home}/.ssh/authorized_keys")
    shown = other.out("ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    machine.run("relay-shell", "ssh", "trust", "other", "gate", "--fingerprint", shown)
    machine.write("/root/deep.pub", other.read("/etc/ssh/ssh_host_ed25519_key.pub"))
    machine.run("relay-shell", "ssh", "trust", "deep", "--keys", "/root/deep.pub", "--yes")
    return machine


def settle(machine: Machine, mode: str, policy: str = "") -> None:
    text = SETTINGS.format(mode=mode, policy=policy)
    machine.write("/etc/relay-shell/relay-shell.d/50-test.toml", text)
    machine.run("systemctl", "restart", "relay-shell.service")


def state(machine: Machine) -> dict[str, Any]:
    """The state of the other machine once nobody is logged in."""
    machine.wait("! systemctl --quiet is-active 'user@*.service' 'session-*.scope'", 120)
    # What was started by asking ends by itself after half a minute.
    asked = "systemd-hostnamed systemd-localed systemd-timedated"
    machine.wait(f"! systemctl --quiet is-active {asked}", 120)
    text = machine.out("python3", "-I", "/opt/snapshot.py", timeout=300)
    return {
        name: value
        for name, value in json.loads(text).items()
        if not any(re.match(f"file {trace}", name) for trace in TRACES)
    }


def records(machine: Machine, **wanted: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in machine.read(AUDIT).splitlines()]
    return [row for row in found if all(row.get(key) == value for key, value in wanted.items())]


def test_in_readonly_mode_the_other_machine_is_read_and_nothing_else(
    fleet: Machine, other: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root there, and no kernel of ours: what is not proven to change nothing does not start."""
    other.expect(ASKED_FOR)
    settle(fleet, "readonly")
    with Batch(fleet) as agent:
        assert agent.facts("ssh_exec", host="other", command="id -u")["stdout"] == "0\n"
        before = state(other)
        readers = commands("readonly")
        calls = [("ssh_exec", {"host": "other", "command": text, "timeout": 5}) for text in readers]
        told = Counter[str]()
        refused = []
        for command, result in zip(readers, agent.many(calls, at_once=4), strict=True):
            facts = result.get("structuredContent", {})
            kind = facts.get("error", {}).get("kind", "ran")
            told[kind] += 1
            if kind == "Denied":
                refused.append(command)
            else:
                assert kind in ("ran", "Timeout"), (command, result)
        changing = [*commands("changing"), *commands("irreversible")]
        everywhere = commands("irreversible")
        calls = [("ssh_exec", {"host": "other", "command": text}) for text in changing]
        calls += [("ssh_fanout", {"hosts": ["@all"], "command": text}) for text in everywhere]
        for call, result in zip(calls, agent.many(calls), strict=True):
            kind = result.get("structuredContent", {}).get("error", {}).get("kind")
            assert kind == "Denied", (call, result)
    with capsys.disabled():
        print(f"\n{len(readers)} readers on another machine: {dict(told)}; refused:")
        print(*refused, sep="\n")
    found = changes(before, state(other))
    assert found == [], f"{len(found)} changes:\n" + "\n".join(found[:100])
    assert told["Denied"] < 0.05 * len(readers)
    denied = records(fleet, event="deny", tool="ssh_exec")
    assert len(denied) == told["Denied"] + len(changing)
    assert all(row["hosts"][:2] == ["other", ADDRESSES[1]] for row in denied)
    assert len(records(fleet, event="deny", tool="ssh_fanout")) == len(everywhere)


@pytest.mark.parametrize("posture", ["scoped", "privileged"])
def test_commands_run_there_and_the_record_says_where(
    fleet: Machine, other: Machine, posture: str
) -> None:
    fleet.run("relay-shell", "posture", "set", posture)
    settle(fleet, "open")
    with Agent(fleet) as agent:
        names = [row["host"] for row in agent.facts("ssh_hosts")["hosts"]]
        assert names == ["other", "gate", "deep"]
        checked = agent.facts("ssh_check", hosts=["*"])
        assert checked["ok"] == 3, checked
        facts = agent.facts("ssh_exec", host="other", command="cat; hostname", stdin="told ")
        assert (facts["exit"], facts["stdout"]) == (0, f"told {other.name}\n")
        facts = agent.facts("ssh_exec", host="deep", command="id -un; exit 3")
        assert (facts["exit"], facts["stdout"]) == (3, "deploy\n")
        # The way through is no way in.
        facts = agent.facts("ssh_exec", host="gate", command="touch /tmp/in")
        assert other.run("test", "-e", "/tmp/in", check=False).returncode == 1, facts
        both = agent.facts("ssh_fanout", hosts=["@all"], command="uname -n")
        assert both["results"] == [
            {"hosts": ["other", "deep"], "exit": 0, "stdout": f"{other.name}\n"}
        ]
        keys = agent.facts("ssh_keyscan", host="other")["keys"]
        assert {key["type"]: key["state"] for key in keys}["ssh-ed25519"] == "known"
        # A command that is out of time ends there, with what it put into the background.
        facts = agent.facts(
            "ssh_exec", host="other", timeout=2, command="sleep 7311 & sleep 7312; echo end"
        )
        assert facts["timeout"] == 2 and "notes" not in facts, facts
        other.wait("! pgrep -f 'sleep 731[12]'", 60)
    intent = records(fleet, event="intent", tool="ssh_exec")[1]
    assert intent["hosts"] == ["deep", "gate", "localhost", ADDRESSES[1]]
    outcome = next(
        row for row in records(fleet, event="outcome") if row["call_id"] == intent["call_id"]
    )
    assert outcome["remote"][0]["host"] == "deep" and outcome["remote"][0]["exit"] == 3
    shown = other.out("ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert outcome["remote"][0]["host_key"] == shown
    key = fleet.out("ssh-keygen", "-lf", "/etc/relay-shell/keys/fleet.pub").split()[1]
    other.wait(f"journalctl -u ssh -u 'ssh@*' | grep -q 'Accepted publickey for deploy.*{key}'")
    fleet.run("relay-shell", "audit", "verify")


def test_rules_see_a_machine_by_each_of_its_names(fleet: Machine) -> None:
    settle(fleet, "open", f"deny = ['{re.escape(ADDRESSES[1])}']")
    with Agent(fleet) as agent:
        for host in ("other", "gate", "deep"):
            facts = agent.facts("ssh_exec", host=host, command="true")
            assert facts["error"]["kind"] == "Denied", host
            assert agent.facts("ssh_check", hosts=[host])["error"]["kind"] == "Denied"
        assert (
            agent.facts("ssh_fanout", hosts=["@all"], command="true")["error"]["kind"] == "Denied"
        )
    rule = "[[rule]]\nuser = 'agent'\nhosts = ['{}']\n"
    settle(fleet, "open")
    for granted, runs in (("other", {"other"}), ("10.211.0.0/24", {"other", "gate"}), ("*", None)):
        fleet.write("/etc/relay-shell/access.toml", rule.format(granted))
        fleet.run("systemctl", "reload", "relay-shell.service")
        with Agent(fleet) as agent:
            for host in ("other", "deep"):
                facts = agent.facts("ssh_exec", host=host, command="true")
                allowed = runs is None or host in runs
                assert ("error" not in facts) == allowed, (granted, host, facts)


def test_a_host_that_changed_its_key_gets_no_command(fleet: Machine, other: Machine) -> None:
    other.expect(r"error: Received disconnect .*Host key is not trusted")
    other.shell("rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh.service")
    settle(fleet, "open")
    with Agent(fleet) as agent:
        facts = agent.facts("ssh_exec", host="other", command="touch /tmp/in")
        assert facts["error"]["kind"] == "HostKey", facts
        assert "not the known one" in facts["error"]["message"]
        states = {key["state"] for key in agent.facts("ssh_keyscan", host="other")["keys"]}
        assert "changed" in states and "known" not in states
        # An agent cannot make it known.
        agent.sh("mkdir -p ~/.ssh; ssh-keyscan 10.211.0.2 > ~/.ssh/known_hosts")
        agent.sh("ssh-keyscan 10.211.0.2 > /etc/relay-shell/known_hosts")
        facts = agent.facts("ssh_exec", host="other", command="touch /tmp/in")
        assert facts["error"]["kind"] == "HostKey", facts
    assert other.run("test", "-e", "/tmp/in", check=False).returncode == 1
