"""Terminal output as text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import relay_shell
from relay_shell.shell.plain import plain


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\x1b[31;1mred\x1b[0mb", b"aredb"),
        (b"\x1b]0;title\x07x\x1b]8;;http://h\x1b\\link", b"xlink"),
        (b"\x1b(B\x1b=\x1b7\x1b8ok\x1bM", b"ok"),
        (b"\x1bP1$r0m\x1b\\after", b"after"),
        (b"one\r\ntwo\r\r\nthree", b"one\ntwo\nthree"),
        (b"\x1b[?2004h$ ls\r\n\x1b[?2004l\rfile\r\n", b"$ ls\nfile\n"),
        (b" 10%\r 20%\r100%\r\n", b" 10%\n 20%\n100%\n"),
        (b"bell\x07 nul\x00 bs\x08 tab\t", b"bell nul bs tab\t"),
        ("\u20ac\U0001f600".encode(), "\u20ac\U0001f600".encode()),
    ],
)
def test_sequences_go_and_text_stays(raw: bytes, text: bytes) -> None:
    assert plain(raw, final=True) == (text, len(raw))


@given(
    st.lists(
        st.sampled_from(
            [b"text", b"\r\n", b"\r", b"\x1b[1;31m", b"\x1b]0;t\x07", b"\x1b(B", b"\xe2\x82\xac",
             b"\x1b]8;;u\x1b\\", b"\x1bPq\x1b\\", b"\x07", b"\x1bM"]
        ),
        max_size=20,
    ),
    st.data(),
)  # fmt: skip
def test_reading_in_pieces_gives_the_same_characters(
    parts: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(parts)
    expected = plain(whole, final=True)[0]
    got, at = b"", 0
    while at < len(whole):
        end = data.draw(st.integers(at + 1, len(whole)))
        text, used = plain(whole[at:end], final=end == len(whole))
        got += text
        at += used
        if used == 0 and end < len(whole):
            # Held back: the next piece must bring more.
            text, used = plain(whole[at:], final=True)
            got += text
            at += used
    # Where a cut falls decides whether a return was at a line's start.
    assert got.replace(b"\n", b"") == expected.replace(b"\n", b"")


@given(st.binary(max_size=2000))
def test_any_octets_are_taken(raw: bytes) -> None:
    text, used = plain(raw, final=False)
    assert 0 <= used <= len(raw)
    assert b"\r" not in text
    assert plain(raw, final=True)[1] == len(raw)


LINEAR = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from relay_shell.shell.plain import plain
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
data = eval(sys.argv[2]) * 1_000_000
print(plain(data, final=False)[1] <= len(data))
"""


@pytest.mark.parametrize(
    "unit", [b"\x1b]", b"\x1b[", b"\x1bP", b"\x1b[1;", b"\r", b"\x1b", b"\n\r"]
)
def test_hostile_repetition_is_linear(unit: bytes) -> None:
    # A quadratic step would need hours of CPU time; the limit is far from both.
    source = str(Path(relay_shell.__file__).parent.parent)
    ran = subprocess.run(
        [sys.executable, "-I", "-c", LINEAR, source, repr(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "True\n")
