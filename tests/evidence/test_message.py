"""What a person reads."""

from __future__ import annotations

import pytest

from relay_shell.evidence.events import EVENTS
from relay_shell.evidence.message import message, printable

ALICE = {"principal": "unix:alice", "tool": "shell_exec"}


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (
            {"event": "intent", "args": {"command": "df -h"}, "tier": 0, "decision": "allow"},
            'alice shell_exec "df -h" tier 0 allowed',
        ),
        (
            {"event": "intent", "args": {"argv": ["df", "-h"]}, "tier": 0,
             "decision": "allow", "enforcement": "readonly"},
            'alice shell_exec "df -h" tier 0 allowed (readonly)',
        ),
        (
            {"event": "deny", "args": {"command": "mkfs /dev/sda"}, "tier": 3,
             "reasons": ["deny rule 1", "tier 3"]},
            'alice shell_exec "mkfs /dev/sda" tier 3 denied: deny rule 1; tier 3',
        ),
        (
            {"event": "outcome", "status": "ok", "exit": 0, "bytes": 512, "duration_ms": 12},
            "alice shell_exec exit 0, 512 bytes, 12 ms",
        ),
        (
            {"event": "outcome", "status": "ok", "exit": 0, "bytes": 1, "sha256": "ab" * 32},
            "alice shell_exec exit 0, 1 bytes, sha256 abababababababab",
        ),
        (
            {"event": "outcome", "status": "timeout", "signal": "SIGKILL", "bytes": 0,
             "duration_ms": 60001, "survivors": 2},
            "alice shell_exec timeout, SIGKILL, 0 bytes, 60001 ms, 2 survivors",
        ),
        (
            {"event": "intent", "tool": "ssh_exec", "args": {"host": "web1", "command": "df -h"},
             "tier": 0, "decision": "allow"},
            'alice ssh_exec "df -h" on web1 tier 0 allowed',
        ),
        (
            {"event": "intent", "tool": "ssh_fanout", "tier": 0, "decision": "allow",
             "args": {"hosts": ["@web", "a", "b\n", "c", "d"], "argv": ["df", "-h"]}},
            'alice ssh_fanout "df -h" on @web, a, b\\n and 2 more tier 0 allowed',
        ),
        (
            {"event": "intent", "tool": "ssh_keyscan", "args": {}, "tier": 0,
             "decision": "allow"},
            'alice ssh_keyscan tier 0 allowed',
        ),
        (
            {"event": "outcome", "tool": "ssh_fanout", "status": "error", "bytes": 9,
             "remote": [{"status": "ok", "exit": 0}, {"status": "ok", "exit": 1}, {}, "odd"]},
            "alice ssh_fanout error, 9 bytes, 3 machines, 2 failed",
        ),
        (
            {"event": "interrupted", "call_id": "k-1"},
            "alice shell_exec k-1 interrupted, outcome unknown",
        ),
        ({"event": "note", "what": "spawned", "facts": {"pid": 3}},
         'alice note spawned shell_exec {"pid":3}'),
    ],
)  # fmt: skip
def test_a_call(record, text) -> None:
    assert message({**ALICE, **record}).replace(": 3}", ":3}") == text


def test_connections() -> None:
    record = {"principal": "unix:alice", "client": "inspector 1.0"}
    assert message({**record, "event": "connect"}) == "alice connected inspector 1.0"
    assert message({**record, "event": "disconnect"}) == "alice disconnected inspector 1.0"


def test_what_an_agent_says_cannot_play_with_the_terminal() -> None:
    hostile = "\x1b[2Jls\nexit 0\u202egpj\x07"
    for event in EVENTS:
        text = message(
            {"event": event, "principal": f"unix:{hostile}", "tool": hostile, "client": hostile,
             "args": {"command": hostile}, "reasons": [hostile], "what": hostile,
             "detail": hostile, "error": hostile, "signal": hostile, "facts": {"x": hostile}}
        )  # fmt: skip
        assert text.isprintable(), text


def test_long_commands_are_cut() -> None:
    text = message({"event": "intent", **ALICE, "args": {"command": "x" * 10_000}})
    assert len(text) < 250 and "..." in text
    assert printable("abc", 2).endswith("...")


def test_arguments_that_were_cut_are_text() -> None:
    assert message({"event": "intent", **ALICE, "args": '{"comm'}).endswith('"{"comm" allowed')
