"""Reading on from a place: over rotations, restarts of the reader, and what forgers leave."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_shell.evidence.stream import Item, Place, Stream
from relay_shell.evidence.writer import Writer


class Trail:
    """A record with its writer, and rotations as the broker's rotation makes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = Writer(path)
        self._rotated = 0

    def add(self, count: int = 1) -> None:
        for _ in range(count):
            self.writer.append_now({"event": "intent", "call_id": f"k-{self.writer.seq + 1}"})

    def rotate(self, *, switch: bool = True) -> Path:
        self._rotated += 1
        old = self.path.with_name(f"{self.path.name}-{1700000000 + self._rotated}")
        self.path.rename(old)
        self.path.touch(0o640)
        if switch:
            self.writer.reopen()
        return old

    def calls(self) -> int:
        return self.writer.seq


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    trail = Trail(tmp_path / "audit.jsonl")
    yield trail
    trail.writer.close()


def drain(stream: Stream) -> list[Item]:
    found: list[Item] = []
    while items := stream.read(3):
        found += items
    return found


def seqs(items: list[Item]) -> list[int | str]:
    return [item.record["seq"] if item.line else item.record["what"] for item in items]


def test_from_the_first_file_on(trail: Trail) -> None:
    trail.add(4)
    trail.rotate()
    trail.add(4)
    stream = Stream(trail.path)
    assert seqs(drain(stream)) == list(range(1, trail.writer.seq + 1))
    assert stream.read() == []
    trail.add()
    (item,) = stream.read()
    assert item.record["seq"] == trail.writer.seq
    assert json.loads(item.line) == item.record


def test_no_record_yet(tmp_path: Path) -> None:
    stream = Stream(tmp_path / "audit.jsonl")
    assert stream.read() == [] and stream.place is None
    trail = Trail(tmp_path / "audit.jsonl")
    trail.add()
    assert seqs(stream.read()) == [1]
    trail.writer.close()


def test_the_writer_finishes_in_the_renamed_file(trail: Trail) -> None:
    """A rotation that the writer has not noticed: its records go to the old name until it has."""
    trail.add(2)
    stream = Stream(trail.path)
    assert seqs(drain(stream)) == [1, 2]
    old = trail.path.with_name("audit.jsonl-1700000001")
    trail.path.rename(old)
    fd = old.open("ab")
    trail.path.touch()
    assert stream.read() == []
    fd.close()
    trail.add(2)
    trail.rotate()
    trail.add(1)
    found = seqs(drain(stream))
    assert found == list(range(3, trail.writer.seq + 1))


@pytest.mark.parametrize("seed", range(12))
def test_restarts_lose_and_repeat_nothing(trail: Trail, seed: int) -> None:
    """Reader and writer at random, with rotations, compression and restarts between."""
    chance = random.Random(seed)
    stream, found = Stream(trail.path), []
    for _ in range(60):
        step = chance.choice(["add", "add", "add", "read", "read", "restart", "rotate", "pack"])
        if step == "add":
            trail.add(chance.randint(1, 4))
        elif step == "read":
            found += stream.read(chance.randint(1, 5))
        elif step == "rotate" and trail.path.stat().st_size:
            trail.rotate()
        elif step == "pack":
            for plain in trail.path.parent.glob("audit.jsonl-??????????"):
                plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
                plain.unlink()
        elif step == "restart":
            kept = Place.from_json(stream.place.to_json()) if stream.place else None
            stream.close()
            stream = Stream(trail.path, kept)
    found += drain(stream)
    assert seqs(found) == list(range(1, trail.writer.seq + 1))


def test_unsaved_batches_come_again(trail: Trail) -> None:
    """What was read after the place that was kept is delivered again: that, and no more."""
    trail.add(10)
    stream = Stream(trail.path)
    stream.read(4)
    kept = stream.place
    stream.read(4)
    assert seqs(drain(Stream(trail.path, kept))) == list(range(5, 11))


def test_a_place_that_is_gone(trail: Trail) -> None:
    trail.add(3)
    stream = Stream(trail.path)
    drain(stream)
    old = trail.rotate()
    trail.add(3)
    place = stream.place
    assert place is not None
    last = trail.writer.seq
    old.unlink()
    assert seqs(drain(Stream(trail.path, place))) == list(range(4, last + 1))
    early = place._replace(seq=1, chain="ab" * 32)
    assert seqs(drain(Stream(trail.path, early))) == ["gap", *range(4, last + 1)]
    other = place._replace(chain="ab" * 32)
    assert seqs(drain(Stream(trail.path, other))) == ["relinked", *range(4, last + 1)]


def test_forgeries_are_named_and_stop_nothing(trail: Trail) -> None:
    trail.add(2)
    with trail.path.open("ab") as file:
        file.write(b"garbage\n")
        file.write(b'{"v":1,"seq":3,"event":"intent","prev":"0","chain":"1"}\n')
    found = drain(stream := Stream(trail.path))
    assert seqs(found) == [1, 2, "foreign", "edited", "relinked", 3]
    trail.add(1)
    after = drain(stream)
    assert "order" in seqs(after) or "relinked" in seqs(after)
    assert after[-1].record["seq"] == trail.writer.seq


def test_a_gap_has_its_numbers(trail: Trail) -> None:
    trail.add(5)
    lines = trail.path.read_bytes().splitlines(keepends=True)
    trail.path.write_bytes(b"".join([*lines[:2], *lines[4:]]))
    found = drain(Stream(trail.path))
    assert seqs(found) == [1, 2, "gap", 5]
    assert found[2].record["detail"] == "records 3 to 4 are not here"


def test_a_damaged_file_is_passed_over(trail: Trail) -> None:
    trail.add(200)
    old = trail.rotate()
    trail.add(2)
    packed = gzip.compress(old.read_bytes())
    old.with_name(old.name + ".gz").write_bytes(packed[: len(packed) // 2])
    old.unlink()
    found = seqs(drain(Stream(trail.path)))
    assert "unreadable" in found and "gap" in found
    assert found[-1] == trail.writer.seq


def test_a_line_without_end_waits(trail: Trail) -> None:
    trail.add(1)
    stream = Stream(trail.path)
    drain(stream)
    with trail.path.open("ab") as file:
        file.write(b'{"v":1,"seq":2')
    assert stream.read() == []
    trail.writer.close()
    trail.writer = Writer(trail.path)
    trail.add(1)
    found = drain(stream)
    assert found[0].record["event"] == "torn"
    assert all(item.line for item in found)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seq":1}', '{"seq":true,"chain":1}', "null"])
def test_no_place(text: str) -> None:
    with pytest.raises(ValueError):
        Place.from_json(text)
