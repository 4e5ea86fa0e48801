"""Recordings in the formats of other players: asciicast v3, tlog's, and plain output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..evidence.cast import Event

FORMATS = ("asciicast-v2", "asciicast-v3", "tlog")

MESSAGE = 4096
"""Octets of text in one message of tlog, roughly."""

Header = Mapping[str, Any]


def export(name: str, header: Header, events: Iterable[Event]) -> Iterator[str]:
    """The lines of a recording in one of `FORMATS`."""
    makers: dict[str, Callable[[Header, Iterable[Event]], Iterator[str]]] = {
        "asciicast-v2": _v2,
        "asciicast-v3": _v3,
        "tlog": _tlog,
    }
    return makers[name](header, events)


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def _v2(header: Header, events: Iterable[Event]) -> Iterator[str]:
    yield _line(dict(header))
    for event in events:
        yield _line([round(event.time, 6), event.code, event.text])


def _v3(header: Header, events: Iterable[Event]) -> Iterator[str]:
    """docs.asciinema.org/manual/asciicast/v3: terminal facts together, times since the last."""
    env = {str(name): str(value) for name, value in dict(header.get("env") or {}).items()}
    term = {"cols": header["width"], "rows": header["height"]}
    if kind := env.pop("TERM", ""):
        term["type"] = kind
    made: dict[str, Any] = {"version": 3, "term": term}
    for name in ("timestamp", "command", "title"):
        if name in header:
            made[name] = header[name]
    yield _line(made | ({"env": env} if env else {}))
    # Rounded sums, so that rounding does not add up.
    last = 0
    for event in events:
        now = round(event.time * 1000)
        yield _line([max(0, now - last) / 1000, event.code, event.text])
        last = max(now, last)


class _Message:
    """One message of tlog's format in the making (tlog's log_format.md)."""

    def __init__(self, pos: int) -> None:
        self.pos = self.now = pos
        self.timing: list[str] = []
        self.text = {"o": "", "i": ""}
        self.octets: dict[str, list[int]] = {"o": [], "i": []}

    def at(self, now: int) -> None:
        if now > self.now:
            self.timing.append(f"+{now - self.now}")
            self.now = now

    def add(self, code: str, text: str) -> None:
        self.text[code] += text
        self.timing.append(f"{'>' if code == 'o' else '<'}{len(text)}")

    def add_octets(self, code: str, octets: bytes) -> None:
        self.text[code] += "\ufffd"
        self.octets[code] += octets
        self.timing.append(f"{']' if code == 'o' else '['}1/{len(octets)}")

    @property
    def size(self) -> int:
        return sum(map(len, self.text.values())) + sum(map(len, self.octets.values()))


def _tlog(header: Header, events: Iterable[Event]) -> Iterator[str]:
    ours = dict(header.get("relay_shell") or {})
    start = float(header.get("timestamp", 0))
    session = str(ours.get("session", "session"))
    shared = {
        "ver": "2.3",
        "host": str(ours.get("host", "localhost")),
        "rec": session,
        "user": str(ours.get("principal", "unknown")).removeprefix("unix:"),
        "term": str(dict(header.get("env") or {}).get("TERM", "linux")),
        "session": 1,
    }
    number = 0

    def line(message: _Message) -> str:
        nonlocal number
        number += 1
        facts = {
            "id": number,
            "pos": message.pos,
            "time": round(start + message.pos / 1000, 3),
            "timing": "".join(message.timing),
            "in_txt": message.text["i"],
            "in_bin": message.octets["i"],
            "out_txt": message.text["o"],
            "out_bin": message.octets["o"],
        }
        return _line(shared | facts)

    message = _Message(0)
    message.timing.append(f"={header['width']}x{header['height']}")
    for event in events:
        now = round(event.time * 1000)
        for code, part in _parts(event):
            if message.size >= MESSAGE:
                yield line(message)
                message = _Message(max(now, message.now))
            message.at(now)
            if isinstance(part, bytes):
                message.add_octets(code, part)
            elif code == "r":
                message.timing.append(f"={part}")
            else:
                message.add(code, part)
    yield line(message)


def _parts(event: Event) -> Iterator[tuple[str, str | bytes]]:
    """Pieces of an event: text that is valid, octets that are not."""
    if event.code == "r":
        columns, _, rows = event.text.partition("x")
        if columns.isdecimal() and rows.isdecimal():
            yield "r", event.text
    if event.code not in ("o", "i"):
        return
    if event.raw is None:
        for at in range(0, len(event.text), MESSAGE):
            yield event.code, event.text[at : at + MESSAGE]
        return
    rest = event.raw
    while rest:
        try:
            yield event.code, rest.decode()
            return
        except UnicodeDecodeError as error:
            if error.start:
                yield event.code, rest[: error.start].decode()
            yield event.code, rest[error.start : error.end]
            rest = rest[error.end :]
