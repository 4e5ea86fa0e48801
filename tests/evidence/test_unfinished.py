"""Which calls a crash left open, how far back they are looked for."""

from __future__ import annotations

import re

from relay_shell.evidence.unfinished import unfinished
from relay_shell.evidence.writer import Writer


def calls(path, last: int = 99) -> list[str]:
    return [record["call_id"] for record in unfinished([path], last)]


def test_an_intent_that_was_changed_is_not_taken_up(tmp_path) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    for call in ("k-1", "k-2"):
        writer.append_now({"event": "intent", "call_id": call, "principal": "unix:alice"})
    writer.close()
    assert calls(path) == ["k-1", "k-2"]
    assert calls(path, 1) == ["k-1"]
    path.write_bytes(path.read_bytes().replace(b"unix:alice", b"unix:mallo", 1))
    assert calls(path) == ["k-2"]


def test_the_search_ends_days_back(tmp_path) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    writer.append_now({"event": "intent", "call_id": "k-old"})
    writer.append_now({"event": "intent", "call_id": "k-new"})
    writer.append_now({"event": "outcome", "call_id": "k-other"})
    writer.close()
    old, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(re.sub(rb'"ts":"\d{4}', b'"ts":"2020', old) + b"\n" + rest)
    assert calls(path) == ["k-new"]


def test_a_missing_file_ends_the_search(tmp_path) -> None:
    assert unfinished([tmp_path / "gone"], 1) == []
