"""access.toml, budgets and idempotency keys on an installed system."""

from __future__ import annotations

import pytest

from appliance.agent import Agent, Gone
from appliance.machine import Machine
from appliance.test_agents import records
from appliance.units import agents

FILE = "/etc/relay-shell/access.toml"


@pytest.fixture
def ruled(appliance: Machine) -> Machine:
    appliance.add_user("other", "relay-shell-access")
    appliance.run("groupadd", "--force", "interns")
    appliance.run("systemctl", "start", "relay-shell")
    return appliance


def reload(machine: Machine, rules: str) -> None:
    machine.write(FILE, rules)
    machine.run("relay-shell", "config", "check")
    machine.run("systemctl", "reload", "relay-shell")


def test_rules_hold_from_the_reload_on(ruled: Machine) -> None:
    with Agent(ruled) as agent, Agent(ruled, "other") as other:
        held = agent.facts("shell_spawn", command="sleep 7777")["session"]
        assert other.sh("true").startswith("[exit 0]")
        reload(
            ruled,
            '[[rule]]\nuser = "other"\nmode = "readonly"\ntools = ["shell_exec", "server_info"]\n',
        )
        # Who is named by no rule now is gone, with what it had started.
        with pytest.raises(Gone):
            while True:
                agent.sh("true")
        ruled.wait("! pgrep -f '^sleep 7777'")
        assert held and len(agents(ruled)) == 1

        assert other.facts("server_info")["mode"] == "readonly"
        names = [tool["name"] for tool in other.request("tools/list", {})["tools"]]
        assert sorted(names) == ["server_info", "shell_exec"]
        with pytest.raises(RuntimeError, match="Denied: unix:agent has no access"):
            Agent(ruled)
        refused = records(ruled, event="refused", what="client")
        assert "no rule of access.toml names it" in refused[-1]["error"]


def test_a_group_is_matched_by_the_kernels_view(ruled: Machine) -> None:
    ruled.run("usermod", "--append", "--groups", "interns", "other")
    reload(
        ruled,
        '[[rule]]\ngroup = "interns"\nceiling = 0\n[[rule]]\nany = true\n'
        "[rule.budgets]\ncalls_per_minute = 6\nburst = 2\n",
    )
    with Agent(ruled, "other") as other:
        assert other.sh("df -h /").startswith("[exit 0]")
        assert other.sh("touch /tmp/x").startswith("[DENIED tier 1")
    with Agent(ruled) as agent:
        assert agent.sh("touch /tmp/x").startswith("[exit 0]")
        agent.sh("true")
        error = agent.facts("shell_exec", command="true")["error"]
        assert error["kind"] == "OverBudget" and 1 <= error["retry_after"] <= 10
    with Agent(ruled) as again:
        assert again.facts("shell_exec", command="true")["error"]["kind"] == "OverBudget"


def test_a_bad_file_changes_nothing(ruled: Machine) -> None:
    reload(ruled, "[[rule]]\nany = true\nceiling = 1\n")
    ruled.expect(r"reload refused")
    ruled.expect(r"^<3> relay-shell.service: Reload failed for relay-shell.service")
    ruled.write(FILE, "[[rule]]\nany = true\ncieling = 3\n")
    check = ruled.run("relay-shell", "config", "check", check=False)
    assert check.returncode == 78
    assert f"{FILE}:3: unknown key 'cieling'; did you mean 'ceiling'?" in check.stderr
    failed = ruled.run("systemctl", "reload", "relay-shell", check=False)
    assert failed.returncode == 1 and "Job for relay-shell.service failed" in failed.stderr
    printed = ruled.run("relay-shell", "config", "reload", check=False)
    assert printed.returncode == 78
    assert f"{FILE}:3: unknown key 'cieling'" in printed.stderr
    with Agent(ruled) as agent:
        assert agent.facts("server_info")["ceiling"] == 1
    assert "cieling" in ruled.out("systemctl", "status", "relay-shell")
    assert "cieling" in records(ruled, event="config", what="refused")[-1]["error"]
    reload(ruled, "[[rule]]\nany = true\nceiling = 2\n")
    assert "refused" not in ruled.out("systemctl", "status", "relay-shell", "--lines=0")


def test_a_key_outlives_the_client_the_front_and_the_broker(ruled: Machine) -> None:
    call = {"command": "echo run >> ~/log; wc -l < ~/log", "idempotency_key": "k"}
    with Agent(ruled) as agent:
        assert agent.call("shell_exec", **call) == "[exit 0]\n1"
    ruled.run("systemctl", "restart", "relay-shell", "relay-shell-front")
    with Agent(ruled) as agent:
        assert agent.call("shell_exec", **call).startswith("[exit 0]\n1\n[REPLAYED")
    for unit in agents(ruled):
        ruled.run("systemctl", "stop", unit)
    with Agent(ruled) as agent:
        facts = agent.facts("shell_exec", **call)
        assert (facts["exit"], facts["stdout"], facts["bytes"]) == (0, "", 2) and facts["replayed"]
    assert len(records(ruled, event="replay")) == 2
    assert len(records(ruled, event="intent", tool="shell_exec")) == 1
