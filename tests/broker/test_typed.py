"""A command split over several messages to a session is judged as the line it makes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from relay_shell.broker import typed as module
from relay_shell.broker.typed import Look, Typed
from relay_shell.wire.errors import RelayError

_numbers = itertools.count()


def look(typed: Typed, text: str, session: str = "s1.w", worker: str = "w", **more: Any) -> Look:
    return typed.look(worker, "session_send", {"session": session, "text": text, **more})


def send(
    typed: Typed, text: str, session: str = "s1.w", ok: bool | None = True, **more: Any
) -> list[str]:
    """What is judged of a message, which is then sent."""
    found = look(typed, text, session, **more)
    call = f"k-{next(_numbers)}"
    typed.begin(found, call)
    typed.end(call, typed=ok)
    lines: list[str] = found.args["lines"]
    return lines


def test_a_split_command_is_judged_whole() -> None:
    typed = Typed()
    assert send(typed, "rm -r") == ["rm -r"]
    assert send(typed, "f /") == ["rm -rf /"]
    assert send(typed, "\n") == ["rm -rf /\n"]
    assert send(typed, "ls\n") == ["ls\n"]
    assert len(typed) == 0


def test_submit_and_keys_end_the_line() -> None:
    typed = Typed()
    assert send(typed, "ls", submit=True) == ["ls\n"]
    assert send(typed, "pwd\rwho") == ["pwd\nwho"]
    assert send(typed, "ami", keys=["enter"]) == ["whoami\n"]
    assert send(typed, "x", keys=["C-m"]) == ["x\n"]
    assert len(typed) == 0


def test_a_command_over_several_lines_is_judged_whole() -> None:
    typed = Typed()
    send(typed, "rm \\\n")
    assert "rm \\\n-rf /\n" in send(typed, "-rf /\n")
    send(typed, "echo 'a\n")
    assert "echo 'a\nb'; reboot\n" in send(typed, "b'; reboot\n")


def test_erasing_does_not_hide() -> None:
    typed = Typed()
    send(typed, "shutX")
    send(typed, "", keys=["backspace"])
    judged = look(typed, "down\n")
    assert "shutdown\n" in judged.args["lines"] and judged.args["edited"]


def test_sessions_and_workers_have_lines_of_their_own() -> None:
    typed = Typed()
    send(typed, "rm ")
    assert send(typed, "-rf /\n", session="s2.w") == ["-rf /\n"]
    # Another principal's agent that names this session does not change its line.
    assert look(typed, "\n", worker="other").args["lines"] == ["\n"]
    typed.begin(look(typed, "\n", worker="other"), "k-other")
    typed.end("k-other", typed=True)
    assert send(typed, "x\n") == ["rm x\n"]


def test_what_is_only_judged_changes_nothing() -> None:
    typed = Typed()
    look(typed, "rm ")
    assert send(typed, "ls\n") == ["ls\n"]


def test_a_message_that_failed_may_or_may_not_have_been_typed() -> None:
    typed = Typed()
    send(typed, "shut")
    # The key does not exist, so the worker types nothing: the line has not ended.
    send(typed, "\n", keys=["no-such-key"], ok=None)
    judged = look(typed, "down\n")
    assert {"shutdown\n", "down\n"} <= set(judged.args["lines"]) and judged.args["edited"]


def test_a_message_that_never_was_sent_leaves_no_trace() -> None:
    typed = Typed()
    send(typed, "shut")
    send(typed, "\n", ok=False)
    judged = look(typed, "down\n")
    assert judged.args["lines"] == ["shutdown\n"] and not judged.args["edited"]


def test_an_agent_cannot_speak_for_the_broker() -> None:
    more = {"program": "bash", "pending": "x", "edited": False, "lines": ["ls\n"]}
    assert "program" not in look(Typed(), "rm x\n", **more).args
    assert look(Typed(), "rm x\n", **more).args["lines"] == ["rm x\n"]


def test_messages_at_once_are_judged_in_every_order() -> None:
    typed = Typed()
    typed.begin(look(typed, "down\n"), "k-a")
    second = look(typed, "shut")
    assert "shutdown\n" in second.args["lines"]
    typed.begin(second, "k-b")
    typed.end("k-b", typed=True)
    typed.end("k-a", typed=True)
    assert set(send(typed, "x\n")) >= {"shutx\n", "x\n"}
    assert len(typed) == 0


def test_a_look_that_is_out_of_date_is_seen() -> None:
    typed = Typed()
    first = look(typed, "down\n")
    assert typed.stands(first)
    typed.begin(look(typed, "shut"), "k-b")
    assert not typed.stands(first)
    assert typed.stands(typed.look("w", "shell_exec", {"command": "ls"}))


def test_a_look_at_a_session_that_was_entered_anew_is_out_of_date() -> None:
    typed = Typed()
    typed.begin(look(typed, "ls\n"), "k-a")
    slow = look(typed, "down\n")
    typed.end("k-a", typed=True)
    assert len(typed) == 0
    # As many changes as before, but what waits now is another message.
    typed.begin(look(typed, "shut"), "k-b")
    assert not typed.stands(slow)


def test_a_look_in_a_thread_sees_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = Typed()
    typed.begin(look(typed, "shut"), "k-a")
    with_ = module._with

    def meanwhile(*args: Any) -> Any:
        # The loop goes on while the thread looks: a message that was under way has been typed.
        found = with_(*args)
        typed.end("k-a", typed=True)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(module, "_with", meanwhile)
        found = look(typed, "down\n")
    assert {"shutdown\n", "down\n"} <= set(found.args["lines"])
    assert not typed.stands(found)
    assert send(typed, "down\n") == ["shutdown\n"]


def test_too_many_at_once_are_refused() -> None:
    typed = Typed()
    for n in range(module.AT_ONCE):
        typed.begin(look(typed, f"{n}"), f"k-x{n}")
    with pytest.raises(RelayError, match="Busy"):
        typed.begin(look(typed, "x"), "k-x")


def test_a_session_in_which_nothing_parses_stays_bounded() -> None:
    typed = Typed()
    for n in range(200):
        send(typed, f"( echo {n}\n")
    (session,) = typed._workers["w"].values()
    assert len(session.states) <= module.READINGS
    assert look(typed, "ls\n").args["edited"]


def test_unfinished_input_is_bounded() -> None:
    typed = Typed()
    with pytest.raises(RelayError, match="too much unfinished input"):
        for n in range(module.SESSIONS + 1):
            send(typed, "x", session=f"s{n}.w")
    assert len(typed) == module.SESSIONS
    typed.gone("w")
    assert len(typed) == 0
    with pytest.raises(RelayError, match="too much unfinished input"):
        for n in range(module.TEXT):
            send(typed, "x" * 4000, session=f"s{n}.w")
    assert sum(s.size for s in typed._workers["w"].values()) <= module.TEXT


def test_what_may_have_to_be_judged_is_bounded() -> None:
    typed = Typed()
    big = "x y " * 100_000
    assert look(typed, big).args["lines"] == [big]
    for n in range(4):
        send(typed, f"( echo {n}\n")
    with pytest.raises(RelayError, match="too much unfinished input"):
        look(typed, big)
    lines = look(typed, "( echo 'a' " + "b c " * 1000 + "\n").args["lines"]
    assert sum(map(len, lines)) <= module.JUDGED


def test_other_tools_and_malformed_arguments_pass() -> None:
    typed = Typed()
    args = {"command": "ls"}
    assert typed.look("w", "shell_exec", args) == Look(args)
    odd = {"session": 5, "text": None}
    typed.begin(typed.look("w", "session_send", odd), "k-1")
    typed.end("k-1", typed=True)
    assert len(typed) == 0


def test_what_waited_when_the_broker_was_restarted_is_not_known() -> None:
    typed = Typed()
    typed.former("w")
    assert look(typed, "ls\n").args["edited"] and not look(typed, "ls\n", worker="v").args["edited"]
    send(typed, "l", ok=False)
    assert look(typed, "ls\n").args["edited"]
    send(typed, "l")
    assert look(typed, "s\n").args["edited"]
    send(typed, "s\n")
    found = look(typed, "ls\n")
    assert found.args["lines"] == ["ls\n"] and not found.args["edited"]
    assert look(typed, "ls\n", session="s2.w").args["edited"]
    typed.gone("w")
    assert not look(typed, "ls\n", session="s2.w").args["edited"]
