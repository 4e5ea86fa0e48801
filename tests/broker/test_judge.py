"""Classification, rules, mode and ceiling put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay_shell.broker.judge import Judge, load_knowledge, redactor
from relay_shell.broker.principals import Access
from relay_shell.config.settings import Settings
from relay_shell.wire.errors import RelayError

OPEN = Access("open", 3, ("*",))


def judge(**values: Any) -> Judge:
    return Judge(Settings({f"policy.{name}": value for name, value in values.items()}), redactor())


def test_the_tier_comes_with_its_reasons() -> None:
    found = judge().decide("shell_exec", {"command": "rm -rf /srv"}, OPEN, [])
    assert found.allowed and found.tier == 3 and found.reasons
    assert judge().decide("no_such_tool", {}, OPEN, []).tier == 3


def test_resolved_hosts_meet_the_rules_beside_those_named() -> None:
    rules = judge(deny=(r"^10\.0\.0\.1$", "^db-alias$"))
    args = {"command": "uptime", "hosts": ["web-alias"]}
    assert rules.decide("ssh_fanout", args, OPEN, ["10.0.0.2"]).allowed
    assert not rules.decide("ssh_fanout", args, OPEN, ["10.0.0.1"]).allowed
    assert not rules.decide("ssh_fanout", args, OPEN, ["0x0a000001"]).allowed
    args = {"command": "uptime", "hosts": ["db-alias"]}
    assert not rules.decide("ssh_fanout", args, OPEN, ["10.0.0.2"]).allowed


def test_access_narrows_the_settings() -> None:
    rules = judge()
    args = {"command": "touch /srv/x"}
    assert rules.decide("shell_exec", args, OPEN, []).allowed
    assert not rules.decide("shell_exec", args, Access("open", 0, ()), []).allowed
    confined = rules.decide("shell_exec", args, Access("readonly", 3, ()), [])
    assert confined.mode == confined.enforcement == "readonly"


def test_a_tool_group_that_is_switched_off_is_refused() -> None:
    off = Judge(Settings({"tools.disabled": ("session",)}), redactor())
    denied = off.decide("shell_spawn", {}, OPEN, [])
    assert not denied.allowed and "tools.disabled" in denied.reasons[0]
    assert off.decide("shell_exec", {"command": "ls"}, OPEN, []).allowed


def test_a_bad_rule_is_named() -> None:
    with pytest.raises(RelayError, match="allow: pattern 2") as caught:
        judge(allow=("good", "("))
    assert caught.value.kind == "Config"


def test_the_redactor_returns_plain_values() -> None:
    redact = redactor()
    value = {"env": {"PASSWORD": "hunter22"}, "n": [1, None, True], "command": "ls"}
    shown = redact(value)
    assert "hunter22" not in str(shown) and shown["n"] == [1, None, True]
    assert redact("plain text") == "plain text"


def test_command_files_are_read_and_must_be_sound_and_trusted(tmp_path: Path) -> None:
    place = tmp_path / "commands.d"
    load_knowledge(place)
    place.mkdir(mode=0o755)
    file = place / "ours.toml"
    file.write_text("[ourtool]\ntier = 0\n")
    file.chmod(0o644)
    try:
        load_knowledge(place)
        assert judge().decide("shell_exec", {"command": "ls"}, OPEN, []).tier == 0
        for content, mode, word in (
            ("[ourtool]\nno_such_key = 1\n", 0o644, "no_such_key"),
            ("not toml", 0o644, "ours.toml"),
            ("[ourtool]\ntier = 0\n", 0o666, "chmod go-w"),
        ):
            file.write_text(content)
            file.chmod(mode)
            with pytest.raises(RelayError, match=word) as caught:
                load_knowledge(place)
            assert caught.value.kind == "Config"
    finally:
        load_knowledge(tmp_path / "none")


def test_the_operators_shell_reads_the_text_whatever_the_call_says() -> None:
    command = {"command": "ls -l /srv", "shell": "bash"}
    for shell, tier in (("/bin/bash", 0), ("/bin/dash", 0), ("/usr/bin/fish", 2)):
        found = Judge(Settings({"worker.shell": shell}), redactor())
        assert found.decide("shell_exec", command, OPEN, []).tier == tier
    zsh = Judge(Settings({"worker.shell": "/usr/bin/zsh", "policy.mode": "guarded"}), redactor())
    guarded = Access("guarded", 3, ("*",))
    refused = zsh.decide("shell_exec", {"command": "ls =id(e:'touch /x':)"}, guarded, [])
    assert not refused.allowed and refused.tier == 2


@pytest.mark.parametrize(
    "command",
    [
        "ssh root@0x0a000001",
        "ssh -J 10.1 web",
        "ssh -o 'ProxyCommand=nc 167772161 22' web",
        "curl http://%31%30.0.0.1/",
        "ssh ::ffff:10.0.0.1",
        "sudo nc -z 10.0.1 22",
    ],
)
def test_a_deny_rule_on_a_host_meets_every_spelling(command: str) -> None:
    rules = judge(deny=(r"^10\.0\.0\.1$",))
    assert not rules.decide("shell_exec", {"command": command}, OPEN, []).allowed
    assert rules.decide("shell_exec", {"command": "ssh 10.0.0.2"}, OPEN, []).allowed


def test_no_address_is_this_machine() -> None:
    rules = judge(deny=(r"^127\.0\.0\.1$",))
    assert not rules.decide("shell_exec", {"command": "curl http://0:8500/"}, OPEN, []).allowed
