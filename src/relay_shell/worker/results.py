"""Results of calls that had an idempotency key, kept for a repetition of the call.

The broker knows which call a repetition means; what it returned is only here, and a worker whose
client left stays for it. A result that had to make room is gone: the call is still not repeated.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from ..tools.base import Tool
from ..tools.text import error_facts
from ..wire.errors import RelayError

KEY = "idempotency_key"
MOST = 64
ROOM = 8 * 1024 * 1024
"""Results kept, and characters of them all as JSON; the oldest make room."""

Body = dict[str, Any]


class Results:
    """The kept results, by call.

    Args:
        window: seconds for which a result is kept.
        changed: called when some were let go.
    """

    def __init__(self, window: Callable[[], float], changed: Callable[[], None]) -> None:
        self._window = window
        self._changed = changed
        self._kept: dict[str, tuple[str, bool, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, call: str, args: Mapping[str, Any], facts: Body, is_error: bool) -> None:
        """Keep what a call returned, if it had a key."""
        window = self._window()
        if not args.get(KEY) or window <= 0:
            return
        text = json.dumps(facts)
        if len(text) > ROOM:
            return
        timer = asyncio.get_running_loop().call_later(window, self._expire, call)
        self._kept[call] = text, is_error, timer
        while len(self._kept) > MOST or sum(len(row[0]) for row in self._kept.values()) > ROOM:
            self._drop(next(iter(self._kept)))

    def answer(self, tool: Tool, first: Mapping[str, Any]) -> Body:
        """The answer to a repetition, from what is kept or else from the stored outcome.

        Args:
            first: the broker's word on the first call.
        """
        kept = self._kept.get(first["call"])
        if kept is not None:
            facts: Body = json.loads(kept[0])
            return {"result": {**facts, "replayed": True}, "is_error": kept[1]}
        if first.get("status") == "ok" and "stdout" in tool.output_schema["properties"]:
            return {"result": _outcome(first), "is_error": False}
        error = RelayError("ResultGone", reason=_told(first))
        return {"result": {**error_facts(error), "replayed": True}, "is_error": True}

    def clear(self) -> None:
        """Let everything go."""
        for call in list(self._kept):
            self._drop(call)

    def _drop(self, call: str) -> None:
        _, _, timer = self._kept.pop(call)
        timer.cancel()

    def _expire(self, call: str) -> None:
        self._drop(call)
        self._changed()


def _outcome(first: Mapping[str, Any]) -> Body:
    """The facts of a command whose output is gone."""
    size = first.get("bytes", 0)
    facts: Body = {"exit": first.get("exit", 128), "stdout": "", "replayed": True}
    for name in ("signal", "sha256", "duration_ms"):
        if name in first:
            facts[name] = first[name]
    return facts | {"bytes": size, "truncated": size > 0}


def _told(first: Mapping[str, Any]) -> str:
    status = str(first.get("status"))[:16]
    text = f"the first call with this key, {first['call']}, ended ({status})"
    if first.get("error"):
        text += f": {str(first['error'])[:1000]}"
    return f"{text}; what it returned is not kept any more"
