"""What keeps the record from being written: refused, counted, tried again, and recorded."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from relay_shell.evidence import outage
from relay_shell.evidence.errors import EvidenceError
from relay_shell.evidence.reader import iter_records
from relay_shell.evidence.verify import verify_chain
from relay_shell.evidence.writer import Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def kinds(path: Path) -> list[str]:
    return [finding.kind for finding in verify_chain(path).findings]


def test_a_deleted_file_refuses_until_there_is_one_again(tmp_path, facts) -> None:
    directory = tmp_path / "log"
    directory.mkdir()
    path = directory / "audit.jsonl"
    writer = Writer(path)
    writer.append_now(facts("k-1"))
    shutil.rmtree(directory)
    for _ in range(3):
        with pytest.raises(EvidenceError) as caught:
            writer.append_now(facts("k-2"))
        assert caught.value.cause == "lost"
    directory.mkdir()
    assert writer.append_now(facts("k-3"))["seq"] == 4
    writer.close()
    # The first record went with its file, and the verifier says so.
    assert [r["event"] for r in iter_records(path)] == ["rotate", "recovered", "intent"]
    assert kinds(path) == ["head"]


def test_a_file_that_others_can_write_is_not_switched_to(path, facts) -> None:
    writer = Writer(path)
    path.rename(path.with_suffix(".jsonl.1"))
    path.touch()
    path.chmod(0o666)
    with pytest.raises(EvidenceError) as caught:
        writer.append_now(facts("k-1"))
    assert caught.value.cause == "untrusted"
    path.chmod(0o640)
    writer.append_now(facts("k-2"))
    writer.close()
    assert not kinds(path)


def test_it_is_told_once_and_ends_by_itself(tmp_path, facts, monkeypatch) -> None:
    monkeypatch.setattr(outage, "RETRY", 0.01)
    directory = tmp_path / "log"
    directory.mkdir()
    told: list[str] = []

    def tell(error: EvidenceError | None) -> None:
        told.append(error.cause if error else "over")

    async def run() -> None:
        writer = Writer(directory / "audit.jsonl", on_state=tell)
        shutil.rmtree(directory)
        for _ in range(2):
            with pytest.raises(EvidenceError):
                await writer.append(facts("k-1"))
        status = writer.status()
        assert status["state"] == "lost" and status["refused"] == 2
        assert told == ["lost"]
        directory.mkdir()
        async with asyncio.timeout(60):
            while writer.trouble is not None:
                await asyncio.sleep(0.01)
        assert "trouble" not in writer.status()
        writer.close()

    asyncio.run(run())
    assert told == ["lost", "over"]
    (recovered,) = iter_records(directory / "audit.jsonl", filters={"event": "recovered"})
    # The attempts that nobody asked for refused nobody.
    assert recovered["what"] == "lost" and recovered["facts"]["refused"] == 2
    assert recovered["facts"]["since"] < recovered["ts"]


def test_after_the_end_nothing_is_tried(path, facts) -> None:
    writer = Writer(path)
    writer.close()
    with pytest.raises(EvidenceError) as caught:
        writer.append_now(facts())
    assert caught.value.cause == "closed"
    assert writer.status()["state"] == "closed"
