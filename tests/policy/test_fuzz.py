"""Arbitrary text: a verdict always, never an exception, at a bounded number of steps."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_shell.policy import Tier, classify_argv, classify_call, classify_command
from relay_shell.policy.classify import INTERNAL
from relay_shell.policy.core import Judge
from relay_shell.policy.knowledge import current
from relay_shell.policy.limits import MAX_STEPS, Budget, OverBudget

FRAGMENTS = st.sampled_from(
    [
        "ls",
        "rm",
        "sudo",
        "env",
        "find",
        "-exec",
        "{}",
        "\\;",
        "+",
        "xargs",
        "sh",
        "-c",
        "'",
        '"',
        "`",
        "$(",
        ")",
        "(",
        "${",
        "}",
        "{",
        ",",
        "..",
        "$x",
        "=",
        "x=",
        ";",
        "&",
        "|",
        "<",
        ">",
        "<<E",
        "E",
        "\n",
        "\\",
        " ",
        "[[",
        "]]",
        "[",
        "]",
        "((",
        "))",
        "if",
        "then",
        "fi",
        "for",
        "in",
        "do",
        "done",
        "case",
        "esac",
        "f()",
        "function",
        "eval",
        "awk",
        "sed",
        "-e",
        "s/a/b/",
        "git",
        "-c",
        "psql",
        "tar",
        "*",
        "?",
        "~",
        "#",
        "!",
        "$'",
        "\\x41",
        "-",
        "--",
        "-o",
        "dd",
        "of=",
        "test",
        "-v",
        "printf",
        "%s",
        "ssh",
        "read",
        "alias",
        "\x00",
        "\x1b",
        "é",
        "\u202e",
    ]
)


def check(text: str) -> None:
    verdict = classify_command(text)
    assert verdict.tier in Tier
    assert verdict.reasons
    assert not any(INTERNAL in reason for reason in verdict.reasons), verdict.reasons


@settings(max_examples=600, deadline=None)
@given(st.lists(FRAGMENTS, max_size=25), st.sampled_from(["", " "]))
def test_any_sequence_of_shell_pieces_has_a_verdict(pieces: list[str], glue: str) -> None:
    check(glue.join(pieces))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_a_verdict(text: str) -> None:
    check(text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(current().names()), st.lists(FRAGMENTS | st.text(max_size=8), max_size=6))
def test_any_arguments_of_any_program_have_a_verdict(name: str, args: list[str]) -> None:
    verdict = classify_argv([name, *args])
    assert not any(INTERNAL in reason for reason in verdict.reasons), verdict.reasons


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        ["shell_exec", "shell_script", "session_send", "ssh_exec", "shell_spawn", "nonsense"]
    ),
    st.dictionaries(
        st.sampled_from(
            ["command", "argv", "script", "interpreter", "stdin", "env", "text", "hosts"]
        ),
        st.none() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=4), max_size=3),
        max_size=4,
    ),
)
def test_any_arguments_of_any_tool_have_a_verdict(tool: str, args: dict[str, object]) -> None:
    verdict = classify_call(tool, args)
    assert verdict.reasons
    assert not any(INTERNAL in reason for reason in verdict.reasons), verdict.reasons


@pytest.mark.parametrize(
    "piece",
    [
        "a;",
        "ls|",
        "'a' ",
        '"$x"',
        "{a,b}",
        "a{1..9}",
        "$((1+",
        "[[ a ",
        "x=$x$x;",
        "if a;then ",
        "a&&",
        "<<E ",
        "`",
        "\\`",
        "f(){ ",
        "case x in a)",
        "${x:-",
        "sed s/[[[/",
        "awk '{print $1}' ",
        "> x ",
        "[",
        "]",
        "((",
        "$'\\x41'",
    ],
)
def test_steps_grow_no_faster_than_the_text(piece: str) -> None:
    def steps(size: int) -> int:
        budget = Budget()
        with contextlib.suppress(OverBudget):
            Judge(current(), budget).text((piece * size)[:size])
        return min(budget.steps, MAX_STEPS)

    assert steps(4000) <= 2.6 * steps(2000) + 200


def test_a_value_that_doubles_does_not_grow_without_bound() -> None:
    assert classify_command("x=aaaaaaaa;" + "x=$x$x;" * 200 + "$x").tier >= Tier.STATEFUL
    assert classify_command("x=aaaaaaaa;" + "x=$x$x;" * 9 + "echo " + "$x" * 20_000).tier >= 0
