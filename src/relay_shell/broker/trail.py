"""The broker's way to the record: what must be kept before it happens, and what happened already.

An intent that cannot be kept is refused (`commit`). What has happened cannot be refused any more:
while the record cannot be written, such facts wait here, bounded and counted, and are written as
soon as it can (`note`, `append`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from ..evidence.errors import EvidenceError
from ..evidence.writer import Writer

logger = logging.getLogger(__name__)

BACKLOG = 8192
"""Records that wait at most: calls that run when the trouble begins, and comings and goings."""

Record = dict[str, Any]


class Trail:
    """Records, through the one writer."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self._waiting: deque[Record] = deque()
        self.lost = 0
        """Records that found no room to wait."""

    def __len__(self) -> int:
        return len(self._waiting)

    async def commit(self, **facts: Any) -> Record:
        """Record, and return when it is durable. A fact that is None is absent.

        Raises:
            EvidenceError: it is not safely kept; what it announces must not happen.
        """
        return await self.writer.append(_present(facts))

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
        if len(self._waiting) >= BACKLOG:
            self.lost += 1
        else:
            self._waiting.append(facts)


def _present(facts: Record) -> Record:
    return {name: value for name, value in facts.items() if value is not None}
