"""Lines of recordings."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pytest

from relay_shell.evidence import cast

HEADER = cast.header(columns=80, rows=24, timestamp=1.9, title="t", env={"TERM": "x"}, facts={})


def file(*lines: bytes) -> io.BytesIO:
    made = io.BytesIO(HEADER + b"".join(lines))
    cast.read_header(made)
    return made


def test_a_header_is_one_of_asciicast_v2() -> None:
    header = json.loads(HEADER)
    assert (header["version"], header["width"], header["height"]) == (2, 80, 24)
    assert header["timestamp"] == 1 and header["env"] == {"TERM": "x"}


def test_events_survive_writing_and_reading() -> None:
    raw = "//4="
    lines = [cast.event_lines(0.1234567, "o", "é\x1b"), cast.event_lines(1, "o", "\ufffd", raw)]
    assert b"\x1b" not in lines[0], "a recording printed by accident is harmless"
    found = list(cast.read_events(file(*lines, cast.exit_line(2, 3))))
    assert found == [
        (0.123457, "o", "é\x1b", None),
        (1, "o", "\ufffd", b"\xff\xfe"),
        (2, "x", "3", None),
    ]


def test_only_the_recorder_speaks_as_such() -> None:
    forged = cast.event_lines(0, "m", f"{cast.GAP}12 bytes")
    gap = cast.event_lines(0, "g", "12")
    (first, second, third) = cast.read_events(file(forged, gap, cast.note_line(0, "words")))
    assert first.text.startswith("'") and second.text.startswith(cast.GAP)
    assert third.text == "relay-shell: words"


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        (cast.event_lines(0, "o", "x"), True),
        (cast.event_lines(0, "i", "x"), True),
        (cast.event_lines(0, "r", "1x1"), True),
        (cast.event_lines(0, "m", "k-1"), True),
        (cast.event_lines(0, "m", "relay-shell: x"), True),
        (cast.event_lines(0, "g", "12"), True),
        (cast.note_line(0, "x"), False),
        (cast.exit_line(0, 1), False),
        (HEADER, False),
        (b'[0,"b","//4="]\n', False),
        (b"junk\n", False),
    ],
)
def test_what_a_worker_sent_is_counted_again(line: bytes, counted: bool) -> None:
    assert cast.counts(line) is counted


@pytest.mark.parametrize(
    "event",
    [
        1,
        [],
        [0, "o"],
        [0, "o", "x", "//4=", 1],
        ["0", "o", "x"],
        [True, "o", "x"],
        [-1, "o", "x"],
        [1e300, "o", "x"],
        [float("nan"), "o", "x"],
        [0, "x", "0"],
        [0, "b", "//4="],
        [0, "oo", "x"],
        [0, [], "x"],
        [0, "o", b"x"],
        [0, "o", "x", "no base64"],
        [0, "o", "x", None, None],
    ],
)
def test_what_no_worker_sends(event: Any) -> None:
    with pytest.raises(ValueError, match="event"):
        cast.checked([event])


def test_a_cut_last_line_is_left_out_and_a_bad_one_is_named() -> None:
    events = cast.read_events(file(cast.event_lines(0, "o", "x"), b'[1,"o","y'))
    assert [event.text for event in events] == ["x"]
    for line in (b"{}\n", b"[1]\n", b'[1,"o",2]\n', b"[" * 100_000 + b"\n", b'["a","o",""]\n'):
        with pytest.raises(cast.CastError, match="line 2"):
            list(cast.read_events(file(line)))
    for header in (b"", b"[]\n", b'{"version":3}\n', b'{"version":2,"width":0,"height":1}\n'):
        with pytest.raises(cast.CastError):
            cast.read_header(io.BytesIO(header))


def test_digests_of_prefixes() -> None:
    data = bytes(range(256)) * 1000
    found = cast.digests(io.BytesIO(data), [0, 10, 200_000, 256_000, 256_001])
    assert found == {n: hashlib.sha256(data[:n]).hexdigest() for n in (0, 10, 200_000, 256_000)}
    assert cast.whole(io.BytesIO(data)) == (256_000, found[256_000])
