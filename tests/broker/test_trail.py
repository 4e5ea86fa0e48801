"""What happened while nothing could be written is written later, bounded and counted."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from broker.office import records_of, until
from relay_shell.broker import trail as module
from relay_shell.broker.trail import Trail
from relay_shell.evidence.errors import EvidenceError
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
    assert [row.get("detail") or row["call_id"] for row in rows] == ["later", "0", "1", "2"]
    assert "error" not in rows[1]


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
