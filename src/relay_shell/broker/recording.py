"""A recording that is not finished, and what the next broker needs to finish it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..evidence.cast import FORMAT, Digest
from .recordings import Limits, RecordingFile
from .statefile import StateError

_KEPT = {
    "id": str,
    "path": str,
    "mode": str,
    "worker": str,
    "session": str,
    "call": str,
    "conn": str,
    "principal": str,
    "started": float,
}


@dataclass(slots=True)
class Recording:
    """One recording that is not finished."""

    id: str
    path: str
    mode: str
    worker: str
    session: str
    call: str
    conn: str
    principal: str
    started: float
    """Seconds since the epoch."""
    file: RecordingFile
    told: int = 0
    """Octets that the last recorded digest covers."""
    trouble: str = ""
    over: bool = False

    def stored(self) -> dict[str, Any]:
        """What the next broker needs to go on with it."""
        return {"version": 1, "recording": {name: getattr(self, name) for name in _KEPT}}

    def shown(self, digest: Digest) -> dict[str, Any]:
        """`facts.recording` of a record; it covers what the digest does from here on."""
        self.told = digest.bytes
        return {
            "path": self.path,
            "format": FORMAT,
            "mode": self.mode,
            "bytes": digest.bytes,
            "sha256": digest.sha256,
            "events": self.file.events,
            "seconds": round(self.file.time, 3),
            "started": self.started,
        }


def restored(content: Any, limits: Limits) -> Recording:
    """A recording as `stored` describes it.

    Raises:
        StateError: the description is damaged.
    """
    row = content.get("recording") if isinstance(content, dict) else None
    if not isinstance(row, dict) or row.keys() != _KEPT.keys():
        raise StateError("a field is missing")
    if any(not isinstance(row[name], kind) for name, kind in _KEPT.items()):
        raise StateError("a field is damaged")
    return Recording(**row, file=RecordingFile(row["path"], limits))
