"""Records read back: by filter, forwards, backwards, across files, and as they come."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from relay_shell.evidence.reader import Follower, filterable, iter_records, timestamp
from relay_shell.evidence.writer import Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three files: numbers 1-4 compressed, 5-8 rotated, 9-12 active."""
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    for part in range(3):
        for n in range(3 + (part == 0)):
            call = f"k-{part}{n}"
            principal = "unix:alice" if n % 2 else "unix:bob"
            writer.append_now(
                {"event": "intent", "call_id": call, "principal": principal, "tier": n}
            )
        if part < 2:
            path.rename(path.with_name(f"audit.jsonl-17000000{part}"))
            path.touch(0o640)
            writer.reopen()
    writer.close()
    first = path.with_name("audit.jsonl-170000000")
    first.with_name("audit.jsonl-170000000.gz").write_bytes(gzip.compress(first.read_bytes()))
    first.unlink()
    return path


def seqs(path: Path, **options: object) -> list[int]:
    return [record["seq"] for record in iter_records(path, **options)]  # type: ignore[arg-type]


def test_order(path) -> None:
    assert seqs(path) == list(range(1, 13))
    assert seqs(path, reverse=True) == list(range(12, 0, -1))
    assert seqs(path, rotated=False) == [9, 10, 11, 12]


def test_filters(path) -> None:
    assert seqs(path, filters={"principal": "unix:alice"}) == [2, 4, 7, 11]
    assert seqs(path, filters={"principal": "unix:alice"}, reverse=True) == [11, 7, 4, 2]
    assert seqs(path, filters={"call_id": ["k-00", "k-22"]}) == [1, 12]
    assert seqs(path, filters={"event": "intent", "tier": 3}) == [4]
    assert seqs(path, filters={"tier": True}) == []
    assert seqs(path, filters={"principal": 'unix:alice","tier":0'}) == []
    assert seqs(path, filters={}) == seqs(path)
    for wrong in ({"colour": 1}, {"args": "x"}, {"reasons": "x"}, {"since": "yesterday-ish"}):
        with pytest.raises(ValueError):
            seqs(path, filters=wrong)
    assert "principal" in filterable() and "args" not in filterable()


def test_time(path) -> None:
    records = list(iter_records(path))
    since, until = records[3]["ts"], records[9]["ts"]
    for reverse in (False, True):
        found = seqs(path, filters={"since": since, "until": until}, reverse=reverse)
        assert sorted(found) == list(range(4, 11))
    assert seqs(path, filters={"since": 4e9}) == []
    assert len(seqs(path, filters={"since": "2020-01-01"})) == 12


def test_backwards_ends_where_time_does(path, monkeypatch) -> None:
    import relay_shell.evidence.reader as reader

    opened = []
    seekable = reader.seekable
    monkeypatch.setattr(
        reader, "seekable", lambda file, held: opened.append(file) or seekable(file, held)
    )
    assert seqs(path, filters={"since": 4e9}, reverse=True) == []
    assert seqs(path, filters={"since": 4e9, "tier": 77}, reverse=True) == []
    assert opened == [path, path]


def test_moments() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"
    assert timestamp("2026-01-02T03:04:05.678901+02:00") == "2026-01-02T01:04:05.678901Z"
    for wrong in (True, None, "x", 1e40, [], "2026-13-01"):
        with pytest.raises(ValueError):
            timestamp(wrong)


def test_what_is_no_record_is_passed_over(path) -> None:
    with path.open("ab") as file:
        file.write(b'null\n[]\n{"seq"\n\xff\n{}\n' + b"[" * 100_000 + b"\n")
    assert seqs(path) == list(range(1, 13))
    assert seqs(path, reverse=True) == list(range(12, 0, -1))


def test_a_damaged_compressed_file_is_named(path) -> None:
    damaged = path.with_name("audit.jsonl-170000000.gz")
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(OSError, match="damaged compressed file"):
        seqs(path)


def test_no_record_at_all(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        iter_records(tmp_path / "audit.jsonl")


def test_following_over_a_rotation(path) -> None:
    follower = Follower(path, filters={"event": "intent"})
    assert follower.poll() == []
    writer = Writer(path)
    writer.append_now({"event": "intent", "call_id": "k-1"})
    writer.append_now({"event": "outcome", "call_id": "k-1"})
    assert [record["call_id"] for record in follower.poll()] == ["k-1"]
    writer.append_now({"event": "intent", "call_id": "k-2"})
    path.rename(path.with_suffix(".jsonl.9"))
    assert [record["call_id"] for record in follower.poll()] == ["k-2"]
    writer.append_now({"event": "intent", "call_id": "k-3"})
    path.touch(0o640)
    writer.append_now({"event": "intent", "call_id": "k-4"})
    assert [record["call_id"] for record in follower.poll()] == ["k-3", "k-4"]
    follower.close()
    writer.close()


def test_following_gives_no_half_record(tmp_path) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    writer.append_now({"event": "start"})
    writer.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:30])
    follower = Follower(path, position=0)
    assert follower.poll() == []
    path.write_bytes(whole)
    assert [record["event"] for record in follower.poll()] == ["start"]
    follower.close()
