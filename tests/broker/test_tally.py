"""What is counted of verdicts, and that a worker cannot make up labels."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from relay_shell.broker.tally import BOUNDS, Tally
from relay_shell.wire.errors import RelayError


def test_verdicts_and_what_came_instead_of_one() -> None:
    async def answer(decision: str) -> dict[str, Any]:
        return {"decision": decision, "tier": 2}

    async def fail(error: BaseException) -> dict[str, Any]:
        raise error

    async def scene() -> dict[str, Any]:
        tally = Tally()
        for decision in ("allow", "allow", "deny"):
            await tally.verdict("shell_exec", answer(decision))
        for error in (RelayError("OverBudget", what="calls"), ValueError("a defect")):
            with pytest.raises(type(error)):
                await tally.verdict("shell_exec", fail(error))
        await tally.verdict("x" * 1000, answer("allow"))
        await tally.verdict("y", answer("allow"))
        stuck = asyncio.create_task(tally.verdict("shell_exec", asyncio.sleep(60, {})))
        await asyncio.sleep(0)
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck
        tally.ended("ok")
        tally.ended("ok")
        return tally.status()

    status = asyncio.run(scene())
    assert [tuple(row.values()) for row in status["verdicts"]] == [
        ("other", 2, "allow", 2),
        ("shell_exec", -1, "Cancelled", 1),
        ("shell_exec", -1, "Internal", 1),
        ("shell_exec", -1, "OverBudget", 1),
        ("shell_exec", 2, "allow", 2),
        ("shell_exec", 2, "deny", 1),
    ]
    assert status["ends"] == {"ok": 2}
    assert len(status["within"]) == len(BOUNDS) + 1 and status["within"][-1] == 8
