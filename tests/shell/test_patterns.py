"""Patterns of callers."""

from __future__ import annotations

import sys

import pytest

from relay_shell.shell import patterns
from relay_shell.wire.errors import RelayError


def test_lines_bind_the_anchors_and_the_match() -> None:
    found = patterns.compile("^b.*$", lines=True).search(b"a\nbc\nd")
    assert found.span() == (2, 4)
    assert patterns.compile("a\nb", lines=True).search(b"a\nb") is None
    assert patterns.compile("a\nb").search(b"a\nb").span() == (0, 3)
    assert patterns.compile("\u20ac+").search("x\u20ac\u20ac".encode()).span() == (1, 7)


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "(?=look)", r"(a)\1", "x{99999}", "(?P<n"])
def test_what_re2_refuses_is_an_argument_error(pattern: str) -> None:
    with pytest.raises(RelayError, match="RE2 pattern: ") as caught:
        patterns.compile(pattern)
    assert caught.value.kind == "InvalidArguments"


def test_there_is_no_fallback_to_a_backtracking_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(RelayError, match="python3-re2 is not installed"):
        patterns.compile("never compiled before")
