"""Head, tail, size and hash of a stream."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.shell.capture import Capture, whole_characters


@given(st.lists(st.binary(max_size=300)), st.integers(1, 400), st.integers(0, 400))
def test_what_is_shown_is_a_head_and_a_tail_of_the_whole(
    chunks: list[bytes], keep: int, room: int
) -> None:
    room = min(room, keep)
    capture = Capture(keep)
    for chunk in chunks:
        capture.feed(chunk)
    whole = b"".join(chunks)
    assert capture.total == len(whole)
    assert capture.sha256() == hashlib.sha256(whole).hexdigest()
    head, tail, shown = capture.shown(room)
    if tail is None:
        assert head == whole
        return
    assert len(whole) > room
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert shown == len(head) + len(tail) <= room
    # At most three octets are lost to a character at each cut.
    assert shown >= room - 6


@given(st.text(), st.integers(0, 200))
def test_cut_text_has_no_replacement_characters(text: str, at: int) -> None:
    data = text.replace("\ufffd", "").encode()[:at]
    assert "\ufffd" not in whole_characters(data).decode("utf-8", "replace")


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x80\x80\x80\x80\x80", b"ok\xc3", b"\xf0\x9f\x98"])
def test_octets_that_are_no_text_do_not_hold_up(data: bytes) -> None:
    assert data.startswith(whole_characters(data))
    assert len(data) - len(whole_characters(data)) < 4


def test_text_marks_what_was_left_out() -> None:
    capture = Capture(20)
    capture.feed(b"0123456789" * 10)
    assert capture.text(20) == (
        "0123456789\n[TRUNCATED - 100 bytes total, 20 shown]\n0123456789",
        True,
    )
    assert capture.last_lines(3, 5) == "56789"
