"""A record beside a copy of it: what was rewritten, cut, added or chained anew shows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from relay_shell.evidence.copies import Copy, CopyFault, compare, read
from relay_shell.evidence.histories import Entry, Histories
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


def copy_of(path: Path, *but: int, first: int = 1, last: int = 99) -> Copy:
    """What a collector holds that received all of these records but some."""
    there = Histories()
    for record in map(json.loads, path.read_bytes().splitlines()):
        if first <= record["seq"] <= last and record["seq"] not in but:
            there.add(entry_of(record))
    return Copy(there)


def entry_of(record: dict[str, Any], host: str = "web1", boot: str = "b1") -> Entry:
    chain, prev = (bytes.fromhex(record[name]) for name in ("chain", "prev"))
    return Entry(record["seq"], chain, prev, host, boot, record["ts"])


def found(path: Path, copy: Copy, **options: bool) -> list[tuple[str, str]]:
    return [(f.kind, f.detail) for f in compare(path, lambda here: copy, **options)]


def test_the_same(path) -> None:
    assert found(path, copy_of(path), complete=True) == []


def test_a_copy_that_begins_later(path) -> None:
    assert found(path, copy_of(path, first=4), complete=True) == []


def test_records_on_their_way(path) -> None:
    assert found(path, copy_of(path, last=8)) == [("pending", "record 9 to 10")]
    assert found(path, copy_of(path, last=8), complete=True) == [("absent", "record 9 to 10")]


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
    copy = copy_of(path, 3, 4, 6)
    assert found(path, copy) == [("absent", "record 3 to 4, 6")]


def test_a_segment(path) -> None:
    copy = copy_of(path)
    segment = path.with_name("segment")
    lines = path.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[3:6]))
    assert found(segment, copy, rotated=False) == []
    segment.write_bytes(lines[3] + lines[5])
    assert found(segment, copy, rotated=False) == [("removed", "record 5")]


def test_a_copy_of_nothing_proves_nothing(path, tmp_path) -> None:
    assert found(path, Copy(Histories()))[0][0] == "copy"
    with pytest.raises(CopyFault, match="no directory"):
        read(str(tmp_path / "none"), "", {})
    none = compare(path, lambda here: read(str(tmp_path / "none"), "", here))
    assert [finding.kind for finding in none] == ["copy"]


def test_a_damaged_segment_cannot_be_compared(path) -> None:
    copy = copy_of(path)
    content = gzip.compress(path.read_bytes())
    path.with_name("audit.jsonl.1.gz").write_bytes(content[:-20])
    path.write_bytes(b"")
    assert [kind for kind, _ in found(path, copy)] == ["unreadable"]
