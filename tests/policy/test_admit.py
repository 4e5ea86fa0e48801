"""Modes, rules and ceilings turn a verdict into a decision."""

from __future__ import annotations

import pytest

from relay_shell.policy import (
    Rules,
    Tier,
    Verdict,
    admit,
    classify_call,
    classify_command,
)

READ = classify_command("ls")
UNDOABLE = classify_command("mkdir x")
STATEFUL = classify_command("systemctl restart x")
LOST = classify_command("rm x")


@pytest.mark.parametrize(
    ("mode", "admitted"),
    [
        ("open", [READ, UNDOABLE, STATEFUL, LOST]),
        ("guarded", [READ, UNDOABLE]),
        ("readonly", [READ]),
    ],
)
def test_each_mode_admits_its_tiers(mode: str, admitted: list[Verdict]) -> None:
    for verdict in (READ, UNDOABLE, STATEFUL, LOST):
        decision = admit(mode, verdict, None, None)  # type: ignore[arg-type]
        assert decision.allowed is (verdict in admitted)
        assert decision.reasons
        assert bool(decision.hint) is not decision.allowed


def test_a_deny_rule_holds_in_every_mode() -> None:
    hit = Rules(deny=["^ls"]).check("ls", ["ls"])
    for mode in ("open", "guarded", "readonly"):
        decision = admit(mode, READ, hit, None, enforced=True)  # type: ignore[arg-type]
        assert not decision.allowed
        assert "deny rule 1" in decision.reasons[0]


def test_an_allow_rule_lifts_guarded_but_not_the_ceiling() -> None:
    hit = Rules(allow=["^rm x$"]).check("rm x", ["rm x"])
    assert admit("guarded", LOST, hit, None).allowed
    assert not admit("guarded", LOST, hit, Tier.STATEFUL).allowed
    assert not admit("readonly", LOST, hit, None).allowed


def test_the_ceiling_holds_in_open_mode() -> None:
    assert admit("open", UNDOABLE, None, Tier.REVERSIBLE).allowed
    decision = admit("open", STATEFUL, None, Tier.REVERSIBLE)
    assert not decision.allowed
    assert "ceiling 1" in decision.reasons[0]


def test_readonly_with_enforcement_runs_everything_enforced() -> None:
    decision = admit("readonly", LOST, None, None, enforced=True)
    assert decision.allowed
    assert decision.enforcement == "readonly"


@pytest.mark.parametrize("tool", ["server_info", "audit_tail", "output_read", "session_list"])
def test_readonly_admits_tools_that_run_nothing(tool: str) -> None:
    assert admit("readonly", classify_call(tool, {}), None, None).allowed


@pytest.mark.parametrize(
    "command", ["rm x", "ls > list", "sudo -k", "echo $(touch x)", "unheard-of --now", "ls $("]
)
def test_readonly_without_enforcement_admits_no_more_than_is_proven(command: str) -> None:
    decision = admit("readonly", classify_command(command), None, None)
    assert not decision.allowed and decision.enforcement == "none"
    assert "tier 0" in decision.reasons[0] and "only read" in decision.hint


def test_a_tool_that_promises_enforcement_never_runs_without() -> None:
    assert admit("open", READ, None, None, enforced=True, always_enforced=True).allowed
    decision = admit("open", READ, None, None, always_enforced=True)
    assert not decision.allowed and "kernel" in decision.reasons[0]
