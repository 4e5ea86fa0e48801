"""Recordings as the record knows them: where each lies, and whether it is what was written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO, Any

from ..evidence import cast
from ..wire.errors import RelayError

Record = dict[str, Any]

DIGESTS = ("recording-start", "recording-part", "recording")
WHATS = (*DIGESTS, "recording-removed", "session_end")


@dataclass
class Known:
    """What the record says of one session."""

    session: str
    principal: str = ""
    call: str = ""
    started: str = ""
    title: str = ""
    path: str = ""
    mode: str = "metadata"
    bytes: int = 0
    seconds: float = 0.0
    ended: bool = False
    incomplete: str = ""
    removed: str = ""
    digests: dict[int, str] = field(default_factory=dict)
    """Octets from the start to the SHA-256 that was recorded of them."""

    @property
    def state(self) -> str:
        """In one word."""
        if self.removed:
            return "removed"
        if not self.path:
            return "no file"
        if not self.ended:
            return "unfinished"
        return "incomplete" if self.incomplete else "complete"

    def add(self, record: Record) -> None:
        """Take what one record says."""
        facts = record.get("facts")
        facts = facts if isinstance(facts, dict) else {}
        self.principal = str(record.get("principal") or self.principal)
        self.call = str(record.get("call_id") or self.call)
        self.started = self.started or str(record.get("ts", ""))
        self.title = str(facts.get("title") or self.title)
        what, found = record.get("what"), facts.get("recording")
        if what == "recording-removed":
            removed = facts.get("removed")
            self.removed = str(facts.get("reason") or "no reason is recorded")
            if isinstance(removed, dict):
                self.path = self.path or str(removed.get("path", ""))
            return
        if what == "session_end" and not self.path:
            self.ended = True
            self.seconds = _number(facts.get("duration_ms")) / 1000
        if not isinstance(found, dict):
            return
        self.path = str(found.get("path", ""))
        self.mode = str(found.get("mode", ""))
        self.bytes = int(_number(found.get("bytes")))
        self.seconds = _number(found.get("seconds"))
        self.digests[self.bytes] = str(found.get("sha256", ""))
        self.ended = what == "recording"
        if facts.get("incomplete"):
            self.incomplete = str(facts.get("reason") or "cut off")

    def as_json(self) -> Record:
        """The row of --json."""
        names = ("session", "principal", "call", "started", "title", "mode", "path", "bytes")
        return {
            **{name: getattr(self, name) for name in names},
            "seconds": self.seconds,
            "state": self.state,
            "sha256": self.digests.get(self.bytes, ""),
        }


def known(records: Iterable[Record]) -> dict[str, Known]:
    """Sessions by handle, in the order in which they began."""
    found: dict[str, Known] = {}
    for record in records:
        facts = record.get("facts")
        session = str(record.get("detail") or "")
        if record.get("what") == "session_end" and isinstance(facts, dict) and not session:
            session = str(facts.get("session", ""))
        if session:
            found.setdefault(session, Known(session)).add(record)
    return found


def open_file(path: str) -> IO[bytes]:
    """Open a recording.

    Raises:
        RelayError: kind NotFound or PermissionDenied.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        missing = RelayError("NotFound", reason=f"{path} is not there")
        missing.next_step = "Nothing in the record says that it was removed; look into a backup."
        raise missing from None
    except PermissionError:
        raise RelayError(
            "PermissionDenied",
            reason=f"{path} is for root and members of group relay-shell-operators",
        ) from None
    except OSError as error:
        raise RelayError("NotFound", reason=f"{path}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise RelayError("NotFound", reason=f"{path} is no file")
    return os.fdopen(fd, "rb")


def verify(row: Known, file: IO[bytes]) -> str:
    """Compare a file with every digest that was recorded of it; "" if all hold.

    The same open file is played afterwards, so nobody can put another in its place between.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    found = cast.digests(file, list(row.digests))
    file.seek(0)
    if not row.digests:
        return "the record holds no digest of it"
    sound = 0
    for offset in sorted(row.digests):
        if offset not in found:
            return f"it is cut: {size} bytes are there, {max(row.digests)} were recorded"
        if found[offset] != row.digests[offset]:
            return f"it was changed between byte {sound} and byte {offset}"
        sound = offset
    if row.ended and size > sound:
        return f"it was added to: {size} bytes are there, {sound} were recorded"
    return ""


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
