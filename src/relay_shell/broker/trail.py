"""The broker's way to the record: what must be kept before it happens, and what happened already.

An intent that cannot be kept is refused (`commit`), unless a setting says that calls go on. What
has happened cannot be refused any more: while the record cannot be written, such facts wait here,
bounded and counted, and are written as soon as it can (`note`, `append`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from ..evidence import canonical
from ..evidence.errors import EvidenceError
from ..evidence.moment import now
from ..evidence.record import VERSION
from ..evidence.writer import Writer

logger = logging.getLogger(__name__)

BACKLOG = 8192
"""Records that wait at most: calls that run when the trouble begins, and comings and goings."""

Record = dict[str, Any]

POLICIES = {
    "no_space": "evidence.disk",
    "read_only": "evidence.disk",
    "io": "evidence.disk",
    "denied": "evidence.file",
    "lost": "evidence.file",
    "untrusted": "evidence.file",
    "attribute": "evidence.attribute",
}
"""Which setting says what happens while the record cannot be written, by the cause."""


class Trail:
    """Records, through the one writer."""

    def __init__(self, writer: Writer, settings: Mapping[str, Any] | None = None) -> None:
        self.writer = writer
        self._policies: dict[str, str] = {}
        self._room = 0
        self._held = 0
        """Bytes of what waits and had a choice."""
        self.configure(settings or {})
        self._waiting: deque[Record] = deque()
        self.lost = 0
        """Records that found no room to wait."""

    def __len__(self) -> int:
        return len(self._waiting)

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Take the settings that say what happens while the record cannot be written."""
        self._policies = {cause: settings.get(name, "block") for cause, name in POLICIES.items()}
        self._room = settings.get("evidence.spool_bytes", 0)
        self.writer.fence.block = self._policies["attribute"] != "continue-and-mark"

    @property
    def policy(self) -> str:
        """What happens to calls for now: "" if the record is written, else the policy."""
        trouble = self.writer.trouble
        return "" if trouble is None else self._policies.get(trouble.cause, "block")

    def status(self) -> Record:
        """Figures for `relay-shell status`."""
        return {
            "policy": self.policy,
            "waiting": len(self),
            "waiting_bytes": self._held,
            "lost": self.lost,
        }

    async def commit(self, **facts: Any) -> Record:
        """Record, and return when it is durable. A fact that is None is absent.

        Where a setting says that calls go on while nothing can be written, what is returned then
        has number 0, and waits here.

        Raises:
            EvidenceError: it is not safely kept; what it announces must not happen.
        """
        present = _present(facts)
        try:
            self.flush()
            return await self.writer.append(present)
        except EvidenceError as error:
            policy = self._policies.get(error.cause, "block")
            if policy == "block":
                raise
            return self._meanwhile(present, policy, error)

    def _meanwhile(self, facts: Record, policy: str, error: EvidenceError) -> Record:
        """Keep an intent in memory, and in the journal, instead of in the record.

        Raises:
            EvidenceError: there is no room for it, and the policy is not to lose any.
        """
        at = now()
        size = len(canonical.encode(facts))
        fits = self._held + size <= self._room and len(self._waiting) < BACKLOG
        if not fits and policy == "spool":
            raise error
        self.writer.aside({**facts, "at": at})
        if fits:
            self._held += size
            self._waiting.append({**facts, "at": at})
        else:
            self.lost += 1
        return {"v": VERSION, "seq": 0, "ts": at, **facts, "prev": "", "chain": ""}

    def append(self, **facts: Any) -> Record | None:
        """Record what happened; durable within a second.

        Raises:
            EvidenceError: it waits here until the record can be written again.
        """
        present = _present(facts)
        try:
            self.flush()
            return self.writer.append_now(present)
        except EvidenceError:
            self._wait(present)
            raise

    def note(self, **facts: Any) -> None:
        """Record what happened; never fails. A defect in the facts is logged, not raised."""
        try:
            self.append(**facts)
        except EvidenceError:
            pass
        except Exception:
            logger.exception("record %s is defective", facts.get("event"))

    def recovered(self) -> None:
        """Write what waits, outside of the writer's own recovery."""
        asyncio.get_running_loop().call_soon(self._flush_quietly)

    def flush(self) -> None:
        """Write what waits, in order.

        Raises:
            EvidenceError: the rest still waits.
        """
        while self._waiting:
            self.writer.append_now(self._waiting[0])
            self._waiting.popleft()
        self._held = 0
        if self.lost:
            lost, self.lost = self.lost, 0
            try:
                self.writer.append_now(
                    {
                        "event": "note",
                        "what": "records-lost",
                        "detail": "records that did not fit into memory while none were written",
                        "facts": {"count": lost},
                    }
                )
            except EvidenceError:
                self.lost += lost
                raise

    def _flush_quietly(self) -> None:
        try:
            self.flush()
        except EvidenceError:
            return

    def _wait(self, facts: Record) -> None:
        facts = {**facts, "at": now()}
        if self.policy not in ("", "block"):
            self.writer.aside(facts)
        if len(self._waiting) >= BACKLOG:
            self.lost += 1
        else:
            self._waiting.append(facts)


def _present(facts: Record) -> Record:
    return {name: value for name, value in facts.items() if value is not None}
