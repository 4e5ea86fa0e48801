"""Keys and lines: what a shell could come to read."""

from __future__ import annotations

import pytest

from relay_shell.policy.keystrokes import LINE, TOO_LONG, Line, characters, press, unfinished
from relay_shell.shell import pty


def readings(typed: str, before: str = "") -> tuple[set[str], set[str], bool]:
    judged, left = press(Line(before), typed)
    return {line.text for line in judged}, {line.text for line in left}, next(iter(judged)).unknown


def test_plain_text() -> None:
    assert readings("ls") == ({"ls"}, {"ls"}, False)
    assert readings(" -l\r", "ls") == ({"ls -l\n"}, {""}, False)
    assert readings("ls\npwd") == ({"ls\npwd"}, {"pwd"}, False)


@pytest.mark.parametrize(
    ("typed", "edited"),
    [
        ("shutX\x7fdown\r", "shutdown\n"),
        ("shutX\bdown\r", "shutdown\n"),
        ("ls\x15reboot\r", "reboot\n"),
        ("ls /tmp\x17-la\r", "ls -la\n"),
        ("rm -rf /\x03ls\r", "ls\n"),
        ("\x7f\x7fls\r", "ls\n"),
        ("a\r\x7fb\r", "a\nb\n"),
    ],
)
def test_erasing_keys_leave_both_readings(typed: str, edited: str) -> None:
    judged, left, unknown = readings(typed)
    plain = "".join(c for c in typed.replace("\r", "\n") if c == "\n" or c.isprintable())
    assert judged == {edited, plain} and unknown and left == {""}


@pytest.mark.parametrize("key", ["up", "C-r", "C-y", "home", "M-.", "f1", "C-d", "C-v", "C-space"])
def test_other_keys_leave_a_line_that_cannot_be_known(key: str) -> None:
    typed = characters({"text": "ls", "keys": [key]})
    assert typed is not None
    judged, _, unknown = readings(typed)
    assert unknown and judged == {"ls"}


def test_completion() -> None:
    judged, _, unknown = readings("shutd\t\r")
    assert judged == {"shutd\t\n", "shutd\n"} and unknown


def test_an_escape_sequence_is_no_text() -> None:
    assert readings("\x1b[Als\r")[0] == {"ls\n"}
    assert readings("\x1bOPls\r")[0] == {"ls\n"}


def test_a_line_is_clean_after_its_end() -> None:
    _, left = press(Line("x", True), "\r")
    assert left == {Line()}
    _, left = press(Line("x", True), "y")
    assert left == {Line("xy", True)}


@pytest.mark.parametrize(
    "text",
    [
        "rm \\\n",
        "echo 'a\n",
        'echo "a\n',
        "if true\n",
        "f() {\n",
        "a &&\n",
        "a |\n",
        "(\n",
        "$(\n",
        "x=(a\n",
        "[[ a\n",
        "case x in\n",
        "for i in a\n",
    ],
)
def test_a_command_goes_on_in_the_next_line(text: str) -> None:
    assert unfinished(text)
    _, left, _ = readings(text)
    assert left == {"", text}
    judged, _, _ = readings("-rf /\n", text)
    assert judged == {text + "-rf /\n"}


@pytest.mark.parametrize("text", ["ls\n", "\n", "echo a\\\\\n", "fi\n", "ls )\n", "a # it's\n"])
def test_a_command_ends_with_its_line(text: str) -> None:
    assert not unfinished(text)
    assert readings(text)[1] == {""}


def test_bounds() -> None:
    _, left, _ = readings("x" * (LINE + 1))
    assert left == {TOO_LONG}
    judged, left, _ = readings("\r", TOO_LONG)
    assert judged == {TOO_LONG + "\n"} and left == {""}
    _, left, _ = readings("x\n" * 20_000, "'")
    assert left == {""}


def test_the_keys_are_the_terminals() -> None:
    assert characters({"text": "a", "keys": ["enter", "C-c", "x"], "submit": True}) == "a\r\x03x\r"
    for name in (*pty._KEYS, "C-a", "^U", "C-?", "C-m", "C-[", "M-x", "C-space", "a", " "):
        ours, sent = characters({"keys": [name]}), pty.key(name)
        # A key that sends a sequence, or the NUL, is only known to be none that is followed.
        assert ours == sent or (ours == "\x1b" and (sent[0] == "\x1b" or sent == "\0")), name


@pytest.mark.parametrize("args", [{"text": 1}, {"keys": "enter"}, {"keys": [1]}])
def test_malformed(args: dict[str, object]) -> None:
    assert characters(args) is None
