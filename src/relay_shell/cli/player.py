"""Playing a recording on this terminal, at its own pace."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..evidence.cast import OWN, Event
from .escapes import Filter

LEAVE = (
    "\x1b[?1049l\x1b[?5l\x1b[?6l\x1b[?7h\x1b[?25h\x1b[?1l\x1b>\x1b[4l\x1b(B\x0f\x1b[0m"
    "\x1b7\x1b[r\x1b8"
)
"""Undoes the modes that `escapes` lets through."""


class Pace(NamedTuple):
    """How fast to play: times faster, longest pause in seconds (0 for none), where to begin."""

    speed: float = 1.0
    idle: float = 0.0
    start: float = 0.0


def shown(events: Iterable[Event], sieve: Filter | None) -> Iterator[Event]:
    """Events whose output may reach a terminal; all of it without a filter."""
    for event in events:
        if sieve is not None and event.code in ("o", "i"):
            yield event._replace(text=sieve.feed(event.text), raw=None)
        else:
            yield event


def play(events: Iterable[Event], pace: Pace, *, raw: bool = False) -> list[Event]:
    """Write the output to stdout, in time if that is a terminal; return the recorder's own notes.

    What the operator types meanwhile is thrown away: with `raw`, it may be the terminal's answers.
    """
    out = sys.stdout.buffer
    timed = out.isatty() and pace.speed > 0
    notes: list[Event] = []
    played = 0.0
    begun = time.monotonic()
    last = pace.start
    keys = _quiet_keys() if out.isatty() else None
    try:
        for event in events:
            if event.code == "m" and event.text.startswith(OWN):
                notes.append(event)
            if event.code != "o":
                continue
            if timed and event.time > pace.start:
                pause = event.time - last
                last = event.time
                played += (min(pause, pace.idle) if pace.idle else pause) / pace.speed
                out.flush()
                _sleep(begun + played - time.monotonic())
            out.write(event.raw if event.raw is not None else event.text.encode("utf-8", "replace"))
    finally:
        if out.isatty():
            out.write(LEAVE.encode() + b"\r\n")
        out.flush()
        if keys is not None:
            fd, attributes = keys
            termios.tcsetattr(fd, termios.TCSAFLUSH, attributes)
    return notes


def _sleep(seconds: float) -> None:
    if seconds > 0:
        select.select([], [], [], seconds)


def _quiet_keys() -> tuple[int, Any] | None:
    """Keep keys off the screen; return what restores the terminal."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        attributes = termios.tcgetattr(fd)
        quiet = termios.tcgetattr(fd)
        quiet[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(fd, termios.TCSADRAIN, quiet)
    except (OSError, termios.error):
        return None
    return fd, attributes
