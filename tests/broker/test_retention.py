"""Recordings that are too old go, and the record says so."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from broker.office import office_in
from broker.recorded import eventually, recorded, told
from relay_shell.broker import retention
from relay_shell.broker.recording import Recording
from relay_shell.broker.recording_desk import RecordingDesk
from relay_shell.shell import recorder
from relay_shell.wire.errors import RelayError


def test_open_recordings_have_a_bound_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AGAIN", 0.0)
    monkeypatch.setattr(recorder, "GIVE_UP", 0.0)
    changes = {
        "recording__mode": "output",
        "recording__total_bytes": 1024 * 1024,
        "recording__free_bytes": 0,
    }

    async def run() -> None:
        async with (
            asyncio.timeout(120),
            office_in(tmp_path, **changes) as office,
            recorded(office) as worker,
        ):
            worker.settings["recording.wait"] = 0
            first = await worker.spawn("/bin/bash", "-c", "seq 600000; echo all; read x")
            await worker.saw(first, "all")
            await eventually(office, "recording-failed")
            with pytest.raises(RelayError, match=r"recording\.total_bytes"):
                await worker.spawn("true")
            (path,) = tmp_path.glob("recordings/*/*.cast")
            assert path.stat().st_size < 2 * 1024 * 1024
            await worker.sessions.end(first, "killed")
            # Once it has ended it is the one that makes room.
            (record,) = await eventually(office)
            assert record["facts"]["missing"] and record["facts"]["dropped"]
            last = await worker.spawn("echo", "done")
            await eventually(office, "recording", 2)
            assert not path.exists() and last.handle in str(list(tmp_path.glob("recordings/*/*")))

    asyncio.run(run())


def test_a_recording_that_is_being_made_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = RecordingDesk._create

    def crowded(self: RecordingDesk, recording: Recording, header: bytes) -> None:
        create(self, recording, header)
        # What another session wrote just now has the thread look for room.
        self._retention._make_room()

    monkeypatch.setattr(RecordingDesk, "_create", crowded)

    async def run() -> None:
        async with (
            asyncio.timeout(120),
            office_in(tmp_path, recording__mode="output", recording__total_bytes=1) as office,
            recorded(office) as worker,
        ):
            await worker.spawn("cat")
            (started,) = await eventually(office, "recording-start")
            assert Path(started["facts"]["recording"]["path"]).exists()
            assert not told(office, "recording-removed")

    asyncio.run(run())


def test_retention_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "FIRST", 0.05)
    month = tmp_path / "recordings/2020-01"
    month.mkdir(parents=True)
    old = month / "20200101T000000Z_alice_s1.abcdefgh.cast"
    old.write_text("{}\n")
    os.utime(old, (1, 1))
    other = month / "notes.txt"
    other.write_text("not ours")

    async def run() -> None:
        async with office_in(tmp_path) as office:
            (record,) = await eventually(office, "recording-removed")
            assert record["facts"]["removed"] == {"path": str(old), "bytes": 3}
            assert "recording.days" in record["facts"]["reason"]
            assert record["detail"] == "s1.abcdefgh"

    asyncio.run(run())
    assert not old.exists() and other.exists()
