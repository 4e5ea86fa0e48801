"""Recordings of terminal sessions: lines of the asciicast v2 format.

The format is that of docs.asciinema.org/manual/asciicast/v2: a header, then one event a line,
`[seconds, code, data]`. "o" is output, "i" input, "r" a resize ("80x24"), "m" a marker; players
pass over codes that they do not know. Two are ours: "b" follows an event whose octets were no
UTF-8 and holds them in base64, and "x" is the exit status, as in asciicast v3. Markers that begin
with `OWN` are the recorder's own words.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

FORMAT = "asciicast-v2"
SUFFIX = ".cast"

OWN = "relay-shell: "
GAP = f"{OWN}gap, "
"""Begins the marker of what was not recorded."""

FROM_WORKER = frozenset("oirmg")
"""Codes that a worker may send; "g" is a gap, and is written as a marker."""

CHUNK = 65_536
LINE = 8 * 1024 * 1024
"""Octets of a line that is read; the writer's are far shorter."""


class Event(NamedTuple):
    """One event; `raw` holds the octets where `text` could not."""

    time: float
    """Seconds from the session's start."""
    code: str
    text: str
    raw: bytes | None = None


class CastError(ValueError):
    """A file is no recording, or a damaged one."""


def header(
    *,
    columns: int,
    rows: int,
    timestamp: float,
    title: str,
    env: Mapping[str, str],
    facts: Mapping[str, Any],
) -> bytes:
    """The first line; `facts` go into a key of our own, `relay_shell`."""
    return _line(
        {
            "version": 2,
            "width": columns,
            "height": rows,
            "timestamp": int(timestamp),
            "title": title,
            "command": title,
            "env": dict(env),
            "relay_shell": dict(facts),
        }
    )


def event_lines(time: float, code: str, text: str, raw: str | None = None) -> bytes:
    """The lines of one event; `raw` is base64."""
    if code == "g":
        code, text = "m", f"{GAP}{text} bytes of output were not recorded"
    elif code == "m" and text.startswith(OWN):
        text = f"'{text}'"
    line = _line([round(time, 6), code, text])
    return line if raw is None else line + _line([round(time, 6), "b", raw])


def note_line(time: float, text: str) -> bytes:
    """A marker in the recorder's own words."""
    return _line([round(time, 6), "m", f"{OWN}{text}"])


def exit_line(time: float, status: int) -> bytes:
    """The exit status."""
    return _line([round(time, 6), "x", str(status)])


def checked(events: Sequence[Any]) -> list[tuple[float, str, str, str | None]]:
    """Events as a worker sends them.

    Raises:
        ValueError: one of them is none.
    """
    found = []
    for event in events:
        if not isinstance(event, list) or not 3 <= len(event) <= 4:
            raise ValueError("an event is a list of time, code, text and perhaps octets")
        time, code, text = event[:3]
        raw = event[3] if len(event) == 4 else None
        if isinstance(time, bool) or not isinstance(time, (int, float)) or not 0 <= time < 1e9:
            raise ValueError("an event has no time")
        if not isinstance(code, str) or code not in FROM_WORKER or not isinstance(text, str):
            raise ValueError("an event has no code that is known, or no text")
        if raw is not None:
            if not isinstance(raw, str):
                raise ValueError("an event's octets are no base64")
            try:
                base64.b64decode(raw, validate=True)
            except (binascii.Error, ValueError):
                raise ValueError("an event's octets are no base64") from None
        found.append((float(time), code, text, raw))
    return found


def counts(line: bytes) -> bool:
    """Whether a line of a file is an event that a worker sent."""
    try:
        _, code, text = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return False
    if code == "m":
        return isinstance(text, str) and (not text.startswith(OWN) or text.startswith(GAP))
    return code in ("o", "i", "r")


class Digest(NamedTuple):
    """What a file holds up to some offset."""

    bytes: int
    sha256: str


def digests(file: IO[bytes], offsets: Sequence[int]) -> dict[int, str]:
    """SHA-256 of the first `offset` octets, for each offset that the file reaches."""
    hashed = hashlib.sha256()
    done = 0
    found: dict[int, str] = {}
    for offset in sorted(set(offsets)):
        while done < offset:
            data = file.read(min(CHUNK, offset - done))
            if not data:
                return found
            hashed.update(data)
            done += len(data)
        found[offset] = hashed.hexdigest()
    return found


def whole(file: IO[bytes]) -> Digest:
    """Size and SHA-256 of all that is there."""
    hashed, size = hashlib.sha256(), 0
    while data := file.read(CHUNK):
        hashed.update(data)
        size += len(data)
    return Digest(size, hashed.hexdigest())


def read_header(file: IO[bytes]) -> dict[str, Any]:
    """The header.

    Raises:
        CastError: the first line is none.
    """
    try:
        found = json.loads(file.readline(LINE))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("version") != 2:
        raise CastError("the first line is no header of asciicast v2")
    for name in ("width", "height"):
        if not isinstance(found.get(name), int) or not 0 < found[name] < 65_536:
            raise CastError(f"the header has no {name}")
    return found


def read_events(file: IO[bytes]) -> Iterator[Event]:
    """The events after the header; a last line that was cut off is left out.

    Raises:
        CastError: a line is no event.
    """
    held: Event | None = None
    number = 1
    while line := file.readline(LINE):
        number += 1
        if not line.endswith(b"\n"):
            break
        event = _event(line, number)
        if event.code == "b":
            if held is not None:
                try:
                    held = held._replace(raw=base64.b64decode(event.text, validate=True))
                except (binascii.Error, ValueError):
                    raise CastError(f"line {number}: octets are no base64") from None
            continue
        if held is not None:
            yield held
        held = event
    if held is not None:
        yield held


def _event(line: bytes, number: int) -> Event:
    try:
        time, code, text = json.loads(line)
        if isinstance(code, str) and isinstance(text, str):
            return Event(float(time), code, text)
    except (ValueError, TypeError, RecursionError, OverflowError):
        pass
    raise CastError(f"line {number} is no event")


def _line(value: Any) -> bytes:
    # Escaped throughout: printing a recording by accident moves nobody's cursor.
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"
