"""What keeps the record from being written: since when, what it cost, and the next attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .errors import EvidenceError
from .moment import now
from .sync import running_loop

RETRY = 3.0
"""Seconds between attempts to write again after a failure, besides each new call's own."""


class Outage:
    """The trouble of one writer, or that there is none.

    Args:
        on_state: called with the trouble when it begins and with None when it ends.
        attempt: writes again, or raises EvidenceError.
    """

    def __init__(
        self, on_state: Callable[[EvidenceError | None], None], attempt: Callable[[], None]
    ) -> None:
        self._on_state = on_state
        self._attempt = attempt
        self.error: EvidenceError | None = None
        self.since = ""
        self._refused = 0
        self._doubtful = 0
        """Number of the first record that may not be on the disk; 0 if none is in doubt."""
        self._closed = False
        self._retry: asyncio.TimerHandle | None = None

    def refuse(self, error: EvidenceError) -> EvidenceError:
        """Something could not be written: it begins, or costs one more; returns the error."""
        self._refused += 1
        first = not self.since
        self.error = error
        if first:
            self.since = now()
            self._on_state(error)
        self._retry_soon()
        return error

    def doubt(self, seq: int) -> None:
        """The records from this number on may not be on the disk."""
        self._doubtful = self._doubtful or seq

    def leave(self, written: int) -> tuple[EvidenceError, dict[str, Any]]:
        """Let an attempt to write pass; returns the trouble, and the facts of its end.

        Args:
            written: number of the last record that the kernel has.
        """
        was, self.error = self.error, None
        assert was is not None
        facts: dict[str, Any] = {"since": self.since, "refused": self._refused}
        if self._doubtful:
            facts["doubtful"] = [self._doubtful, written]
        return was, facts

    def go_on(self, error: EvidenceError, refused: int) -> None:
        """The attempt failed, and so many were refused by now."""
        self.error, self._refused = error, refused
        self._retry_soon()

    def over(self) -> None:
        """The attempt succeeded."""
        self.since, self._refused, self._doubtful = "", 0, 0
        self._on_state(None)

    def status(self) -> dict[str, Any]:
        """Figures for `relay-shell status`, if there is trouble."""
        if self.error is None:
            return {}
        return {"trouble": self.error.message, "since": self.since, "refused": self._refused}

    def close(self) -> None:
        """Attempt no more; nothing is written from now on."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        self.error = self.error or EvidenceError("closed")

    def _retry_soon(self) -> None:
        if self._retry is None and not self._closed:
            loop = running_loop()
            if loop is not None:
                self._retry = loop.call_later(RETRY, self._retry_due)

    def _retry_due(self) -> None:
        self._retry = None
        if self.error is not None and not self._closed:
            try:
                self._attempt()
            except EvidenceError:
                # Nobody's call was refused by this attempt.
                self._refused -= 1
