"""What the writer knows of checkpoints: the key, when the next is due, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .errors import EvidenceError
from .signing import KeyFault, Signer


class Seals:
    """Checkpoints of one record.

    Args:
        signer: signs them; None for none.
        every: records after which one is due.
    """

    def __init__(self, signer: Signer | None, every: int) -> None:
        self.signer = signer
        self.every = every
        self.fault = "" if signer else "there is no key"
        """Why they are not signed; empty if they are."""
        self._last = self._covered = 0
        self.busy = False
        """Whether one is being written."""

    def opened(self, seq: int) -> None:
        """The record ends with this number, of an earlier writer: nothing of ours is unsealed."""
        self._last = self._covered = seq

    def covers(self, seq: int) -> bool:
        """Whether a checkpoint covers the record of this number."""
        return not self.fault and self._covered >= seq

    def due(self, seq: int) -> bool:
        """Whether so many records were written since the last that the next is due."""
        return seq - self._last >= self.every and not self.busy

    def put(
        self,
        what: str,
        seq: int,
        chain: str,
        write: Callable[[dict[str, Any]], dict[str, Any]],
        more: Mapping[str, Any],
    ) -> bool:
        """Write a checkpoint over all up to this record, if it can be; whether it was written.

        Args:
            what: what it is due to.
            write: writes a record and returns it, or raises EvidenceError.
            more: facts beside those that are signed.
        """
        facts = self._facts(seq, chain)
        if facts is None:
            return False
        self.busy = True
        try:
            record = write({"event": "checkpoint", "what": what, "facts": {**facts, **more}})
        except EvidenceError:
            return False
        finally:
            self.busy = False
        self._last, self._covered = record["seq"], record["seq"] - 1
        return True

    def _facts(self, seq: int, chain: str) -> dict[str, Any] | None:
        """None if nothing is new, or the key cannot be used."""
        if self.signer is None or seq == self._last:
            return None
        try:
            facts = self.signer.checkpoint(seq, chain, seq - self._covered)
        except KeyFault as error:
            self.fault = str(error)
            self._last = seq
            return None
        self.fault = ""
        return facts

    def status(self, seq: int) -> dict[str, Any]:
        """Figures for `relay-shell status`."""
        facts = {
            "state": self.fault or "ok",
            "sealed": self._covered,
            "unsealed": max(0, seq - self._last),
        }
        if self.signer is not None and self.signer.known:
            facts["key"] = self.signer.known
        return facts
