"""Syslog messages by the grammar of RFC 5424, and their framing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings

from evidence.hostile import records
from relay_shell.evidence.cef import encode
from relay_shell.evidence.syslog import counted, priority, rfc3164, rfc5424

# HEADER of section 6, with a NILVALUE as structured data.
HEADER = re.compile(
    rb"<(\d{1,3})>1 (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) ([\x21-\x7e]{1,255}) "
    rb"([\x21-\x7e]{1,48}) ([\x21-\x7e]{1,128}) ([\x21-\x7e]{1,32}) - (.*)",
    re.DOTALL,
)
RECORD: dict[str, Any] = {"event": "deny", "ts": "2026-01-31T12:00:00.123456Z"}


def test_rfc5424() -> None:
    said = rfc5424(RECORD, "CEF:0|", "web1.example")
    assert said == b"<109>1 2026-01-31T12:00:00.123456Z web1.example relay-shell - deny - CEF:0|"


def test_rfc3164(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert rfc3164(RECORD, "x") == b"<109>Jan 31 12:00:00 relay-shell: x"
    early = {**RECORD, "ts": "2026-02-01T02:03:04.000000Z"}
    assert rfc3164(early, "x", "web1") == b"<109>Feb  1 02:03:04 web1 relay-shell: x"


def test_priorities() -> None:
    assert priority({"event": "intent"}) == 13 * 8 + 6
    assert priority({"event": "trouble"}) == 13 * 8 + 3
    assert priority({"event": "anomaly"}) == 13 * 8 + 5


@given(records)
@settings(max_examples=80, deadline=None)
def test_any_record_is_one_message(record: dict[str, Any]) -> None:
    text = encode(record)
    for host in ("web1", "", "a b\nc", "\u00e9"):
        found = HEADER.fullmatch(rfc5424(record, text, host))
        assert found is not None and found[7] == text.encode()
        assert b"\n" not in rfc3164(record, text, host)


def test_frames_are_told_apart_by_their_length() -> None:
    stream = counted(b"one\n7 two") + counted("zwölf".encode())
    found = []
    while stream:
        length, _, stream = stream.partition(b" ")
        found.append(stream[: int(length)])
        stream = stream[int(length) :]
    assert found == [b"one\n7 two", "zwölf".encode()]
