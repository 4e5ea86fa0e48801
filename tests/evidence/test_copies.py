"""A record beside a copy of it: what was rewritten, cut, added or chained anew shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay_shell.evidence.copies import Copy, CopyFault, compare, read
from relay_shell.evidence.writer import Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    write(path, 10)
    return path


def write(path: Path, count: int) -> None:
    writer = Writer(path)
    for n in range(count):
        writer.append_now({"event": "intent", "call_id": f"k-{n}", "tier": 3})
    writer.close()


def copy_of(path: Path, first: int = 1, last: int = 99) -> Copy:
    records = map(json.loads, path.read_bytes().splitlines())
    return Copy({r["seq"]: r["chain"] for r in records if first <= r["seq"] <= last}, [], "")


def found(path: Path, copy: Copy, **options: bool) -> list[tuple[str, str]]:
    return [(f.kind, f.detail) for f in compare(path, lambda: copy, **options)]


def test_the_same(path) -> None:
    assert found(path, copy_of(path), complete=True) == []


def test_a_copy_that_begins_later(path) -> None:
    assert found(path, copy_of(path, 4), complete=True) == []


def test_records_on_their_way(path) -> None:
    assert found(path, copy_of(path, 1, 8)) == [("pending", "record 9 to 10")]
    assert found(path, copy_of(path, 1, 8), complete=True) == [("absent", "record 9 to 10")]


def test_a_rewritten_record(path, rechain) -> None:
    copy = copy_of(path)
    rechain(path, {4: {"tier": 0}})
    assert found(path, copy) == [("differs", "record 4 to 10")]


def test_a_cut_end(path) -> None:
    copy = copy_of(path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:7]))
    assert found(path, copy) == [("removed", "record 8 to 10")]
    write(path, 2)
    assert [kind for kind, _ in found(path, copy)] == ["differs", "removed"]


def test_records_that_never_reached_the_copy(path) -> None:
    copy = copy_of(path)
    for number in (3, 4, 6):
        del copy.chains[number]
    assert found(path, copy) == [("absent", "record 3 to 4, 6")]


def test_a_copy_of_two_records_with_one_number(path) -> None:
    copy = copy_of(path)._replace(forked=[5])
    assert found(path, copy) == [("forked", "record 5")]


def test_a_segment(path) -> None:
    copy = copy_of(path)
    segment = path.with_name("segment")
    lines = path.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[3:6]))
    assert found(segment, copy, rotated=False) == []
    segment.write_bytes(lines[3] + lines[5])
    assert found(segment, copy, rotated=False) == [("removed", "record 5")]


def test_a_copy_of_nothing_proves_nothing(path, tmp_path) -> None:
    assert found(path, Copy({}, [], ""))[0][0] == "copy"
    with pytest.raises(CopyFault, match="no directory"):
        read(str(tmp_path / "none"))
    assert compare(path, lambda: read(str(tmp_path / "none")))[0].kind == "copy"
