"""Files of a record, their lines and their ends."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.evidence import files
from relay_shell.evidence.chain import seal
from relay_shell.evidence.files import lines, lines_backwards, segments, tail
from relay_shell.evidence.record import GENESIS


def line(seq: int, prev: str = GENESIS, size: int = 0) -> bytes:
    body = f'{{"v":1,"seq":{seq},"ts":"T","detail":"{"x" * size}","prev":"{prev}"}}'
    return seal(prev, body.encode())[0]


def test_segments_are_ordered_by_number_not_by_name(tmp_path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(line(50))
    (tmp_path / "audit.jsonl.1").write_bytes(line(40))
    (tmp_path / "audit.jsonl-20260101").write_bytes(b"torn\n" + line(30))
    (tmp_path / "audit.jsonl-1767225600.gz").write_bytes(gzip.compress(line(20)))
    (tmp_path / "audit.jsonl.2.xz").write_bytes(lzma.compress(line(10)))
    (tmp_path / "audit.jsonl.3.bz2").write_bytes(bz2.compress(line(5)))
    for other in ("audit.jsonl.lock", "audit.jsonl~", "audit.jsonl.1.tmp", "xaudit.jsonl.1"):
        (tmp_path / other).write_bytes(line(1))
    assert [file.name.removeprefix("audit.jsonl") for file in segments(path)] == [
        ".3.bz2", ".2.xz", "-1767225600.gz", "-20260101", ".1", "",
    ]  # fmt: skip


@given(st.binary(max_size=300), st.integers(1, 40))
def test_backwards_is_forwards_reversed(data: bytes, chunk: int) -> None:
    was, files._CHUNK = files._CHUNK, chunk
    try:
        backwards = list(lines_backwards(io.BytesIO(data)))
    finally:
        files._CHUNK = was
    assert [text for _, text in reversed(backwards)] == list(lines(io.BytesIO(data)))
    for offset, text in backwards:
        assert data[offset : offset + len(text)] == text


def test_a_line_without_end_takes_bounded_memory(monkeypatch) -> None:
    monkeypatch.setattr(files, "MAX_LINE", 1000)
    data = b"a\n" + b"x" * 500_000 + b"\nb\n"
    assert [len(text) for text in lines(io.BytesIO(data))] == [1, 1001, 1]
    backwards = [text for _, text in lines_backwards(io.BytesIO(data))]
    assert backwards[0] == b"b" and backwards[-1] == b"a"
    assert max(map(len, backwards)) <= 1000 + files._CHUNK


@pytest.mark.parametrize(
    "after",
    [b"", b"x", b"\n", b"x\ny\n", line(3, "0" * 64)[:-1], b"\0" * 200_000, b"{}\n" * 90_000],
)
def test_the_end_of_a_file(after: bytes) -> None:
    good = line(1) + line(2, size=100_000)
    found = tail(io.BytesIO(good + after))
    assert found.link is not None and found.link.seq == 2
    assert found.torn == len(after)
    assert found.sha256 == hashlib.sha256(after).hexdigest()
    assert found.terminated == (not after or after.endswith(b"\n"))


def test_an_edited_last_line_is_no_end() -> None:
    good, bad = line(1), line(2, size=10).replace(b"xx", b"xy", 1)
    found = tail(io.BytesIO(good + bad))
    assert found.link is not None and found.link.seq == 1 and found.torn == len(bad)


def test_a_file_without_records() -> None:
    assert tail(io.BytesIO(b"")) == (None, 0, "", True)
    assert tail(io.BytesIO(b"abc"))[:2] == (None, 3)
