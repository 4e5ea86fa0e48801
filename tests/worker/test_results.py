"""Results kept for a repetition of their call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from relay_shell.tools.registry import TOOLS
from relay_shell.worker import results as module
from relay_shell.worker.results import Results

EXEC = TOOLS["shell_exec"]
KEYED = {"command": "make", "idempotency_key": "k"}


def run(tell: Any, window: float = 600.0) -> int:
    """Tell the story on a loop; returns how often something was let go."""
    released = []

    async def story() -> None:
        results = Results(lambda: window, lambda: released.append(1))
        await tell(results)
        results.clear()

    asyncio.run(story())
    return len(released)


def valid(tool: str, facts: dict[str, Any]) -> bool:
    return Draft202012Validator(TOOLS[tool].output_schema).is_valid(facts)


def test_a_kept_result_comes_back_marked() -> None:
    async def tell(results: Results) -> None:
        facts = {"exit": 0, "stdout": "done\n"}
        results.keep("k-1", KEYED, facts, False)
        facts["stdout"] = "changed later"
        answer = results.answer(EXEC, {"call": "k-1", "status": "ok"})
        assert answer == {
            "result": {"exit": 0, "stdout": "done\n", "replayed": True},
            "is_error": False,
        }
        results.keep("k-2", KEYED, {"error": {"kind": "Timeout"}}, True)
        assert results.answer(EXEC, {"call": "k-2", "status": "timeout"})["is_error"]

    run(tell)


def test_without_a_key_nothing_is_kept() -> None:
    async def tell(results: Results) -> None:
        results.keep("k-1", {"command": "make"}, {}, False)
        assert len(results) == 0

    run(tell)


def test_without_the_result_the_stored_outcome_answers() -> None:
    first = {
        "call": "k-1",
        "worker": "w",
        "status": "ok",
        "exit": 3,
        "bytes": 7,
        "sha256": "a" * 64,
    }

    async def tell(results: Results) -> None:
        answer = results.answer(EXEC, first | {"duration_ms": 5})
        assert not answer["is_error"] and valid("shell_exec", answer["result"])
        facts = answer["result"]
        assert facts["exit"] == 3 and facts["replayed"] and facts["truncated"]
        assert facts["bytes"] == 7 and facts["sha256"] == "a" * 64 and facts["stdout"] == ""
        assert EXEC.render(facts).startswith("[exit 3]")

    run(tell)


@pytest.mark.parametrize("tool", ["shell_exec", "shell_spawn", "session_send", "session_kill"])
@pytest.mark.parametrize("status", ["ok", "cancelled", "interrupted"])
def test_what_has_no_facts_is_said_not_to_have_run_again(tool: str, status: str) -> None:
    async def tell(results: Results) -> None:
        first = {"call": "k-1", "worker": "w", "status": status, "error": "the client is gone"}
        answer = results.answer(TOOLS[tool], first)
        assert valid(tool, answer["result"]) and answer["result"]["replayed"]
        if (tool, status) != ("shell_exec", "ok"):
            error = answer["result"]["error"]
            assert answer["is_error"] and error["kind"] == "ResultGone"
            assert "the client is gone" in error["message"]
            assert "Nothing was run again" in TOOLS[tool].render(answer["result"])

    run(tell)


def test_room_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOM", 1000)

    async def tell(results: Results) -> None:
        results.keep("k-huge", KEYED, {"stdout": "x" * 2000}, False)
        assert len(results) == 0
        for n in range(10):
            results.keep(f"k-{n}", KEYED, {"exit": 0, "stdout": "x" * 300}, False)
        assert len(results) == 3
        assert results.answer(EXEC, {"call": "k-9", "status": "ok"})["result"]["stdout"]

    run(tell)


def test_after_the_window_they_are_let_go() -> None:
    async def tell(results: Results) -> None:
        results.keep("k-1", KEYED, {"exit": 0}, False)
        deadline = asyncio.get_running_loop().time() + 60
        while len(results):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)

    assert run(tell, window=0.05) == 1


def test_with_keys_off_nothing_is_kept() -> None:
    async def tell(results: Results) -> None:
        results.keep("k-1", KEYED, {"exit": 0}, False)
        assert len(results) == 0

    run(tell, window=0)
