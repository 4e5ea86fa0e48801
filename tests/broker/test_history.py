"""Reading the record back for agents and operators."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from relay_shell.broker import history as module
from relay_shell.broker.history import History
from relay_shell.evidence.writer import Writer
from relay_shell.wire.errors import RelayError


def recorded(path: Path, count: int, **facts: Any) -> None:
    async def write() -> None:
        writer = Writer(path)
        for n in range(count):
            writer.append_now({"event": "disconnect", "detail": str(n), **facts})
        writer.close()

    asyncio.run(write())


def last(path: Path, count: int, filters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        history = History(str(path))
        try:
            return await history.last("me", count, filters or {})
        finally:
            history.close()

    return asyncio.run(read())


def test_the_last_records_come_oldest_first(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    assert last(path, 5) == []
    recorded(path, 10)
    assert [row["detail"] for row in last(path, 3)] == ["7", "8", "9"]
    assert [row["seq"] for row in last(path, 9, {"detail": "4"})] == [5]


@pytest.mark.parametrize(
    ("count", "filters"), [(0, {}), (module.MOST + 1, {}), (1, {"nope": 1}), (1, {"since": "x"})]
)
def test_questions_that_mean_nothing_are_refused(
    tmp_path: Path, count: int, filters: dict[str, Any]
) -> None:
    path = tmp_path / "audit.jsonl"
    recorded(path, 1)
    with pytest.raises(RelayError) as caught:
        last(path, count, filters)
    assert caught.value.kind == "InvalidArguments"


def test_an_answer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    recorded(path, 50, error="x" * 1000)
    monkeypatch.setattr(module, "LARGEST", 10_000)
    assert 5 <= len(last(path, 50)) < 10


def test_each_asker_has_one_question_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, asked = threading.Event(), threading.Event()

    def slow(*args: Any, **more: Any) -> Any:
        asked.set()
        assert going.wait(60)
        return iter(())

    monkeypatch.setattr(module, "iter_records", slow)

    async def tell() -> None:
        history = History(str(tmp_path / "audit.jsonl"))
        first = asyncio.ensure_future(history.last("a", 1, {}))
        await asyncio.to_thread(asked.wait, 20)
        with pytest.raises(RelayError, match="searched already"):
            await history.last("a", 1, {})
        other = asyncio.ensure_future(history.last("b", 1, {}))
        going.set()
        assert await first == await other == []
        history.close()

    asyncio.run(tell())


def test_a_record_that_cannot_be_read_is_no_defect(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(RelayError) as caught:
        last(tmp_path / "audit.jsonl", 1)
    assert caught.value.kind == "Unavailable"
