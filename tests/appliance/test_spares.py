"""Spare workers of a booted machine: given once, never outdated, out of the agents' reach."""

from __future__ import annotations

import pytest

from appliance import package
from appliance.agent import Agent
from appliance.machine import Machine
from appliance.test_agents import main_pid, records
from appliance.units import agents, loaded, spares

CALM = "systemctl show relay-shell-front -p StatusText --value | grep -q '1 spare$'"
SETTINGS = "/etc/relay-shell/relay-shell.toml"


@pytest.fixture
def spared(appliance: Machine) -> Machine:
    """A machine whose operator wants one spare."""
    appliance.write(SETTINGS, "[worker]\nspare = 1\n", mode=0o644)
    appliance.run("systemctl", "restart", "relay-shell.service")
    return appliance


def waiting(machine: Machine) -> str:
    """The unit of the one spare, once it has started."""
    machine.wait(
        "systemctl show 'relay-shell-worker@*' -p StatusText --value | grep -q ^spare:", 60
    )
    (unit,) = spares(machine)
    return unit


def outdated(machine: Machine) -> list[str]:
    """Units that the broker would not give to a connection."""
    return [str(r["unit"]) for r in records(machine, event="worker", what="outdated")]


def test_a_second_connection_is_served_by_what_ran_before_it_came(spared: Machine) -> None:
    with Agent(spared) as first:
        assert first.sh("echo one").endswith("one")
        (serving,) = agents(spared)
        unit = waiting(spared)
        pid = main_pid(spared, unit)
        assert unit != serving
        assert "belongs to no agent" in spared.out("systemctl", "status", unit)
        assert unit not in spared.out("relay-shell", "posture", "show", "--json")
        with Agent(spared) as second:
            assert second.sh("echo $PPID").endswith(pid)
            assert agents(spared) == [serving, unit]
            assert waiting(spared) not in (serving, unit)
            # An agent's as any other: what it did is on record, and its unit's end is its own.
            assert records(spared, event="worker", what="started", unit=unit)
            spared.run("systemctl", "stop", unit)
            assert first.sh("echo still").endswith("still")
    assert outdated(spared) == []


def test_the_fd_store_and_the_idle_front_know_nothing_of_a_spare(spared: Machine) -> None:
    spared.write(SETTINGS, "[front]\nidle_exit = 1\n[worker]\nspare = 1\n", mode=0o644)
    spared.run("systemctl", "restart", "relay-shell.service")
    with Agent(spared):
        unit = waiting(spared)
        stored = ("systemctl", "show", "relay-shell-front", "-p", "NFileDescriptorStore", "--value")
        assert spared.out(*stored) == "0"
    spared.wait("! systemctl --quiet is-active relay-shell-front.service", 60)
    spared.wait(f"! systemctl --quiet is-active {unit}", 60)
    assert loaded(spared) == []
    # It went by itself: no unit failed, nobody was killed.
    assert "failed" not in spared.out("systemctl", "list-units", "--no-legend", "--failed")


def test_a_spare_that_is_stopped_is_replaced_and_harms_nobody(spared: Machine) -> None:
    with Agent(spared) as agent:
        agent.sh("true")
        unit = waiting(spared)
        spared.run("systemctl", "stop", unit)
        assert agent.sh("echo fine").endswith("fine")
        spared.wait(CALM, 60)
        assert waiting(spared) != unit


def test_none_is_kept_where_the_setting_is_0(spared: Machine) -> None:
    spared.write(SETTINGS, "[worker]\nspare = 0\n", mode=0o644)
    spared.run("systemctl", "restart", "relay-shell.service")
    with Agent(spared) as agent:
        assert loaded(spared) == []
        assert agent.sh("echo x").endswith("x")
        assert loaded(spared) == agents(spared)


def test_a_posture_applies_to_who_connects_after_it(spared: Machine) -> None:
    """A spare of the posture before is not given to anybody, whether it ends by itself or not."""
    with Agent(spared) as first:
        assert first.sh("id -un").endswith("relay-shell")
        for posture, user in (("privileged", "root"), ("scoped", "relay-shell")):
            before = waiting(spared)
            said = spared.out("relay-shell", "posture", "set", posture)
            assert "1 live worker(s)" in said and before not in said
            with Agent(spared) as agent:
                assert agent.sh("id -un").endswith(user)
            assert before not in agents(spared)
            spared.wait(f"! systemctl --quiet is-active {before}", 60)
            spared.wait(CALM, 60)
        assert first.sh("id -un").endswith("relay-shell")


@pytest.mark.parametrize(
    "change",
    [
        "mkdir -p /etc/systemd/system/relay-shell-worker@.service.d &&"
        " printf '[Service]\\nNice=7\\n'"
        " > /etc/systemd/system/relay-shell-worker@.service.d/60-more.conf",
        "usermod -aG games relay-shell",
        "systemctl daemon-reload",
        "touch /usr/lib/relay-shell/relay_shell",
    ],
    ids=["drop-in", "group", "reload", "program"],
)
def test_what_changed_after_a_spare_was_started_outdates_it(spared: Machine, change: str) -> None:
    with Agent(spared) as first:
        first.sh("true")
        unit = waiting(spared)
        spared.shell(change)
        with Agent(spared) as agent:
            # Not given, and told to nobody: the call is served all the same.
            assert agent.sh("id").startswith("[exit 0]")
            assert unit not in agents(spared)
            assert outdated(spared) == [unit]
            if "usermod" in change:
                assert "games" in agent.sh("id -Gn")
            if "Nice" in change:
                spared.run("systemctl", "daemon-reload")
                with Agent(spared) as later:
                    assert later.sh("nice").endswith("7")
        # A refused spare is no refused peer.
        assert records(spared, event="refused") == []


def test_an_upgrade_outdates_a_spare(spared: Machine) -> None:
    with Agent(spared) as agent:
        agent.sh("true")
        unit = waiting(spared)
        deb = f"/root/{package.deb().name}"
        spared.run("apt-get", "install", "--yes", "--reinstall", deb, timeout=300)
        spared.wait("systemctl --quiet is-active relay-shell.service")
    with Agent(spared) as agent:
        assert agent.sh("echo after").endswith("after")
        assert unit not in agents(spared)


ATTEMPTS = (
    "cat /proc/{pid}/environ",
    "ls -l /proc/{pid}/fd/",
    "cat /proc/{pid}/maps",
    "readlink /proc/{pid}/cwd",
    ": > /proc/{pid}/mem",
    "python3 -c 'import os, signal; os.kill({pid}, signal.SIGSTOP)'",
    "python3 -c 'import os, signal; os.kill({pid}, 0)'",
    "python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(16, {pid}, 0, 0) != 0)'",
    "python3 -c 'import os, signal; signal.pidfd_send_signal(os.pidfd_open({pid}), 9)'",
    "kill -9 {pid}",
)


def test_no_agent_reaches_a_spare(spared: Machine) -> None:
    """It has the account of the agents' commands and no domain yet: theirs keeps them in."""
    with Agent(spared) as agent:
        agent.sh("true")
        unit = waiting(spared)
        pid = main_pid(spared, unit)
        assert spared.out("stat", "-c", "%U", f"/proc/{pid}/mem") == "root", "it is dumpable"
        assert spared.out("ps", "-o", "user=", "-p", pid).startswith("relay-sh")
        for attempt in ATTEMPTS:
            text = agent.sh(attempt.format(pid=pid))
            assert not text.startswith("[exit 0]"), (attempt, text)
        group = f"/sys/fs/cgroup$(sed -n s/^0:://p /proc/{pid}/cgroup)"
        for attempt in (f"echo 1 > {group}/cgroup.kill", f"echo $$ > {group}/cgroup.procs"):
            assert not agent.sh(attempt).startswith("[exit 0]"), attempt
        assert main_pid(spared, unit) == pid
        with Agent(spared) as second:
            assert second.sh("echo $PPID").endswith(pid)


def test_a_privileged_spare_is_behind_the_fence(spared: Machine) -> None:
    """Root may end any worker; what the fence keeps from a worker it keeps from a spare."""
    spared.run("relay-shell", "posture", "set", "privileged")
    with Agent(spared) as agent:
        assert agent.sh("id -un").endswith("root")
        unit = waiting(spared)
        pid = main_pid(spared, unit)
        for path in ("var/log/relay-shell/audit.jsonl", "var/lib/relay-shell-broker/"):
            text = agent.sh(f"ls /proc/{pid}/root/{path}* && cat /proc/{pid}/root/{path}")
            assert not text.startswith("[exit 0]"), path
        for path in (
            "/usr/lib/relay-shell/x",
            "/etc/systemd/system/relay-shell-worker@.service.d/x",
        ):
            text = agent.sh(f"touch /proc/{pid}/root{path}")
            assert not text.startswith("[exit 0]"), path
        # In mode readonly the command is in a domain of its own.
        assert agent.sh(f"kill -0 {pid}").startswith("[exit 0]")
        text = agent.call("shell_read", command=f"kill -0 {pid}")
        assert not text.startswith("[exit 0]")
        with Agent(spared) as second:
            assert second.sh("echo $PPID").endswith(pid)
