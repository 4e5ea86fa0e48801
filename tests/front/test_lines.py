"""Lines out of a byte stream, whatever its pieces are."""

from __future__ import annotations

import hashlib
import itertools

from hypothesis import given
from hypothesis import strategies as st

from relay_shell.front.lines import FREE, Budget, LineReader, Oversized


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(n % (len(data) + 1) for n in at)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(st.binary(max_size=400), st.lists(st.integers(0, 10_000), max_size=20))
def test_pieces_make_no_difference(data: bytes, at: list[int]) -> None:
    budget = Budget(10_000)
    reader = LineReader(100, budget)
    lines = [line for piece in cut(data, at) for line in reader.feed(piece)]
    last = reader.end()
    if last is not None:
        lines.append(last)
    expected: list[bytes | Oversized] = []
    for raw in data.split(b"\n"):
        if len(raw) > 100:
            expected.append(Oversized(len(raw), hashlib.sha256(raw).hexdigest()))
        elif raw.strip():
            expected.append(raw.strip())
    assert lines == expected
    assert budget.left == 10_000


def test_budget_is_taken_for_long_lines_alone_and_given_back() -> None:
    budget = Budget(100_000)
    reader = LineReader(1_000_000, budget)
    assert reader.feed(b"x" * FREE) == []
    assert budget.left == 100_000
    assert reader.feed(b"x" * 50_000) == []
    assert budget.left == 50_000
    reader.close()
    assert budget.left == 100_000


def test_line_that_the_budget_has_no_room_for_is_skipped_and_the_next_is_read() -> None:
    budget = Budget(10_000)
    reader = LineReader(1_000_000, budget)
    assert reader.feed(b"x" * FREE) == []
    assert reader.feed(b"x" * 20_000) == []
    lines = reader.feed(b"x\nnext\n")
    assert lines == [
        Oversized(FREE + 20_001, hashlib.sha256(b"x" * (FREE + 20_001)).hexdigest()),
        b"next",
    ]
    assert budget.left == 10_000
