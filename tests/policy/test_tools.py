"""How each tool is judged from its arguments."""

from __future__ import annotations

import pytest

from relay_shell.policy import Tier, classify_call


def tier(tool: str, **args: object) -> int:
    return int(classify_call(tool, args).tier)


@pytest.mark.parametrize(
    "tool", ["shell_exec", "shell_read", "job_start", "ssh_exec", "ssh_fanout"]
)
def test_commands_are_judged_as_text_or_argument_vector(tool: str) -> None:
    assert tier(tool, command="ls | wc") == 0
    assert tier(tool, command="rm x") == 3
    assert tier(tool, argv=["rm", "x"]) == 3
    assert tier(tool, argv=["echo", "; rm x"]) == 0


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"command": 3},
        {"command": "ls", "argv": ["ls"]},
        {"argv": []},
        {"argv": ["a", 1]},
        {"argv": "ls"},
        {"command": "ls", "env": [1]},
        {"command": "ls", "env": {"A": 1}},
    ],
)
def test_arguments_that_are_not_understood_are_tier_2(args: dict[str, object]) -> None:
    verdict = classify_call("shell_exec", args)
    assert verdict.tier == Tier.STATEFUL
    assert "not understood" in verdict.reasons[0]


def test_environment_and_input_of_the_call_count() -> None:
    assert tier("shell_exec", command="ls", env={"LANG": "C"}) == 0
    assert tier("shell_exec", command="ls", env={"LD_PRELOAD": "/x"}) == 2
    assert tier("shell_exec", command="$X /srv", env={"X": "rm"}) == 3
    assert tier("shell_exec", command="cat", stdin="rm x") == 0
    assert tier("shell_exec", command="sh", stdin="rm x") == 3
    assert tier("shell_exec", command="bash", stdin="ls") == 0
    assert tier("shell_exec", argv=["python3"], stdin="import os; os.remove('x')") == 3
    assert tier("shell_exec", command="sh") == 2
    assert tier("shell_exec", command="psql", stdin="SELECT 1;") == 0
    assert tier("shell_exec", command="psql", stdin="DROP TABLE x;") == 3


def test_scripts_go_to_their_interpreter() -> None:
    assert tier("shell_script", script="df -h\nfree -m\n", interpreter="bash") == 0
    assert tier("shell_script", script="rm x\n", interpreter="bash") == 3
    assert tier("shell_script", script="print(1)", interpreter="python3") == 2
    assert tier("shell_script", script=1) == 2


def test_a_live_shell_is_tier_2_and_a_plain_program_its_own() -> None:
    assert tier("shell_spawn") == 2
    assert tier("shell_spawn", command="top -b") == 0
    assert tier("shell_spawn", argv=["bash"]) == 2
    assert tier("ssh_spawn", host="a") == 2


def test_session_input_is_judged_as_the_lines_that_reach_the_shell() -> None:
    assert tier("session_send", text="ls\n", program="bash") == 1
    assert tier("session_send", text="rm x\n", program="bash") == 3
    assert tier("session_send", text="x\n", lines=["rm x\n"], program="bash") == 3
    assert tier("session_send", text="x\n", lines=["x\n", "rm x\n"]) == 3
    assert tier("session_send", text="x\n", lines=["ls\n"], edited=True, program="bash") == 2
    assert tier("session_send", lines=[], edited=True) == 2
    assert tier("session_send", lines=[]) == 1
    assert tier("session_send", lines=["ls\n" * 10_000, "ls\n" * 10_001]) == 3
    assert tier("session_send", text="ls\n") == 2  # to a program that is not known
    assert tier("session_send", text="!rm\n", program="bash") == 2
    assert tier("session_send", text="l\ts\n", program="bash") == 2
    assert tier("session_send", keys=["C-c"], program="bash") == 2
    assert tier("session_send", text="rm -rX /", keys=["left"], program="bash") >= 2
    assert tier("session_send", text="reboX", keys=["backspace", "o", "t"], submit=True) == 3
    assert tier("session_send", text="rm x\r", program="bash") == 3
    assert tier("session_send", text=1) == 2


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ("session_recv", 0),
        ("session_screen", 0),
        ("session_list", 0),
        ("session_resize", 1),
        ("session_kill", 1),
        ("output_read", 0),
        ("server_info", 0),
        ("audit_tail", 0),
        ("policy_explain", 0),
        ("job_stop", 1),
        ("file_read", 0),
        ("file_write", 2),
        ("ssh_forward", 2),
        ("ssh_check", 0),
        ("ssh_keyscan", 0),
        ("host_query", 0),
    ],
)
def test_tools_with_a_fixed_tier(tool: str, expected: int) -> None:
    assert tier(tool) == expected


def test_an_unknown_tool_is_the_worst() -> None:
    verdict = classify_call("frobnicate", {})
    assert verdict.tier == Tier.IRREVERSIBLE
    assert "unknown tool" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("script", "tier"),
    [
        ("[[ -e /etc/fstab ]] && df -h", 0),
        ("#!/bin/bash\n[[ -e /etc/fstab ]] && df -h", 0),
        ("#!/usr/bin/env bash\ndf -h", 0),
        ("#!/bin/bash -eu\ndf -h", 0),
        ("#!/bin/sh\n[[ -e /etc/fstab ]] && df -h", 2),
        ("#!/bin/bash /srv/other\ndf -h", 2),
        ("#!/bin/bash --rcfile=/srv/other\ndf -h", 2),
        ("#!/srv/bin/bash\ndf -h", 2),
        ("#!/usr/bin/env -S bash -x\ndf -h", 2),
        ("#!/usr/bin/env -S bash -x\nrm -rf /srv", 3),
        ("#!/bin/bash -l\nrm -rf /srv", 3),
        ("#!\ndf -h", 2),
    ],
)
def test_a_script_is_read_as_its_interpreter_reads_it(script: str, tier: int) -> None:
    assert int(classify_call("shell_script", {"script": script}).tier) == tier


@pytest.mark.parametrize("tool", ["shell_exec", "shell_read", "shell_spawn"])
@pytest.mark.parametrize(
    ("shell", "tier"),
    [("/bin/bash", 0), ("/bin/sh", 2), ("/bin/dash", 2), ("/usr/bin/zsh", 2), ("/bin/fish", 2)],
)
def test_text_is_read_as_the_shell_reads_it(tool: str, shell: str, tier: int) -> None:
    args = {"command": "cat <<< $'it\\'s'", "shell": shell}
    assert int(classify_call(tool, args).tier) == tier


def test_a_shell_that_is_not_known_still_shows_what_is_lost() -> None:
    assert classify_call("shell_exec", {"command": "rm -rf /", "shell": "/bin/fish"}).tier == 3
    typed = {"lines": ["rm -rf /"], "shell": "/usr/bin/zsh"}
    assert classify_call("session_send", typed).tier == 3
