"""What of hostile output an operator's terminal is shown."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.cli.escapes import HELD, STRING, Filter

HARMLESS = [
    "plain text, é€😀\r\n\ttab\b",
    "\x1b[1;31mred\x1b[0m \x1b[38;5;12m \x1b[38:2::1:2:3m",
    "\x1b[2J\x1b[H\x1b[10;20H\x1b[K\x1b[3A\x1b[1;24r\x1b[S\x1b[2T",
    "\x1b[?1049h\x1b[?25l\x1b[?7h\x1b[4h\x1b[?2026h",
    "\x1b7\x1b8\x1bD\x1bM\x1b(0qqq\x1b(B\x0e\x0f\x1b#8\x1b[!p\x1b[2 q",
]
HOSTILE = {
    "\x1b]52;c;cm0gLXJmIC8=\x07": "OSC 52",
    "\x1b]0;title\x1b\\": "OSC 0",
    "\x1b]8;;http://evil.example\x1b\\": "OSC 8",
    "\x9d52;c;AAAA\x9c": "OSC 52",
    '\x1bP$q"p\x1b\\': "DCS",
    "\x90+q544e\x9c": "DCS",
    "\x1b_Gi=1;AAAA\x1b\\": "APC",
    "\x1b^secret\x1b\\": "PM",
    "\x1bXsos\x1b\\": "SOS",
    "\x1bktitle\x1b\\": "title",
    "\x1b[c": "identify",
    "\x1b[>c": "query",
    "\x1bZ": "identify",
    "\x1b[6n": "query",
    "\x1b[?6n": "query",
    "\x1b[21t": "window",
    "\x1b[5i": "print",
    "\x1b[?4i": "query",
    "\x9b6n": "query",
    "\x1b[?2004$p": "query",
    "\x1b[>q": "query",
    "\x1b[?1000h": "mode",
    "\x1b[?1004h": "mode",
    "\x1b[20h": "mode",
    "\x1b[1;2;3;4;5T": "mode",
    "\x1b[999999999b": "repeat",
    "\x1b[>4;2m": "query",
    "\x1b[=1u": "query",
    "\x1b%@": "other",
    "\x05": "ENQ",
    "\x07": "control",
    "\x18": "control",
}


@pytest.mark.parametrize("text", HARMLESS)
def test_what_paints_passes(text: str) -> None:
    sieve = Filter()
    assert sieve.feed(text) == text
    assert sieve.counts == {}


@pytest.mark.parametrize(("text", "kind"), HOSTILE.items(), ids=map(ascii, HOSTILE))
def test_what_acts_does_not(text: str, kind: str) -> None:
    sieve = Filter()
    assert sieve.feed(f"a{text}b") == "ab"
    assert sieve.counts == {kind: 1}
    # Nor where it comes letter by letter.
    slow = Filter()
    assert "".join(slow.feed(letter) for letter in f"a{text}b") == "ab"
    assert slow.counts == {kind: 1}


def test_a_mode_among_others_is_taken_out() -> None:
    assert Filter().feed("\x1b[?25;1000;1049h") == "\x1b[?25;1049h"


def test_a_reset_clears_and_no_more() -> None:
    assert Filter().feed("\x1bc") == "\x1b[!p\x1b[2J\x1b[H"


def test_the_direction_of_text_is_not_turned() -> None:
    assert Filter().feed("a\u202eb\u2066c") == "a\ufffdb\ufffdc"


def test_a_string_without_end_hides_only_so_much() -> None:
    sieve = Filter()
    hidden = sieve.feed("\x1b]0;" + "x" * 1000)
    assert hidden == "" and sieve.feed("y" * STRING) == ""
    assert sieve.feed("shown again") == "shown again"
    sieve = Filter()
    assert sieve.feed("\x1b[" + "1" * (HELD + 10)) == "" and sieve.feed("text") == "text"


def test_an_escape_within_a_string_ends_it() -> None:
    assert Filter().feed("\x1b]0;title\x1b[1mbold") == "\x1b[1mbold"


PIECES = st.lists(
    st.one_of(
        st.sampled_from([*HOSTILE, *HARMLESS, "\x1b", "\x1b[", "\x1b]", "\x9b", "\x1bP", ";", "1"]),
        st.text(max_size=8),
    ),
    max_size=12,
)


@given(PIECES, st.randoms(use_true_random=False))
def test_any_split_shows_the_same_and_filtering_twice_changes_nothing(
    pieces: list[str], random: object
) -> None:
    text = "".join(pieces)
    whole = Filter().feed(text)
    cuts = sorted(random.randrange(len(text) + 1) for _ in range(4)) if text else []  # type: ignore[attr-defined]
    slow = Filter()
    parts = [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]
    assert "".join(slow.feed(part) for part in parts) == whole
    again = Filter()
    assert again.feed(whole) == whole
    assert again.counts == {}
