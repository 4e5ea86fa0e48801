"""Executions become batches: one a call where it can be, bounded, and complete in its counts."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relay_shell.observer import collect, layout
from relay_shell.observer.collect import CHUNK, HOLD, REFILL, Collector
from relay_shell.observer.kernel import Counts

UNIT = "relay-shell-worker@1.service"


class Tables:
    """The kernel's tables, as far as a collector looks at them."""

    def __init__(self) -> None:
        self.counts: dict[int, Counts] = {}
        self.allowed: dict[int, int] = {}

    def group(self, group: int) -> Counts | None:
        return self.counts.get(group)

    def allow(self, group: int, count: int) -> None:
        self.allowed[group] = count

    def forget(self, group: int) -> None:
        self.counts.pop(group, None)


class Desk:
    """A collector, and what it delivers."""

    def __init__(self, root: Path, most: int = 256) -> None:
        self.tables = Tables()
        self.batches: list[dict[str, Any]] = []
        self.collector = Collector(self.tables, str(root), most, self.batches.append)
        self.now = time.monotonic()

    def executed(self, group: int, *argv: str, name: str = "call-k-1", **more: int) -> None:
        old = self.tables.counts.get(group) or Counts(1, 1, 0, 0, UNIT, name)
        self.tables.counts[group] = old._replace(execs=old.execs + 1)
        self.collector.take(record(group, argv, number=old.execs, **more))

    def end(self, group: int) -> None:
        self.collector.take(layout.EVENT.pack(layout.END, 0, 1, group))


def record(group: int, argv: tuple[str, ...], *, number: int = 0, **more: int) -> bytes:
    words = b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in argv)
    kept = words[: layout.ARGS]
    path = b"/bin/" + argv[0].encode()[:40] + b"\0"
    facts = {"flags": 0, "uid": 7, "euid": 7, "total": len(words)} | more
    return (
        layout.EXECUTION.pack(
            layout.EXEC,
            facts["flags"],
            time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            group,
            100,
            99,
            facts["uid"],
            facts["euid"],
            facts["total"],
            len(kept),
            len(path),
            number,
        )
        + path.ljust(layout.PATH, b"\0")
        + kept
    )


def test_a_call_that_ends_is_one_batch(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.executed(1, "sh", "-c", "ls")
    desk.executed(1, "ls", "", "é", "\udcff")
    assert desk.batches == []
    desk.end(1)
    (batch,) = desk.batches
    assert (batch["unit"], batch["group"], batch["ended"]) == (UNIT, "call-k-1", True)
    assert [row["argv"] for row in batch["execs"]] == [["sh", "-c", "ls"], ["ls", "", "é", "\\xff"]]
    at = datetime.fromisoformat(batch["execs"][0]["at"])
    assert abs(at - datetime.now(UTC)) < timedelta(hours=1)
    assert "euid" not in batch["execs"][0]
    desk.end(1)
    assert len(desk.batches) == 1


def test_a_long_call_is_told_in_chunks(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for n in range(CHUNK + 1):
        desk.executed(1, "true", str(n))
    desk.end(1)
    assert [len(batch["execs"]) for batch in desk.batches] == [CHUNK, 1]
    assert [batch["recorded"] for batch in desk.batches] == [CHUNK, CHUNK + 1]
    assert [batch["ended"] for batch in desk.batches] == [False, True]


def test_large_arguments_make_chunks_too(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for _ in range(40):
        desk.executed(1, "x" * 4000)
    desk.end(1)
    assert len(desk.batches) == 3
    sizes = [sum(len(row["argv"][0]) for row in batch["execs"]) for batch in desk.batches]
    assert max(sizes) <= collect.CHUNK_BYTES + layout.ARGS


def test_what_found_no_room_is_accounted_for_at_the_end(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.executed(1, "true")
    desk.tables.counts[1] = desk.tables.counts[1]._replace(execs=500, lost=3, processes=480)
    desk.end(1)
    batch = desk.batches[-1]
    assert (batch["total"], batch["recorded"], batch["lost"]) == (500, 1, 3)
    assert batch["processes"] == 480


def test_a_call_that_goes_on_is_told_of_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    desk.executed(1, "sleep", "99")
    desk.collector.tick()
    assert desk.batches == []
    monkeypatch.setattr(collect.time, "monotonic", lambda: desk.now + HOLD + 1)
    desk.collector.tick()
    assert [batch["ended"] for batch in desk.batches] == [False]


def test_a_session_may_execute_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, most=10)
    desk.executed(1, "bash", name="session-s1.w")
    desk.executed(2, "bash", name="call-k-2")
    desk.tables.counts[1] = desk.tables.counts[1]._replace(execs=50)
    desk.tables.counts[2] = desk.tables.counts[2]._replace(execs=50)
    desk.collector.tick()
    assert desk.tables.allowed == {}
    monkeypatch.setattr(collect.time, "monotonic", lambda: desk.now + REFILL + 1)
    desk.collector.tick()
    assert desk.tables.allowed == {1: 60}


def test_an_end_without_notice_is_found(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / UNIT / "call-k-1").mkdir(parents=True)
    desk.executed(1, "true")
    desk.collector.sweep(older=0)
    assert desk.batches == []
    (tmp_path / UNIT / "call-k-1").rmdir()
    desk.collector.sweep(older=0)
    assert desk.batches[-1]["ended"]
    assert len(desk.collector) == 0


def test_flags_and_other_identities_are_said(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    flags = layout.MOVED | layout.UNREADABLE
    desk.executed(1, "su", euid=0, flags=flags, total=9999)
    desk.end(1)
    (row,) = desk.batches[0]["execs"]
    assert (row["uid"], row["euid"], row["cut"]) == (7, 0, 9999)
    assert row["moved"] and row["unreadable"]


def test_an_end_of_an_unknown_group_is_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.end(77)
    assert desk.batches == []
