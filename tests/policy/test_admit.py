"""Modes, rules and ceilings turn a verdict into a decision."""

from __future__ import annotations

import pytest

from relay_shell.policy import (
    Rules,
    Tier,
    Verdict,
    admit,
    classify_argv,
    classify_call,
    classify_command,
    is_fixed_readonly,
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
        args = {"command": "ls"}
        decision = admit(mode, verdict, None, None, args=args)  # type: ignore[arg-type]
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
    "command",
    [
        "grep x /etc/hosts",
        "ls | wc",
        "ls; id",
        "ls $x",
        "ls > /dev/null",
        "ls *",
        "sudo ls",
        "/tmp/ls",
        "ls 'a\nb'",
        "find .",
        "echo $(id)",
        "x=1",
        "LANG=C ls",
        "timeout 1 ls",
    ],
)
def test_only_fixed_plain_commands_run_unenforced(command: str) -> None:
    verdict = classify_command(command)
    assert not is_fixed_readonly(verdict, {"command": command})
    assert not admit("readonly", verdict, None, None, args={"command": command}).allowed


def test_fixed_forms_are_plain_words_without_environment() -> None:
    verdict = classify_argv(["ls", "-la", "/etc"])
    assert is_fixed_readonly(verdict, {"argv": ["ls", "-la", "/etc"]})
    assert is_fixed_readonly(classify_command("/usr/bin/df  -h"), {"command": "/usr/bin/df  -h"})
    assert not is_fixed_readonly(verdict, {"argv": ["ls"], "env": {"A": "b"}})
    assert not is_fixed_readonly(verdict, {"argv": ["ls"], "stdin": "x"})
    assert not is_fixed_readonly(classify_argv(["ls", "a;b"]), {"argv": ["ls", "a;b"]})
    assert not is_fixed_readonly(verdict, None)
