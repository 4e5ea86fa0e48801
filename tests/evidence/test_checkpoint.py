"""Checkpoints: after so many records, in time, at rotation and at the end; and heartbeats."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from relay_shell.evidence.pulse import Pulse
from relay_shell.evidence.signing import Keys, Signer, generate
from relay_shell.evidence.verify import verify_chain
from relay_shell.evidence.writer import Writer


@pytest.fixture(scope="module")
def signer() -> Signer:
    pem = generate()
    return Signer(lambda: pem)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def events(path: Path) -> list[str]:
    return [record.get("what") or record["event"] for record in read(path)]


def test_after_so_many_records_and_at_the_end(tmp_path, signer, facts) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path, signer=signer, every=3)
    for n in range(4):
        writer.append_now(facts(f"k-{n}"))
    writer.close()
    assert events(path) == ["intent"] * 3 + ["records", "intent", "stop"]
    keys = Keys([signer.public_pem()])
    for before, record in zip(read(path), read(path)[1:], strict=False):
        if record["event"] == "checkpoint":
            assert keys.holds(record["facts"])
            assert record["facts"]["chain"] == before["chain"] == record["prev"]
            assert record["facts"]["seq"] == before["seq"]
    assert [r["facts"]["count"] for r in read(path) if r["event"] == "checkpoint"] == [3, 2]
    assert verify_chain(path).records == 6


def test_nothing_new_needs_no_checkpoint(tmp_path, signer, facts) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path, signer=signer)
    assert not writer.checkpoint("time")
    writer.append_now(facts())
    assert writer.checkpoint("time")
    assert not writer.checkpoint("time")
    status = writer.status()["signing"]
    assert status == {"state": "ok", "sealed": 1, "unsealed": 0, "key": signer.key}
    writer.close()
    assert not Writer(path, signer=signer).checkpoint("start")


def test_a_rotated_file_ends_with_one(tmp_path, signer, facts) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path, signer=signer)
    writer.append_now(facts("k-1"))
    path.rename(tmp_path / "audit.jsonl-1")
    path.touch(0o640)
    writer.append_now(facts("k-2"))
    writer.close()
    assert events(tmp_path / "audit.jsonl-1") == ["intent", "rotate"]
    assert read(tmp_path / "audit.jsonl-1")[-1]["event"] == "checkpoint"
    assert [r["event"] for r in read(path)] == ["rotate", "checkpoint", "intent", "checkpoint"]
    keys = Keys([signer.public_pem()])
    assert verify_chain(path, keys=keys).whole
    assert [f.kind for f in verify_chain(path).findings] == ["unknown-key"]


def test_a_key_that_cannot_be_used_stops_no_record(tmp_path, facts) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path, signer=Signer(lambda: b"no key"), every=1)
    writer.append_now(facts())
    assert "signing key cannot be read" in writer.status()["signing"]["state"]
    writer.close()
    assert events(path) == ["intent"]


def test_the_pulse_seals_in_time_and_gives_a_sign_of_life(tmp_path, signer, facts) -> None:
    path = tmp_path / "audit.jsonl"

    async def scene() -> None:
        writer = Writer(path, signer=signer)
        writer.append_now(facts())
        pulse = Pulse(writer, 0.2, 0.1)
        end = time.monotonic() + 60
        while "heartbeat" not in events(path) or "time" not in events(path):
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        pulse.configure(3600, 0)
        pulse.stop()
        writer.close()

    asyncio.run(scene())
    assert events(path)[:2] == ["intent", "start"]
    assert events(path)[-1] in ("stop", "time")
    report = verify_chain(path, keys=Keys([signer.public_pem()]))
    assert report.whole and report.records == len(events(path))
