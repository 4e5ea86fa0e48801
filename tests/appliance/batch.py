"""Many calls by one agent, several at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from .agent import Agent

Call = tuple[str, dict[str, Any]]


class Batch(Agent):
    """An agent whose answers may come in any order."""

    def many(
        self, calls: Iterable[Call], at_once: int = 8, seconds: float = 120
    ) -> list[dict[str, Any]]:
        """The results of calls (tool, arguments), in the order of the calls.

        A protocol error stands as a result with `error`. A call over the budget is repeated when
        its answer says. Raises TimeoutError if no answer at all comes for `seconds`.
        """
        given = list(calls)
        results = self._all(given, at_once, seconds)
        while again := [index for index, result in enumerate(results) if _wait(result)]:
            time.sleep(max(_wait(results[index]) for index in again))
            repeated = self._all([given[index] for index in again], at_once, seconds)
            for index, result in zip(again, repeated, strict=True):
                results[index] = result
        return results

    def _all(self, calls: list[Call], at_once: int, seconds: float) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        waiting: dict[int, int] = {}
        for name, arguments in calls:
            while len(waiting) >= at_once:
                self._collect(waiting, results, seconds)
            serial = self.start("tools/call", {"name": name, "arguments": arguments})
            waiting[serial] = len(results)
            results.append({})
        while waiting:
            self._collect(waiting, results, seconds)
        return results

    def _collect(
        self, waiting: dict[int, int], results: list[dict[str, Any]], seconds: float
    ) -> None:
        message = json.loads(self._line(time.monotonic() + seconds))
        index = waiting.pop(message.get("id"), None) if "method" not in message else None
        if index is not None:
            results[index] = message.get("result", message)


def _wait(result: dict[str, Any]) -> float:
    """Seconds after which a call over the budget may be repeated; 0 for any other result."""
    error = result.get("structuredContent", {}).get("error", {})
    return float(error["retry_after"]) if error.get("kind") == "OverBudget" else 0.0
