"""Arguments of tools that run commands."""

from __future__ import annotations

from typing import Any

import pytest

from relay_shell.config import TABLE
from relay_shell.tools.command import command_of, limits_of, remote_text
from relay_shell.tools.shell_script import interpreter_of
from relay_shell.wire.errors import RelayError


def test_command_goes_to_the_shell_and_argv_stands() -> None:
    assert command_of({"command": "a | b"}, {}) == ["/bin/bash", "-c", "a | b"]
    assert command_of({"command": "a"}, {"worker.shell": "/bin/dash"}) == ["/bin/dash", "-c", "a"]
    assert command_of({"argv": ["a", "|", "b"]}, {}) == ["a", "|", "b"]


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"command": "a", "argv": ["a"]},
        {"command": "a\0b"},
        {"argv": ["a", "\0"]},
        {"argv": [""]},
    ],
)
def test_neither_both_and_nul_are_refused(args: dict[str, Any]) -> None:
    with pytest.raises(RelayError) as caught:
        command_of(args, {})
    assert caught.value.kind == "InvalidArguments"


def test_limits_come_from_the_settings_and_bind() -> None:
    settings = {
        "limits.timeout": 60,
        "limits.timeout_max": 30,
        "limits.output": 5000,
        "limits.output_max": 9000,
    }
    assert limits_of({}, settings) == {"timeout": 30, "max_output": 5000}
    assert limits_of({"timeout": 0.5, "max_output": 9000}, settings) == {
        "timeout": 0.5,
        "max_output": 9000,
    }
    for args in ({"timeout": 31}, {"max_output": 9001}):
        with pytest.raises(RelayError, match="at most") as caught:
            limits_of(args, settings)
        assert caught.value.kind == "InvalidArguments"


def test_a_call_that_names_no_timeout_ends_before_its_client_gives_up() -> None:
    # DEFAULT_REQUEST_TIMEOUT_MSEC of the TypeScript SDK, less what a starting worker and the kill
    # of a process tree take.
    most = 60 - 10
    default = TABLE["limits.timeout"].default
    assert limits_of({}, {"limits.timeout": default})["timeout"] <= most
    assert limits_of({}, {})["timeout"] == default


def test_result_of_the_largest_output_fits_a_frame() -> None:
    from relay_shell.wire.messages import LARGE

    most = limits_of({}, {"limits.output": 16 << 20, "limits.output_max": 16 << 20})["max_output"]
    # A control character takes six octets in JSON.
    assert 6 * most < LARGE


@pytest.mark.parametrize(
    ("script", "named", "words"),
    [
        ("echo hi", None, ["/bin/bash"]),
        ("echo hi", "sh", ["/bin/sh"]),
        ("print()", "python3", ["/usr/bin/python3"]),
        ("#!/usr/bin/perl\nprint 1", None, ["/usr/bin/perl"]),
        ("#! /usr/bin/env -S python3 -u \nx", None, ["/usr/bin/env", "-S python3 -u"]),
        ("#!/usr/bin/perl -w", None, ["/usr/bin/perl", "-w"]),
        ("#!/usr/bin/perl", "bash", ["/bin/bash"]),
    ],
)
def test_interpreter_is_the_named_one_or_that_of_the_first_line(
    script: str, named: str | None, words: list[str]
) -> None:
    assert interpreter_of(script, named) == words


@pytest.mark.parametrize("script", ["#!", "#!   \nx", "#!/" + "x" * 300])
def test_first_line_without_an_interpreter(script: str) -> None:
    with pytest.raises(RelayError, match="names no interpreter"):
        interpreter_of(script, None)


def test_text_for_another_machine_is_the_command_or_the_words_quoted() -> None:
    assert remote_text({"command": "echo $HOME"}) == "echo $HOME"
    assert remote_text({"argv": ["echo", "$HOME", "a b"]}) == "echo '$HOME' 'a b'"


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"command": "true", "argv": ["true"]},
        {"command": "true\0rm"},
        {"argv": ["true", "\0"]},
        {"argv": [""]},
        {"command": "\ud800"},
    ],
)
def test_text_that_cannot_be_sent_whole_is_refused(args: dict[str, Any]) -> None:
    with pytest.raises(RelayError) as caught:
        remote_text(args)
    assert caught.value.kind == "InvalidArguments"
