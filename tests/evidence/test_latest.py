"""What is read backwards from a time on, where the clock was set."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import relay_shell.evidence.reader as reader
import relay_shell.evidence.writer as writer_module
from relay_shell.evidence.latest import Latest
from relay_shell.evidence.reader import iter_records, timestamp
from relay_shell.evidence.signing import Signer, generate
from relay_shell.evidence.verify import verify_chain
from relay_shell.evidence.writer import Writer

NOON = 1_800_000_000
"""Seconds since the epoch at which the clock of these tests is right."""

HOUR = 3600


class Clock:
    """The clock of the writer; the host's cannot be set for a test."""

    def __init__(self) -> None:
        self.at = float(NOON)

    def now(self) -> str:
        self.at += 0.001
        return timestamp(self.at)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(writer_module, "now", clock.now)
    return clock


@pytest.fixture(scope="module")
def signer() -> Signer:
    pem = generate()
    return Signer(lambda: pem)


def rotate(path: Path, number: int) -> Path:
    rotated = path.with_name(f"{path.name}-{number}")
    path.rename(rotated)
    path.touch(0o640)
    return rotated


def backwards(path: Path, since: float, **more: Any) -> list[int]:
    found = iter_records(path, filters={"since": since, **more}, reverse=True)
    return [record["seq"] for record in found]


def expected(path: Path, since: float) -> list[int]:
    return [r["seq"] for r in iter_records(path) if r["ts"] >= timestamp(since)][::-1]


def heads(path: Path) -> Iterator[dict[str, Any]]:
    return (r["facts"] for r in iter_records(path, filters={"event": "rotate"}) if "facts" in r)


@pytest.mark.parametrize("away", [-30 * 365 * 24 * HOUR, -2 * HOUR, 2 * HOUR])
def test_a_clock_that_was_wrong_for_a_while_hides_nothing(tmp_path, clock, facts, away) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    writer.append_now(facts("k-1"))
    clock.at += away
    writer.append_now(facts("k-2"))
    clock.at += HOUR / 2 - away
    writer.append_now(facts("k-3"))
    writer.close()
    assert backwards(path, NOON) == ([3, 2, 1] if away > 0 else [3, 1])
    assert backwards(path, NOON, principal="unix:alice", call_id="k-1") == [1]
    assert backwards(path, NOON + HOUR) == ([2] if away > 0 else [])


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_clock_does(tmp_path, clock, signer, facts, seed) -> None:
    chance = random.Random(seed)
    path = tmp_path / "audit.jsonl"

    def begin() -> Writer:
        return Writer(path, signer=chance.choice((signer, signer, None)), every=5)

    writer = begin()
    for step in range(90):
        clock.at += chance.choice((1, 1, 1, 60, -60, 3 * HOUR, -3 * HOUR))
        writer.append_now(facts(f"k-{step}", reason="x" * chance.choice((0, 300))))
        if not chance.randrange(12):
            rotated = rotate(path, step)
            if chance.randrange(3):
                writer.append_now(facts("k-after"))
            else:
                # One that is stopped meanwhile says nothing of the file before.
                writer.close()
                writer = begin()
            if not chance.randrange(3):
                rotated.with_name(f"{rotated.name}.gz").write_bytes(
                    gzip.compress(rotated.read_bytes())
                )
                rotated.unlink()
            elif not chance.randrange(4):
                rotated.unlink()
        elif not chance.randrange(15):
            writer.close()
            writer = begin()
    writer.close()
    for record in list(iter_records(path))[::3]:
        since = record["ts"]
        assert backwards(path, since) == expected(path, since)


def test_what_is_earlier_is_not_read(tmp_path, clock, signer, facts, monkeypatch) -> None:
    path = tmp_path / "audit.jsonl"
    read: list[str] = []
    monkeypatch.setattr(reader, "seekable", watch(reader.seekable, read))
    writer = Writer(path, signer=signer, every=10)
    for part in range(3):
        for n in range(40):
            writer.append_now(facts(f"k-{part}{n}"))
        if part < 2:
            rotate(path, part)
            clock.at += 24 * HOUR
    since = clock.at - 0.010
    writer.close()
    counted = count_lines(monkeypatch)
    assert backwards(path, since) == expected(path, since) != []
    assert read == [path.name]
    # The records wanted, and on to the checkpoint before the last ten.
    assert 10 <= len(counted) <= 25


def test_a_writer_that_begins_knows_it_from_the_one_before(tmp_path, clock, signer, facts) -> None:
    path = tmp_path / "audit.jsonl"
    for _ in range(2):
        clock.at += HOUR
        writer = Writer(path, signer=signer)
        writer.append_now(facts())
        writer.close()
        clock.at -= 3 * HOUR
    late = timestamp(NOON + HOUR)
    seals = list(iter_records(path, filters={"event": "checkpoint"}))
    assert [seal["facts"]["latest"] > late for seal in seals] == [True, True]
    writer = Writer(path, signer=signer)
    writer.append_now(facts())
    rotate(path, 1)
    writer.append_now(facts())
    writer.close()
    (head,) = heads(path)
    assert head["from"] == 1 and head["latest"] == seals[-1]["facts"]["latest"]
    assert verify_chain(path).records == 10


def test_what_is_not_known_is_not_said(tmp_path, clock, signer, facts, monkeypatch) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    for n in range(40):
        writer.append_now(facts(f"k-{n}"))
    writer.close()
    monkeypatch.setattr("relay_shell.evidence.latest.REACH", 4096)
    writer = Writer(path, signer=signer)
    writer.append_now(facts())
    writer.checkpoint("operator")
    rotate(path, 1)
    writer.append_now(facts())
    writer.close()
    first, *others = iter_records(path, filters={"event": "checkpoint"})
    assert "latest" not in first["facts"] and "latest" in others[-1]["facts"]
    assert list(heads(path)) == []


def test_a_missing_file_is_not_taken_for_the_one_before(tmp_path, clock, facts) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    writer.append_now(facts("k-late"))
    clock.at -= HOUR
    rotate(path, 1)
    writer.append_now(facts())
    gone = rotate(path, 2)
    writer.append_now(facts())
    writer.close()
    gone.unlink()
    assert backwards(path, NOON) == [1]


def test_an_edited_checkpoint_is_not_believed(tmp_path, clock, signer, facts) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path, signer=signer)
    writer.append_now(facts())
    clock.at -= HOUR
    writer.checkpoint("operator")
    writer.close()
    late = next(iter_records(path))["ts"]
    path.write_bytes(path.read_bytes().replace(b'"latest":"2027', b'"latest":"2001'))
    assert backwards(path, late) == [1]


def test_an_empty_file_says_nothing() -> None:
    assert Latest().facts() == {}
    assert Latest().renew(7, empty=True) == {}


def watch(seekable: Callable[..., Any], read: list[str]) -> Callable[..., Any]:
    def seen(path: Path, *held: Any) -> Any:
        read.append(path.name)
        return seekable(path, *held)

    return seen


def count_lines(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    counted: list[bytes] = []
    lines_backwards = reader.lines_backwards

    def counting(file: Any) -> Iterator[tuple[int, bytes]]:
        for offset, line in lines_backwards(file):
            counted.append(line)
            yield offset, line

    monkeypatch.setattr(reader, "lines_backwards", counting)
    return counted
