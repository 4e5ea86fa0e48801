"""Sessions: programs on terminals of their own that outlive a call and a connection."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..wire.errors import RelayError
from . import environment, patterns
from .capture import MOST_OUTPUT, whole_characters
from .children import Children
from .confined import Enforcer
from .plain import plain
from .recorder import Ask, Recorder, open_recorder
from .redaction import Redaction
from .run import Caller
from .session import Session
from .tree import Ended

QUIET = 0.3
"""Seconds without output after which a read that names no condition returns."""

TIMEOUT = 10.0
"""Seconds that a read waits by default."""

CHECK = 0.02
"""Seconds between two matches of a pattern against output that keeps coming."""

REVIEW = 60.0
"""Seconds after which limits are looked at again at the latest: a reload may have changed them."""

LAST_EVENTS = 2.0
"""Seconds in which recordings are finished when the worker ends."""

Note = Callable[[str, str, Mapping[str, Any]], None]
"""Records a fact: what, the call's id, the facts."""


class Reading(NamedTuple):
    """What one read returned; offsets are octets from the session's start."""

    session: str
    text: str
    offset: int
    next_offset: int
    missed: int
    more: bool
    reason: str
    match: str | None
    running: bool
    exit: int | None
    signal: str | None
    redactions: dict[str, int] | None
    """Secrets hidden in the text, by rule; None where nothing is hidden."""


class SessionTable:
    """The sessions of one worker.

    Args:
        worker: the worker's id, which ends every handle.
        note: told of every session that ends.
        changed: called when one starts or ends.
        record: asks the broker to record; None where nobody does.
    """

    def __init__(
        self,
        worker: str,
        children: Children,
        account: environment.Account,
        settings: Mapping[str, Any],
        enforcer: Enforcer,
        note: Note,
        changed: Callable[[], None],
        record: Ask | None = None,
    ) -> None:
        self._enforcer = enforcer
        self._worker = worker
        self._children = children
        self._account = account
        self._settings = settings
        self._redaction = Redaction(settings)
        self._note = note
        self._changed = changed
        self._record = record
        self._recorders: set[Recorder] = set()
        self._starting = 0
        self._counted: set[str] = set()
        """Sessions whose counts go into the record."""
        self._table: dict[str, Session] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._ending: dict[str, asyncio.Task[Ended]] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._table)

    def running(self) -> list[Session]:
        """The sessions whose program has not ended."""
        return [session for session in self._table.values() if session.running]

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        call: Caller,
        cwd: str | None,
        env: Mapping[str, str] | None,
        rows: int,
        columns: int,
        title: str,
    ) -> Session:
        """Start a program on a terminal.

        Raises:
            RelayError: kinds Busy, Spawn, InvalidArguments and Enforcement; nothing runs then.
        """
        most = self._settings.get("limits.sessions", 64)
        if len(self.running()) + self._starting >= most:
            raise RelayError("Busy", reason=f"{most} sessions are open; end one by session_kill")
        self._make_room(most)
        handle = f"s{self._next}.{self._worker}"
        self._next += 1
        self._starting += 1
        try:
            recorder, mode = await self._recorder(handle, call, rows, columns, title)
        finally:
            self._starting -= 1
        try:
            session = self._start(handle, argv, call, cwd, env, rows, columns, title, recorder)
        except BaseException:
            if recorder is not None:
                recorder.finish("not started", None)
            raise
        if mode != "off":
            self._counted.add(handle)
        self._table[handle] = session
        self._review(session)
        self._changed()
        return session

    async def _recorder(
        self, handle: str, call: Caller, rows: int, columns: int, title: str
    ) -> tuple[Recorder | None, str]:
        self._recorders = {each for each in self._recorders if not each.done}
        body = {
            "session": handle,
            "call": call.id,
            "rows": rows,
            "columns": columns,
            "title": title[:1024],
            "term": environment.TERM,
            "shell": str(self._settings.get("worker.shell", "")),
        }
        wait = float(self._settings.get("recording.wait", 2))
        recorder, mode = await open_recorder(self._record, body, wait)
        if recorder is not None:
            self._recorders.add(recorder)
        return recorder, mode

    def _start(
        self,
        handle: str,
        argv: Sequence[str],
        call: Caller,
        cwd: str | None,
        env: Mapping[str, str] | None,
        rows: int,
        columns: int,
        title: str,
        recorder: Recorder | None,
    ) -> Session:
        variables = environment.build(
            self._account, self._settings, env, call_id=call.id, session=handle
        )
        return Session(
            handle,
            f"session-{handle}",
            argv,
            self._children,
            env=variables,
            cwd=environment.directory(self._account, cwd),
            rows=rows,
            columns=columns,
            buffer=self._settings.get("limits.session_buffer", 262_144),
            title=title,
            call_id=call.id,
            enforcement=call.enforcement,
            confined=self._enforcer.confine(call.enforcement),
            redaction=self._redaction,
            on_exit=self._exited,
            recorder=recorder,
        )

    def get(self, handle: str) -> Session:
        """The session of a handle.

        Raises:
            RelayError: kind NotFound.
        """
        session = self._table.get(handle)
        if session is None:
            raise RelayError("NotFound", reason=f"no session {handle[:64]!r}")
        return session

    def list(self) -> list[dict[str, Any]]:
        """A row for each session, oldest first."""
        return [session.facts() for session in self._table.values()]

    async def read(
        self,
        session: Session,
        *,
        wait: str | None = None,
        quiet: float | None = None,
        timeout: float | None = None,
        offset: int | None = None,
        raw: bool = False,
        max_output: int | None = None,
    ) -> Reading:
        """Wait for a condition, then return the output from the last read on, or from `offset`.

        Ends with the first of: `wait` (an RE2 pattern) matches; `quiet` seconds without output;
        the program has ended; more output than `max_output` is there; `timeout`. Without `wait`
        and `quiet`, quiet means `QUIET` seconds after some output.

        Raises:
            RelayError: kind InvalidArguments.
        """
        pattern = None if wait is None else patterns.compile(wait)
        most = self._output_limit(max_output)
        longest = self._settings.get("limits.timeout_max", 900)
        timeout = TIMEOUT if timeout is None else timeout
        if timeout > longest:
            raise RelayError("InvalidArguments", reason=f"timeout is at most {longest:g} s here")
        ring = session.ring
        begin = session.cursor if offset is None else offset
        if begin < 0:
            begin = max(ring.start, ring.end + begin)
        begin = min(begin, ring.end)
        loop = asyncio.get_running_loop()
        called = loop.time()
        deadline = called + timeout
        settle = QUIET if quiet is None and wait is None else quiet
        match: str | None = None
        checked = -1
        session.touch()
        while True:
            now = loop.time()
            if pattern is not None and ring.end != checked:
                checked = ring.end
                data = ring.read(begin)
                found = pattern.search(data if raw else plain(data, not session.running)[0])
                if found is not None:
                    match = found.group(0).decode("utf-8", "replace")[:1000]
                    reason = "match"
                    break
            if ring.end - max(begin, ring.start) >= most:
                reason = "full"
                break
            if not session.running:
                reason = "exit"
                break
            wake = deadline
            if settle is not None and (quiet is not None or ring.end > begin):
                wake = min(wake, max(called, session.last_output) + settle)
            if now >= wake:
                reason = "quiet" if wake < deadline else "timeout"
                break
            await session.wait(wake - now)
            if pattern is not None and loop.time() < min(now + CHECK, deadline):
                await asyncio.sleep(CHECK)
        session.touch()
        return self._reading(session, begin, most, raw, reason, match)

    async def end(self, session: Session, reason: str) -> Ended:
        """End a session with all its processes and drop it; the record says `reason`."""
        task = self._ending.get(session.handle)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._end(session, reason))
            self._ending[session.handle] = task
        # Whoever waits may be cancelled; the end goes on.
        return await asyncio.shield(task)

    async def end_all(self, reason: str) -> None:
        """End every session."""
        await asyncio.gather(*(self.end(s, reason) for s in list(self._table.values())))

    async def _end(self, session: Session, reason: str) -> Ended:
        try:
            ended = await session.end(reason)
        finally:
            self._drop(session)
            self._ending.pop(session.handle, None)
        return ended

    def _exited(self, session: Session) -> None:
        """Called by a session that has ended, its tree included."""
        counted = session.counted() if session.handle in self._counted else {}
        self._counted.discard(session.handle)
        self._note("session_end", session.call_id, session.ending() | counted)
        self._changed()

    def _drop(self, session: Session) -> None:
        self._table.pop(session.handle, None)
        timer = self._timers.pop(session.handle, None)
        if timer is not None:
            timer.cancel()
        self._changed()

    def _make_room(self, most: int) -> None:
        done = [session for session in self._table.values() if not session.running]
        for session in done[: max(0, len(self._table) + 1 - max(most, 1))]:
            self._drop(session)

    def _review(self, session: Session) -> None:
        """Arm the timer that ends a session that is idle or old."""
        now = time.monotonic()
        idle = self._settings.get("limits.session_idle", 1800) - (now - session.last_used)
        life = self._settings.get("limits.session_life", 86_400) - (now - session.created)
        if min(idle, life) > 0:
            self._timers[session.handle] = asyncio.get_running_loop().call_later(
                min(idle, life, REVIEW), self._review, session
            )
            return
        reason = "idle" if idle <= life else "lifetime"
        if session.handle not in self._ending:
            task = asyncio.get_running_loop().create_task(self._end(session, reason))
            self._ending[session.handle] = task

    def _output_limit(self, max_output: int | None) -> int:
        most = min(int(self._settings.get("limits.output_max", 1_048_576)), MOST_OUTPUT)
        if max_output is None:
            return min(most, int(self._settings.get("limits.output", 65_536)))
        if max_output > most:
            raise RelayError("InvalidArguments", reason=f"max_output is at most {most} bytes here")
        return max_output

    def _reading(
        self, session: Session, begin: int, most: int, raw: bool, reason: str, match: str | None
    ) -> Reading:
        ring = session.ring
        start = max(begin, ring.start)
        data = ring.read(start, most)
        final = not session.running and start + len(data) == ring.end
        if raw:
            shown = data if final else whole_characters(data)
            used = len(shown)
        else:
            shown, used = plain(data, final)
        if used == 0 and len(data) == most:
            # Nothing but one sequence longer than the whole room.
            shown, used = plain(data, True)
        after = start + used
        session.cursor = max(session.cursor, after)
        more = after < ring.end and (reason in ("full", "exit") or len(data) == most)
        text = self._redaction.text(shown.decode("utf-8", "replace"))
        return Reading(
            session=session.handle,
            text=text,
            offset=start,
            next_offset=after,
            missed=start - begin,
            more=more,
            reason="full" if reason == "exit" and more else reason,
            match=None if match is None else self._redaction.text(match),
            running=session.running,
            exit=session.exit,
            signal=session.signal,
            redactions=self._redaction.counts(text),
        )

    async def close(self) -> None:
        """End everything; for the end of the worker."""
        await self.end_all("worker stopped")
        for task in list(self._ending.values()):
            with contextlib.suppress(Exception):
                await task
        if self._recorders:
            await asyncio.gather(*(each.flushed(LAST_EVENTS) for each in self._recorders))
            for recorder in self._recorders:
                recorder.cancel()
