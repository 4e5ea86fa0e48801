"""What happened while nothing could be written is written later, bounded and counted."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from broker.office import records_of, until
from relay_shell.broker import trail as module
from relay_shell.broker.trail import Trail
from relay_shell.evidence.errors import EvidenceError
from relay_shell.evidence.journal import encode
from relay_shell.evidence.verify import verify_chain
from relay_shell.evidence.writer import Writer


class Broken:
    """The writer's file becomes /dev/full until the end of the block."""

    def __init__(self, writer: Writer) -> None:
        assert writer._file is not None
        self._fd = writer._file.fd

    def __enter__(self) -> None:
        self._kept = os.dup(self._fd)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, self._fd)
        os.close(full)

    def __exit__(self, *_: object) -> None:
        os.dup2(self._kept, self._fd)
        os.close(self._kept)


def test_what_happened_meanwhile_is_written_in_order(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    async def tell() -> None:
        writer = Writer(path, on_state=lambda trouble: trouble or trail.recovered())
        trail = Trail(writer)
        with Broken(writer):
            with pytest.raises(EvidenceError):
                await trail.commit(event="intent", call_id="never")
            for n in range(3):
                trail.note(event="disconnect", detail=str(n), error=None)
            assert len(trail) == 3
        await trail.commit(event="intent", call_id="later")
        await until(lambda: len(trail) == 0)
        writer.close()

    asyncio.run(tell())
    rows = [row for row in records_of(path) if row["event"] in ("intent", "disconnect")]
    assert [row.get("detail") or row["call_id"] for row in rows] == ["0", "1", "2", "later"]
    assert "error" not in rows[0] and "at" in rows[0] and "at" not in rows[3]


class Journal:
    """What the journal is given."""

    policy, error = "spool", ""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def send(self, record: dict[str, Any]) -> None:
        self.entries.append(encode(record) and dict(record))

    async def ready(self) -> None:
        pass

    def close(self) -> None:
        pass


def going_on(path: Path, policy: str, room: int) -> tuple[Trail, Journal]:
    journal = Journal()
    writer = Writer(
        path,
        journal=journal,  # type: ignore[arg-type]
        on_state=lambda trouble: trouble or trail.recovered(),
    )
    trail = Trail(writer, {"evidence.disk": policy, "evidence.spool_bytes": room})
    return trail, journal


def test_calls_go_on_while_their_records_fit_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    async def tell() -> None:
        trail, journal = going_on(path, "spool", 600)
        with Broken(trail.writer):
            seqs = []
            with pytest.raises(EvidenceError) as caught:
                for n in range(50):
                    record = await trail.commit(event="intent", call_id=f"k-{n}", tier=1)
                    seqs.append(record["seq"])
                    trail.note(event="outcome", call_id=f"k-{n}", status="ok")
            assert caught.value.cause == "no_space"
            assert 3 < len(seqs) < 30 and set(seqs) == {0}
            status = trail.status()
            assert status["policy"] == "spool" and status["lost"] == 0
            assert 0 < status["waiting_bytes"] <= 600
            # The journal has them at once, without a number that the record would give again.
            asides = [entry for entry in journal.entries if entry["event"] == "intent"]
            assert [entry["call_id"] for entry in asides] == [f"k-{n}" for n in range(len(seqs))]
            assert not any("seq" in entry or "chain" in entry for entry in asides)
        await trail.commit(event="intent", call_id="later")
        assert trail.status() == {"policy": "", "waiting": 0, "waiting_bytes": 0, "lost": 0}
        trail.writer.close()
        calls = [row["call_id"] for row in records_of(path) if row["event"] == "intent"]
        assert calls == [*(f"k-{n}" for n in range(len(seqs))), "later"]

    asyncio.run(tell())
    report = verify_chain(path)
    assert report.whole and not report.findings
    rows = records_of(path)
    assert [row["event"] for row in rows][:3] == ["recovered", "intent", "outcome"]
    assert all(row["at"] < row["ts"] for row in rows if row.get("call_id", "later") != "later")


def test_calls_go_on_and_the_record_says_how_many_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    async def tell() -> None:
        trail, journal = going_on(path, "continue-and-mark", 300)
        with Broken(trail.writer):
            for n in range(50):
                await trail.commit(event="intent", call_id=f"k-{n}")
            assert trail.status()["lost"] == 50 - len(trail) > 0
            assert len([entry for entry in journal.entries if entry["event"] == "intent"]) == 50
        lost = trail.lost
        await trail.commit(event="intent", call_id="later")
        trail.writer.close()
        (mark,) = [row for row in records_of(path) if row.get("what") == "records-lost"]
        assert mark["facts"] == {"count": lost}

    asyncio.run(tell())
    assert verify_chain(path).whole


def test_a_policy_is_of_its_cause(tmp_path: Path) -> None:
    """Calls that go on with a full disk do not go on with a file that somebody took away."""

    async def tell() -> None:
        place = tmp_path / "log"
        place.mkdir()
        trail, _ = going_on(place / "audit.jsonl", "continue-and-mark", 10**6)
        await trail.commit(event="intent", call_id="k-1")
        (place / "audit.jsonl").unlink()
        (place / "audit.jsonl").symlink_to("/dev/null")
        with pytest.raises(EvidenceError) as caught:
            await trail.commit(event="intent", call_id="k-2")
        assert caught.value.cause == "untrusted" and trail.policy == "block"
        trail.configure({"evidence.file": "spool", "evidence.spool_bytes": 10**6})
        assert (await trail.commit(event="intent", call_id="k-3"))["seq"] == 0
        (place / "audit.jsonl").unlink()
        await trail.commit(event="intent", call_id="k-4")
        trail.writer.close()
        rows = records_of(place / "audit.jsonl")
        assert [row["event"] for row in rows[:2]] == ["rotate", "recovered"]
        assert rows[0]["error"] == "the file before it was removed"
        assert [row["call_id"] for row in rows if row["event"] == "intent"] == ["k-3", "k-4"]

    asyncio.run(tell())


def test_a_later_note_waits_behind_the_earlier_ones(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    async def tell() -> None:
        writer = Writer(path)
        trail = Trail(writer)
        with Broken(writer):
            trail.note(event="disconnect", detail="first")
        trail.note(event="disconnect", detail="second")
        writer.close()

    asyncio.run(tell())
    rows = [row["detail"] for row in records_of(path) if row["event"] == "disconnect"]
    assert rows == ["first", "second"]


def test_waiting_records_are_bounded_and_the_lost_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKLOG", 10)
    path = tmp_path / "audit.jsonl"

    async def tell() -> None:
        writer = Writer(path)
        trail = Trail(writer)
        with Broken(writer):
            for n in range(25):
                trail.note(event="disconnect", detail=str(n))
        assert (len(trail), trail.lost) == (10, 15)
        trail.flush()
        writer.close()

    asyncio.run(tell())
    (lost,) = [row for row in records_of(path) if row.get("what") == "records-lost"]
    assert lost["facts"] == {"count": 15}


def test_a_defective_record_is_logged_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def tell() -> None:
        writer = Writer(tmp_path / "audit.jsonl")
        trail = Trail(writer)
        with caplog.at_level(logging.ERROR):
            trail.note(event="no such event")
        with pytest.raises(ValueError):
            await trail.commit(event="intent", call_id=7)
        trail.note(event="disconnect")
        writer.close()

    asyncio.run(tell())
    assert "defective" in caplog.text
    assert [row["event"] for row in records_of(tmp_path / "audit.jsonl")] == ["disconnect"]
