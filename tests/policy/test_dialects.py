"""Text for a shell that reads it otherwise than bash."""

from __future__ import annotations

import pytest

from relay_shell.policy import classify_call, classify_command
from relay_shell.policy.dialects import doubt


@pytest.mark.parametrize(
    "text",
    [
        "echo $'a'",
        "ls &> x",
        "cat <<< x",
        "diff <(a) b",
        "[[ a == b ]]",
        "(( 1 ))",
        "echo {a,b}",
        "echo {1..3}",
        "a=(1)",
        "echo ${x//a/b}",
        "echo ${x:1}",
        "function f { ls; }",
        "ls >& x",
        "a |& b",
    ],
)
def test_what_only_bash_reads_so_is_doubted_for_sh(text: str) -> None:
    assert doubt(text, "dash")
    assert doubt(text, "sh")
    assert not doubt(text, "bash")


@pytest.mark.parametrize(
    "text",
    [
        "ls -la | wc -l",
        "echo $((1 + 2))",
        "x=1; echo ${x:-2} ${x%a} ${#x}",
        "ls 2>&1 >/dev/null",
        "for i in a b; do echo $i; done",
        "[ a = b ] && echo 'c,{d}'",
        "find . -exec ls {} +",
    ],
)
def test_what_every_shell_reads_alike_is_not_doubted(text: str) -> None:
    assert not doubt(text, "sh")
    assert doubt(text, "zsh")
    assert doubt(text, "fish")


def test_a_command_that_only_sh_sees_is_found() -> None:
    """To bash the text is one string; to dash the string ends before the command."""
    text = r"echo $'a\'; rm -rf /srv #'"
    assert classify_command(text).tier == 0
    assert classify_command(text, shell="/bin/sh").tier == 3
    assert classify_call("ssh_exec", {"command": text, "host": "h"}).tier == 3


@pytest.mark.parametrize(
    "command",
    [
        'sh -c "$(cat x)"',
        "sh -c 'ls &>/etc/x'",
        "watch 'echo {a,b}'",
        "ssh h 'ls {a,b}'",
        "zsh -c ls",
        "fish -c ls",
        "su bob -c 'echo ${x^^}'",
        "find . -exec sh -c 'cat <<< x' \\;",
    ],
)
def test_shells_started_by_a_command_are_judged_in_their_dialect(command: str) -> None:
    assert classify_command(command).tier >= 2


def test_bash_started_by_a_command_is_judged_exactly() -> None:
    assert classify_command("bash -c 'echo {a,b} <(ls)'").tier == 0
    assert classify_command("sh -c 'df -h; free -m | head'").tier == 0
