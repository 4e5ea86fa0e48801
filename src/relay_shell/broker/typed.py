"""What was typed into sessions and not yet entered.

A shell runs lines, not messages: `rm -r` and ` /` in two messages are one command. So the text
that waits for its line end is kept for each session, and judged together with what follows.

Of messages that are under way at once the order in which they reach the terminal is not known, and
of one that failed it is not known whether it did. So every state that the session can be in is
kept: what waits there, and which messages are still to be typed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ..policy.keystrokes import Line, characters, press
from ..wire.errors import RelayError

TOOL = "session_send"

AT_ONCE = 2
"""Messages under way at once to one session; their orders are judged."""

READINGS = 4
"""Readings of a session's input that are told apart, for each set of messages under way."""

JUDGED = 256 * 1024
"""Characters that may have to be judged for one message."""

SESSIONS = 1024
TEXT = 256 * 1024
"""Sessions of one worker with unfinished input, and characters of it."""


class _State(NamedTuple):
    line: Line
    coming: frozenset[str]
    """Calls whose text has not been typed yet."""


_EMPTY = frozenset((_State(Line(), frozenset()),))
_UNKNOWN = frozenset((_State(Line("", True), frozenset()),))


class _Session(NamedTuple):
    """One session's input, replaced as a whole: a thread that looks sees one moment of it."""

    states: frozenset[_State] = _EMPTY
    live: Mapping[str, str] = MappingProxyType({})
    """Text of the calls under way."""
    version: int = 0
    """Of each change another, also of a session that is entered anew; 0 for none yet."""

    @property
    def size(self) -> int:
        return sum(len(state.line.text) for state in self.states)


class Look(NamedTuple):
    """What is judged of a call."""

    args: Mapping[str, Any]
    """The arguments; for session_send with `lines`, each text that a shell could come to read,
    and `edited`, whether keys were pressed that leave a line which cannot be known."""
    session: tuple[str, str] | None = None
    version: int = 0
    typed: str = ""
    states: frozenset[_State] = frozenset()
    """What the session can be in after it; the call itself is "" there."""


class Typed:
    """Unfinished input by worker and session handle."""

    def __init__(self) -> None:
        self._workers: dict[str, dict[str, _Session]] = {}
        self._calls: dict[str, tuple[str, str]] = {}
        self._versions = itertools.count(1)
        self._former: dict[str, set[str]] = {}
        """Workers whose sessions a former broker knew, and the sessions known since."""

    def __len__(self) -> int:
        return sum(map(len, self._workers.values()))

    def look(self, worker: str, tool: str, args: Mapping[str, Any]) -> Look:
        """What to judge of a call; nothing is changed. May run in a thread.

        Raises:
            RelayError: kind Busy, for too many messages to one session at once.
        """
        if tool != TOOL:
            return Look(args)
        typed = characters(args)
        if typed is None:
            return Look(args)
        handle = str(args.get("session"))[:256]
        session = self._workers.get(worker, {}).get(handle)
        if session is None:
            session = self._fresh(worker, handle)
        self._check_room(session, handle)
        lines: set[Line] = set()
        states = _close(_with(session.states, ""), {**session.live, "": typed}, lines)
        own = ("program", "pending", "lines", "edited")
        judged = {
            **{name: value for name, value in args.items() if name not in own},
            "lines": sorted({line.text for line in lines if line.text}),
            "edited": any(line.unknown for line in lines),
        }
        return Look(judged, (worker, handle), session.version, typed, states)

    def waiting(self, worker: str, tool: str, args: Mapping[str, Any]) -> int:
        """Characters that wait in the session that a call types into."""
        if tool != TOOL:
            return 0
        session = self._workers.get(worker, {}).get(str(args.get("session"))[:256])
        return session.size if session is not None else 0

    @staticmethod
    def _check_room(session: _Session, handle: str) -> None:
        if len(session.live) >= AT_ONCE:
            raise RelayError("Busy", reason=f"{AT_ONCE} messages to {handle[:64]} are under way")

    def stands(self, look: Look) -> bool:
        """Whether nothing was typed into the session since the look."""
        if look.session is None:
            return True
        worker, handle = look.session
        session = self._workers.get(worker, {}).get(handle)
        return (session.version if session is not None else 0) == look.version

    def begin(self, look: Look, call: str) -> None:
        """Enter an admitted call: its text is under way.

        Raises:
            RelayError: kind Busy, for too much unfinished input.
        """
        if look.session is None:
            return
        worker, handle = look.session
        sessions = self._workers.setdefault(worker, {})
        session = sessions.get(handle) or self._fresh(worker, handle)
        room = len(sessions) + (handle not in sessions) <= SESSIONS
        self._check_room(session, handle)
        states = frozenset(
            _State(line, coming - {""} | {call} if "" in coming else coming)
            for line, coming in look.states
        )
        size = sum(len(state.line.text) for state in states)
        if not room or size + sum(s.size for s in sessions.values()) > TEXT:
            if not sessions:
                del self._workers[worker]
            raise RelayError("Busy", reason="too much unfinished input; enter or abandon some")
        live = {**session.live, call: look.typed}
        sessions[handle] = _Session(states, live, next(self._versions))
        known = self._former.get(worker)
        if known is not None and len(known) < SESSIONS:
            known.add(handle)
        self._calls[call] = look.session

    def former(self, worker: str) -> None:
        """A former broker followed this worker's sessions: what waits in them is not known."""
        self._former.setdefault(worker, set())

    def _fresh(self, worker: str, handle: str) -> _Session:
        known = self._former.get(worker)
        return _Session(_EMPTY if known is None or handle in known else _UNKNOWN)

    def end(self, call: str, *, typed: bool | None) -> None:
        """A call ended.

        Args:
            typed: whether its text has reached the terminal: True for all of it, False for none,
                None where that is not known.
        """
        place = self._calls.pop(call, None)
        session = self._workers.get(place[0], {}).get(place[1]) if place else None
        if place is None or session is None:
            return
        if typed:
            left = {state for state in session.states if call not in state.coming}
        elif typed is not None:
            left = {
                _State(state.line, state.coming - {call})
                for state in session.states
                if call in state.coming
            }
        else:
            # None of it, all of it, or the beginning.
            left = {
                _State(Line(state.line.text, True), state.coming - {call})
                for state in session.states
            }
        live = {each: text for each, text in session.live.items() if each != call}
        now = _Session(_bounded(left), live, next(self._versions))
        sessions = self._workers[place[0]]
        if live or now.states != _EMPTY:
            sessions[place[1]] = now
            return
        del sessions[place[1]]
        if not sessions:
            del self._workers[place[0]]

    def gone(self, worker: str) -> None:
        """A worker ended, and its sessions with it."""
        self._workers.pop(worker, None)
        self._former.pop(worker, None)
        for call in [call for call, place in self._calls.items() if place[0] == worker]:
            del self._calls[call]


def _with(states: frozenset[_State], call: str) -> set[_State]:
    return {_State(state.line, state.coming | {call}) for state in states}


def _close(states: set[_State], live: Mapping[str, str], lines: set[Line]) -> frozenset[_State]:
    """Every state that can be reached by typing what is under way, in any order.

    `lines` gets every text that is read on the way.
    """
    reached = set(states)
    waiting = list(states)
    room = JUDGED
    while waiting:
        state = waiting.pop()
        for call in state.coming:
            judged, left = press(state.line, live[call])
            for line in judged - lines:
                lines.add(line)
                room -= len(line.text)
            if room < 0 and len(lines) > 1:
                raise RelayError("Busy", reason="too much unfinished input; enter or abandon some")
            for line in left:
                after = _State(line, state.coming - {call})
                if after not in reached:
                    reached.add(after)
                    waiting.append(after)
    return _bounded(reached)


def _bounded(states: set[_State]) -> frozenset[_State]:
    """At most `READINGS` for each set of calls: the longest, and the one that waits for nothing."""
    kept: set[_State] = set()
    for coming in {state.coming for state in states}:
        same = sorted(
            (state for state in states if state.coming == coming),
            key=lambda state: (len(state.line.text), state.line),
            reverse=True,
        )
        if len(same) > READINGS:
            same = [
                _State(Line(state.line.text, True), coming)
                for state in (*same[: READINGS - 1], same[-1])
            ]
        kept.update(same)
    return frozenset(kept)
