"""The append-only attribute of the file: whether it is lost, and what that means for writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .active import Active
from .errors import EvidenceError
from .moment import now


class Fence:
    """Watches the attribute of one record's file.

    `block` says whether nothing is to be written without it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.block = True
        self.since = ""
        """Since when it is lost and written to all the same; empty if it is not."""

    def look(self, file: Active) -> dict[str, Any] | None:
        """The facts to record if it is lost since the last look, or back; else None.

        Raises:
            EvidenceError: cause attribute, if it is lost and nothing is to be written without it.
        """
        if file.fenced():
            since, self.since = self.since, ""
            facts = {"event": "recovered", "what": "attribute", "facts": {"since": since}}
            return facts if since else None
        lost = EvidenceError("attribute", str(self._path))
        if self.block:
            raise lost
        if self.since:
            return None
        self.since = now()
        return {"event": "degraded", "what": "attribute", "error": lost.message}
