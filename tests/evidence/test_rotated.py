"""Readers whose record is rotated between their list of its files and the opening of the last."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_shell.evidence import files, stream
from relay_shell.evidence.copies import _numbers
from relay_shell.evidence.reader import iter_records
from relay_shell.evidence.select import Span, choose, copy
from relay_shell.evidence.stream import Stream
from relay_shell.evidence.verify import verify_chain
from relay_shell.evidence.writer import Writer


class Trail:
    """A record with its writer; rotated once, when a function is called for the n-th time."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.writer = Writer(path)
        self.rotations = 0
        self._patch = monkeypatch

    def add(self, count: int) -> None:
        for _ in range(count):
            self.writer.append_now({"event": "intent", "call_id": f"k-{self.writer.seq + 1}"})

    def rotate(self) -> None:
        self.rotations += 1
        self.path.rename(self.path.with_name(f"{self.path.name}-{1700000000 + self.rotations}"))
        self.path.touch(0o640)
        self.writer.reopen()

    def rotates_after(self, *places: tuple[Any, str], time: int = 1) -> None:
        calls = 0

        def hooked(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                nonlocal calls
                found = function(*args)
                if args[0] in (self.path, self.path.parent):
                    calls += 1
                    if calls == time:
                        self.rotate()
                return found

            return call

        for module, name in places:
            self._patch.setattr(module, name, hooked(getattr(module, name)))


@pytest.fixture
def trail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trail]:
    trail = Trail(tmp_path / "audit.jsonl", monkeypatch)
    yield trail
    trail.writer.close()


LISTED = (os, "listdir")


@pytest.mark.parametrize("reverse", [False, True])
def test_all_that_was_written_is_read(trail: Trail, reverse: bool) -> None:
    trail.add(5)
    trail.rotates_after(LISTED)
    found = [record["seq"] for record in iter_records(trail.path, reverse=reverse)]
    assert trail.rotations and set(range(1, 6)) <= set(found)


def test_all_that_was_written_is_chosen_and_copied(trail: Trail) -> None:
    trail.add(5)
    trail.rotates_after(LISTED)
    assert choose(trail.path, {"event": "intent"}, "whole").chosen == 5
    trail.rotates_after(LISTED)
    assert [at for at, _ in copy(trail.path, [Span(1, 5)])] == [0] * 5
    assert trail.rotations == 2


def test_all_that_was_written_is_compared(trail: Trail) -> None:
    trail.add(5)
    trail.rotates_after(LISTED)
    assert set(range(1, 6)) <= {seq for seq, _ in _numbers(trail.path, True)}
    assert trail.rotations


def test_all_that_was_written_is_verified(trail: Trail) -> None:
    trail.add(5)
    # The first list is of what is there before.
    trail.rotates_after(LISTED, time=2)
    report = verify_chain(trail.path)
    assert trail.rotations and report.whole
    assert (report.first, report.records) == (1, trail.writer.seq)


def test_all_that_is_written_is_exported(trail: Trail) -> None:
    trail.add(3)
    trail.rotates_after(LISTED)
    read = Stream(trail.path)
    found = _drained(read)
    trail.rotate()
    trail.add(2)
    trail.rotates_after(LISTED)
    found += _drained(read)
    trail.add(2)
    found += _drained(read)
    assert trail.rotations == 3
    assert found == list(range(1, trail.writer.seq + 1))
    read.close()


def test_a_file_that_was_renamed_as_it_was_opened_is_left_at_its_end(trail: Trail) -> None:
    trail.add(3)
    trail.rotates_after((files, "open_file"), (stream, "open_file"))
    read = Stream(trail.path)
    trail.add(2)
    assert trail.rotations and _drained(read) == list(range(1, trail.writer.seq + 1))
    read.close()


def test_one_that_is_replaced_again_and_again_is_given_up(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LISTINGS", 3)
    trail.add(1)
    for time in range(1, 4):
        trail.rotates_after(LISTED, time=time)
    with pytest.raises(OSError, match="again and again"):
        list(iter_records(trail.path))


def _drained(read: Stream) -> list[int | str]:
    found: list[int | str] = []
    while items := read.read(2):
        found += [item.record["seq"] if item.line else item.record["what"] for item in items]
    return found
