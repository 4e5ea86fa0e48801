"""The calls that have an intent record and no outcome record yet."""

from __future__ import annotations

import re
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..wire.errors import RelayError

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

RECENT = 1024
"""Calls that have ended and are still known, for what is told of them afterwards."""

STATUSES = frozenset({"ok", "error", "timeout", "cancelled", "killed"})
"""How a worker may say that a call ended; only the broker says "interrupted"."""


@dataclass(slots=True)
class LiveCall:
    """One call between its intent and its outcome."""

    id: str
    conn: str
    principal: str
    user: str
    worker: str
    tool: str
    tier: int
    facts: dict[str, Any]
    """What the outcome record repeats of the intent."""
    hosts: tuple[str, ...] = ()
    """Names of the machines that it reaches, and hosts that its command names."""
    weight: int = 1
    """As how many calls of its principal it counts while it runs."""
    since: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)
    claimed: bool = True
    """False after the worker's return, unless it said that it runs the call."""
    aborted: str = ""
    """Why an operator ended it."""

    def seconds(self) -> float:
        """Age; after a restart of the broker it follows the wall clock."""
        return max(0.0, time.monotonic() - self.began)

    def as_status(self) -> dict[str, Any]:
        """The row of `relay-shell status`."""
        return {
            "call": self.id,
            "conn": self.conn,
            "principal": self.principal,
            "worker": self.worker,
            "tool": self.tool,
            "tier": self.tier,
            "since": self.since,
            "seconds": round(self.seconds(), 1),
        }


class Calls:
    """All live calls, by id."""

    def __init__(self) -> None:
        self._all: dict[str, LiveCall] = {}
        self._by_worker: Counter[str] = Counter()
        self._by_principal: Counter[str] = Counter()
        self._recent: OrderedDict[str, LiveCall] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[LiveCall]:
        return iter(list(self._all.values()))

    def __contains__(self, call: str) -> bool:
        return call in self._all

    def count(self, worker: str) -> int:
        """Live calls of one worker."""
        return self._by_worker[worker]

    def count_principal(self, principal: str) -> int:
        """Live calls of one principal; a call on many machines at once counts as many."""
        return self._by_principal[principal]

    def add(self, call: LiveCall) -> None:
        """Enter a call.

        Raises:
            RelayError: kind Protocol, if the id is in use.
        """
        if call.id in self._all:
            raise RelayError("Protocol", reason=f"call {call.id} is already running")
        self._all[call.id] = call
        self._by_worker[call.worker] += 1
        self._by_principal[call.principal] += call.weight

    def get(self, call: str, worker: str) -> LiveCall:
        """Return a live call of one worker.

        Raises:
            RelayError: kind NotFound; a call of another worker is not told from none.
        """
        found = self._all.get(call)
        if found is None or found.worker != worker:
            raise RelayError("NotFound", reason=f"no call {call[:64]!r} is running")
        return found

    def find(self, call: str) -> LiveCall | None:
        """Return a live call, if it is there."""
        return self._all.get(call)

    def known(self, call: str) -> LiveCall | None:
        """Return a call that is live or ended lately, if it is there."""
        return self._all.get(call) or self._recent.get(call)

    def remove(self, call: LiveCall) -> bool:
        """Take a call out; False if somebody else did already."""
        if self._all.get(call.id) is not call:
            return False
        del self._all[call.id]
        self._recent[call.id] = call
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        self._by_worker[call.worker] -= 1
        if not self._by_worker[call.worker]:
            del self._by_worker[call.worker]
        self._by_principal[call.principal] -= call.weight
        if not self._by_principal[call.principal]:
            del self._by_principal[call.principal]
        return True

    def of_worker(self, worker: str) -> list[LiveCall]:
        """The live calls of one worker."""
        return [call for call in self._all.values() if call.worker == worker]

    def of_principal(self, principal: str) -> list[LiveCall]:
        """The live calls of one principal."""
        return [call for call in self._all.values() if call.principal == principal]

    def longest(self) -> LiveCall | None:
        """The call that runs longest."""
        return min(self._all.values(), key=lambda call: call.began, default=None)
