from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.cli.term import Style, clip, duration, safe, size, table, width


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(st.text())
def test_safe_text_acts_on_no_terminal(text):
    shown = safe(text)
    assert all(char == " " or unicodedata.category(char)[0] not in "CZ" for char in shown)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_stays_as_it_is(text):
    assert safe(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("one\ntwo\r", "one\\ntwo\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("safe\u202etxt.exe", "safe\\u202etxt.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("lone\ud800", "lone\\ud800"),
        ("caf\u00e9 \u4f60", "caf\u00e9 \u4f60"),
    ],
)
def test_what_could_repaint_or_reorder_is_spelt_out(text, shown):
    assert safe(text) == shown


def test_kept_characters_pass():
    assert safe("a\nb\x07", keep="\n") == "a\nb\\x07"


def test_colours_on_a_terminal_alone(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Style(Terminal())("x", "red") == "\x1b[31mx\x1b[0m"
    assert Style(io.StringIO())("x", "red") == "x"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_refused(monkeypatch, name, value):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    assert Style(Terminal())("x", "red") == "x"


def test_columns_line_up_whatever_the_script():
    style = Style(Terminal())
    text = table(["A", "B"], [["\u4f60\u597d", "1"], [style("abc", "red"), "2"]], style)
    rows = text.splitlines()[1:]
    assert [width(row) for row in rows] == [7, 7]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12 ms"),
        (0.9996, "1.0 s"),
        (9.96, "10 s"),
        (59.7, "1 min"),
        (3599.9, "1 h"),
        (3.21, "3.2 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3725, "1 h 2 min"),
        (90000, "1 d 1 h"),
        (-5, "0 ms"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("octets", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB")]
)
def test_size(octets, text):
    assert size(octets) == text


def test_clip_marks_the_cut():
    assert clip("abcdef", 6) == "abcdef"
    assert clip("abcdefg", 6) == "abc..."
