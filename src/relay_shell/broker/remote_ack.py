"""Verdicts that wait until another host holds the intent (setting evidence.remote_ack).

relay-shell-ack.service says in the file paths.acknowledged which record the collector holds: the
last one before the place that systemd-journal-upload keeps when the collector has answered. The
journal is uploaded in its order, so whoever holds that record holds those before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..wire.errors import RelayError

if TYPE_CHECKING:
    from .state import State

POLL = 0.02
"""Seconds between looks at the file while a verdict waits."""

WATCH = 1.0
"""Seconds between looks at it while the collector is late."""

_LIMIT = 4096


class Place(NamedTuple):
    """A record, by number and time: a record that began anew counts from 1 again."""

    seq: int
    ts: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Place:
        return cls(record["seq"], record["ts"])

    def covers(self, other: Place) -> bool:
        """Whether the other came no later in the journal than this."""
        return self.seq >= other.seq and self.ts >= other.ts


NOTHING = Place(0, "")


class RemoteAck:
    """Waits for the collector, a bounded time, and applies evidence.remote_ack_policy then.

    While the collector is late, calls do not wait anew: under `block` they are refused at once,
    under `continue-and-mark` they run at once and are marked. It is late until it holds the last
    record that was waited for in vain.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._owed = NOTHING
        self._since = 0.0
        self._calls = 0
        self._waiting = 0
        self._watching: asyncio.Task[None] | None = None

    @property
    def late(self) -> bool:
        """Whether the collector lacks what was waited for."""
        return self._owed is not NOTHING

    def asked(self, tier: int) -> bool:
        """Whether calls of this tier wait."""
        least = self._state.settings["evidence.remote_ack"]
        return least != "off" and tier >= int(least)

    def check(self, tier: int) -> None:
        """Refuse a call that would wait in vain, before its intent is written.

        Raises:
            RelayError: kind CollectorUnavailable.
        """
        if self.late and self._blocks() and self.asked(tier):
            self._calls += 1
            raise _failure(f"it has been late for {time.monotonic() - self._since:.0f} s")

    async def wait(self, intent: Mapping[str, Any]) -> None:
        """Return when the collector holds an intent, or when the policy lets it run without.

        Args:
            intent: the record as written.

        Raises:
            RelayError: kind CollectorUnavailable, under the policy `block`.
        """
        if not self.asked(intent["tier"]):
            return
        place = Place.of(intent)
        seconds = self._state.settings["evidence.remote_ack_wait"]
        if not self.late and await self._acknowledged(place, seconds):
            return
        reason = f"record {place.seq} is not acknowledged"
        reason += f" after {seconds} s" if not self.late else ", and others are late"
        blocks = self._blocks()
        self._late(place)
        self._state.trail.note(
            event="unacknowledged",
            call_id=intent["call_id"],
            principal=intent["principal"],
            tool=intent["tool"],
            tier=intent["tier"],
            decision="deny" if blocks else "allow",
            detail=reason,
            facts={"seq": place.seq, "acknowledged": self._read().seq},
        )
        if blocks:
            raise _failure(reason)

    async def _acknowledged(self, place: Place, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        self._waiting += 1
        try:
            while not self._read().covers(place):
                if self._state.closing:
                    raise RelayError("Cancelled", reason="the broker stops")
                if loop.time() >= deadline:
                    return False
                await asyncio.sleep(POLL)
            return True
        finally:
            self._waiting -= 1

    def _blocks(self) -> bool:
        return bool(self._state.settings["evidence.remote_ack_policy"] == "block")

    # ---- late ----------------------------------------------------------------------------

    def _late(self, place: Place) -> None:
        if not self.late:
            self._since, self._calls = time.monotonic(), 0
        self._owed = place
        self._calls += 1
        self._state.changed()
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        """Record when the collector holds again what was waited for."""
        while not (found := self._read()).covers(self._owed):
            await asyncio.sleep(WATCH)
        facts = {"seq": found.seq, "calls": self._calls}
        self._owed, self._watching = NOTHING, None
        self._state.changed()
        seconds = time.monotonic() - self._since
        self._state.trail.note(event="acknowledged", duration_ms=round(seconds * 1000), facts=facts)

    def _read(self) -> Place:
        """What the collector holds; nothing, if the file cannot say so."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            fd = os.open(self._state.settings["paths.acknowledged"], flags)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return NOTHING
                said = json.loads(os.read(fd, _LIMIT))
            finally:
                os.close(fd)
            seq, ts = said["seq"], said["ts"]
            # What was not written yet cannot be held: that would be another record's number.
            if type(seq) is int and type(ts) is str and seq <= self._state.trail.writer.seq:
                return Place(seq, ts)
        return NOTHING

    # ---- the rest ------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Figures for `relay-shell status`."""
        if self._state.settings["evidence.remote_ack"] == "off":
            return {"state": "off"}
        found: dict[str, Any] = {"state": "late" if self.late else "ok", "seq": self._read().seq}
        found["waiting"] = self._waiting
        if self.late:
            found |= {"seconds": round(time.monotonic() - self._since), "calls": self._calls}
        return found

    async def close(self) -> None:
        """Let go of the calls that wait, once the broker is closing; none of them runs."""
        while self._waiting:
            await asyncio.sleep(POLL)
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None


def _failure(reason: str) -> RelayError:
    return RelayError("CollectorUnavailable", reason=reason)
