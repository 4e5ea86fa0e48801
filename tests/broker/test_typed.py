"""A command split over several messages to a session is judged as the line it makes."""

from __future__ import annotations

from typing import Any

from relay_shell.broker.typed import LINE, SESSIONS, TOO_LONG, Typed


def send(typed: Typed, text: str, session: str = "s1.w", **more: Any) -> str:
    """What is judged of a message, and then sent."""
    args = {"session": session, "text": text, **more}
    judged = typed.whole("session_send", args)
    typed.sent("session_send", args)
    return str(judged["pending"]) + str(judged["text"])


def test_a_split_command_is_judged_whole() -> None:
    typed = Typed()
    assert send(typed, "rm -r") == "rm -r"
    assert send(typed, "f /") == "rm -rf /"
    assert send(typed, "\n") == "rm -rf /\n"
    assert send(typed, "ls\n") == "ls\n"


def test_submit_ends_the_line() -> None:
    typed = Typed()
    assert send(typed, "ls", submit=True) == "ls\n"
    assert send(typed, "pwd\rwho") == "pwd\rwho"
    assert send(typed, "ami\n") == "whoami\n"


def test_sessions_have_lines_of_their_own() -> None:
    typed = Typed()
    send(typed, "rm ")
    assert send(typed, "-rf /\n", session="s2.w") == "-rf /\n"
    assert send(typed, "x\n") == "rm x\n"


def test_what_is_only_judged_changes_nothing() -> None:
    typed = Typed()
    typed.whole("session_send", {"session": "s1.w", "text": "rm "})
    assert send(typed, "ls\n") == "ls\n"


def test_a_line_too_long_to_keep_is_too_long_to_judge() -> None:
    typed = Typed()
    send(typed, "x" * (LINE + 1))
    assert send(typed, "\n") == TOO_LONG + "\n"
    assert send(typed, "ls\n") == "ls\n"


def test_other_tools_and_malformed_arguments_pass() -> None:
    typed = Typed()
    args = {"command": "ls"}
    assert typed.whole("shell_exec", args) is args
    typed.sent("shell_exec", args)
    typed.sent("session_send", {"session": 5, "text": None})
    assert len(typed) == 0


def test_memory_is_bounded() -> None:
    typed = Typed()
    for n in range(SESSIONS + 100):
        send(typed, "x", session=f"s{n}")
    assert len(typed) == SESSIONS
