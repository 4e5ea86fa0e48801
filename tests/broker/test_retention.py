"""Recordings that are too old go, and the record says so."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from broker.office import office_in
from broker.recorded import eventually
from relay_shell.broker import retention


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
