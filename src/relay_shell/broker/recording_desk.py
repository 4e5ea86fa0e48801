"""Recordings of sessions: the workers send what happens, this writes it and says so in the record.

No command shares an account with the broker, so none can change what was recorded; digests in the
chained record show what anybody else changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..evidence import cast
from ..wire.errors import RelayError
from ..wire.link import Link, RequestHandler
from . import recordings, statefile
from .recording import Recording, restored
from .recordings import Full, Limits, RecordingFile
from .retention import Retention
from .state import State
from .tickets import secret
from .workers import Worker

logger = logging.getLogger(__name__)

Body = dict[str, Any]
T = TypeVar("T")

OPEN = 4096
"""Recordings open at once, in all."""

CLOSED = 1024
"""Closed recordings remembered: a worker that did not hear it asks again."""

PENDING = 64 * 1024 * 1024
"""Octets of events that wait for the thread, in all; a worker with more asks again later."""

_HANDLE = re.compile(r"s\d{1,9}\.[a-z2-7]{8}")


class RecordingDesk:
    """Handlers of what workers say of recordings, and the care for the files."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._root = str(state.settings["paths.recordings"])
        self._runtime = str(state.settings["paths.runtime"])
        self._pool = ThreadPoolExecutor(1, "relay-recordings")
        self._open: dict[str, Recording] = {}
        self._opening: dict[tuple[str, str], asyncio.Task[Recording]] = {}
        self._closed: dict[tuple[str, str], None] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pending = 0
        self.trouble = ""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._period(), self._digests)
        self._retention = Retention(
            state,
            self._root,
            lambda: [recording.path for recording in list(self._open.values())],
            lambda work: self._start(self._do(work)),
        )
        self.requests: dict[str, RequestHandler] = {
            "record_open": self.open,
            "record": self.record,
            "record_close": self.close_one,
        }

    def __len__(self) -> int:
        return len(self._open)

    def status(self) -> Body:
        """What `relay-shell status` shows."""
        return {"open": len(self._open), "trouble": self.trouble}

    # ---- a recording's life --------------------------------------------------------------

    async def open(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Decide how a session is recorded, and begin its recording."""
        worker, state = _worker(link), self._state
        call = state.calls.find(body["call"])
        if call is None or call.worker != worker.id:
            raise RelayError("Protocol", reason="a recording belongs to a running call")
        # The handle becomes part of a path.
        if _HANDLE.fullmatch(body["session"]) is None or body["session"][-8:] != worker.id:
            raise RelayError("Protocol", reason="a recording belongs to a session of the worker")
        mode = state.access_of(worker, call.conn).recording
        if mode not in ("output", "full"):
            return {"recording": "", "mode": mode}
        key = (worker.id, body["session"])
        # The link may have been lost before the answer: the worker asks again.
        for recording in self._open.values():
            if (recording.worker, recording.session) == key:
                return {"recording": recording.id, "mode": recording.mode}
        task = self._opening.get(key)
        if task is None:
            task = self._start(self._begin(worker, call.conn, mode, body))
            self._opening[key] = task
            task.add_done_callback(lambda _: self._opening.pop(key, None))
        try:
            recording = await asyncio.shield(task)
        except (OSError, Full) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return self._unrecorded(worker, body, str(reason))
        return {"recording": recording.id, "mode": mode}

    async def _begin(self, worker: Worker, conn: str, mode: str, body: Body) -> Recording:
        state, started = self._state, time.time()
        if len(self._open) >= OPEN:
            raise Full(f"{OPEN} recordings are open")
        title = str(state.judge.redact(body["title"]))
        facts = {
            "session": body["session"],
            "call": body["call"],
            "principal": worker.principal,
            "conn": conn,
            "worker": worker.id,
            "posture": worker.posture,
            "host": os.uname().nodename,
            "mode": mode,
        }
        header = cast.header(
            columns=_size(body["columns"]),
            rows=_size(body["rows"]),
            timestamp=started,
            title=title,
            env={"TERM": body["term"], "SHELL": body["shell"]},
            facts=facts,
        )
        path = recordings.place(self._root, worker.principal, body["session"], started)
        recording = Recording(
            secret()[:24],
            path,
            mode,
            worker.id,
            body["session"],
            body["call"],
            conn,
            worker.principal,
            started,
            RecordingFile(path, self._limits()),
        )
        try:
            await self._do(self._create, recording, header)
            self._open[recording.id] = recording
        finally:
            self._retention.begun(path)
        self.trouble = ""
        if state.workers.find(worker.id) is not worker:
            self.gone(worker.id, "the worker ended")
        else:
            digest = await self._do(recording.file.digest)
            self._tell(recording, "recording-start", digest)
        state.changed()
        return recording

    def _create(self, recording: Recording, header: bytes) -> None:
        self._retention.begins(recording.path)
        recording.file.create(header)
        try:
            statefile.write(self._kept(recording.id), recording.stored(), durable=False)
        except OSError:
            recording.file.close()
            os.unlink(recording.path)
            raise

    def _unrecorded(self, worker: Worker, body: Body, reason: str) -> Body:
        state = self._state
        self.trouble = f"recordings cannot be written: {reason}"
        refused = state.settings["recording.on_failure"] == "refuse"
        state.floods.record(
            f"recording {worker.id}",
            event="session",
            call_id=body["call"],
            principal=worker.principal,
            **worker.facts(),
            what="recording-refused" if refused else "recording-failed",
            detail=body["session"],
            error=self.trouble,
        )
        if refused:
            error = RelayError("EvidenceUnavailable", reason=reason)
            error.message = f"this session must be recorded, and cannot be: {reason}"
            raise error
        return {"recording": "", "mode": "metadata"}

    async def record(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Write events; the answer says that they are written.

        Raises:
            RelayError: EvidenceUnavailable, if they cannot be now; NotFound; Protocol.
        """
        recording = self._find(_worker(link), body["recording"])
        if recording is None:
            raise RelayError("NotFound", reason="no such recording is open")
        try:
            events = cast.checked(body["events"])
        except ValueError as error:
            raise RelayError("Protocol", reason=str(error)) from None
        recording.file.limits = self._limits()
        size = sum(len(text) + len(raw or "") for _, _, text, raw in events)
        if self._pending and self._pending + size > PENDING:
            raise RelayError("Busy", reason="too much is being recorded at once")
        self._pending += size
        try:
            more = await self._do(self._append, recording.file, body["first"], events)
        except (OSError, Full, ValueError) as error:
            raise self._troubled(recording, error) from None
        finally:
            self._pending -= size
        if recording.trouble:
            recording.trouble = self.trouble = ""
            self._note(recording, "recording-resumed")
        if not more and not recording.over:
            recording.over = True
            self._note(recording, "recording-limit", bytes=recording.file.size)
        return {"more": more}

    def _append(
        self, file: RecordingFile, first: int, events: list[tuple[float, str, str, str | None]]
    ) -> bool:
        self._retention.room()
        before = file.size
        more = file.append(first, events)
        self._retention.wrote(file.size - before)
        return more

    def _troubled(self, recording: Recording, error: Exception) -> RelayError:
        reason = str(error.strerror if isinstance(error, OSError) else error)
        self.trouble = f"recordings cannot be written: {reason}"
        if not recording.trouble:
            logger.error("%s: %s", recording.path, reason)
            self._note(recording, "recording-failed", error=self.trouble)
        recording.trouble = reason
        return RelayError("EvidenceUnavailable", reason=reason)

    async def close_one(self, link: Link, body: Body, fds: list[int]) -> Body:
        """A session has ended."""
        worker = _worker(link)
        recording = self._find(worker, body["recording"])
        if recording is None:
            if (worker.id, body["recording"]) in self._closed:
                return {}
            raise RelayError("NotFound", reason="no such recording is open")
        recording.file.missing += max(0, body["first"] - recording.file.events)
        lines = []
        if "exit" in body:
            lines.append(cast.exit_line(recording.file.time, body["exit"]))
        facts = {"dropped": body["dropped"], "masked": body["masked"]}
        await self._finish(recording, lines, str(body["reason"]), facts)
        return {}

    def gone(self, worker: str, reason: str) -> None:
        """A worker ended: its recordings end here, incomplete."""
        for recording in [row for row in self._open.values() if row.worker == worker]:
            self._start(self._cut(recording, reason))

    async def _cut(self, recording: Recording, reason: str) -> None:
        words = f"{reason}; what came last may be missing"
        lines = [cast.note_line(recording.file.time, words)]
        await self._finish(recording, lines, reason, {"incomplete": True})

    async def _finish(
        self, recording: Recording, lines: list[bytes], reason: str, facts: Body
    ) -> None:
        if self._open.pop(recording.id, None) is None:
            return
        self._closed[recording.worker, recording.id] = None
        while len(self._closed) > CLOSED:
            self._closed.pop(next(iter(self._closed)))
        digest = await self._do(self._end, recording, lines)
        if recording.file.missing:
            facts = facts | {"missing": recording.file.missing}
        if recording.over:
            facts = facts | {"limit": True}
        self._tell(recording, "recording", digest, reason=reason, **facts)
        with contextlib.suppress(OSError):
            os.unlink(self._kept(recording.id))
        self._state.changed()

    def _end(self, recording: Recording, lines: list[bytes]) -> cast.Digest:
        recording.file.finish(lines)
        return recording.file.digest()

    # ---- the record ----------------------------------------------------------------------

    def _tell(self, recording: Recording, what: str, digest: cast.Digest, **facts: Any) -> None:
        shown = recording.shown(digest)
        self._note(recording, what, facts={"recording": shown, **facts})

    def _note(self, recording: Recording, what: str, **facts: Any) -> None:
        self._state.trail.note(
            event="session",
            call_id=recording.call,
            conn=recording.conn,
            principal=recording.principal,
            worker=recording.worker,
            what=what,
            detail=recording.session,
            **facts,
        )

    def _digests(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._period(), self._digests)
        for recording in list(self._open.values()):
            if recording.file.size > recording.told:
                self._start(self._digest(recording))

    async def _digest(self, recording: Recording) -> None:
        digest = await self._do(recording.file.digest)
        if recording.id in self._open:
            self._tell(recording, "recording-part", digest)

    # ---- restart, end --------------------------------------------------------------------

    def restore(self) -> None:
        """Go on with the recordings that a former broker left open."""
        for name in sorted(os.listdir(self._runtime)):
            if not name.startswith("recording-") or not name.endswith(".json"):
                continue
            path = os.path.join(self._runtime, name)
            try:
                recording = restored(statefile.read(path), self._limits())
            except (statefile.StateError, FileNotFoundError) as error:
                self._lost(path, f"its state cannot be used: {error}")
                continue
            self._open[recording.id] = recording
            self._start(self._resume(recording))

    async def _resume(self, recording: Recording) -> None:
        try:
            await self._do(recording.file.resume)
        except (OSError, ValueError) as error:
            self._open.pop(recording.id, None)
            self._lost(self._kept(recording.id), f"{recording.path}: {error}")
            return
        recording.over = recording.file.over
        if self._state.workers.find(recording.worker) is None:
            await self._cut(recording, "broker and worker ended during the session")

    def _lost(self, path: str, reason: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(path)
        self._state.trail.note(event="session", what="recording-lost", error=reason)

    async def close(self) -> None:
        """The broker stops: recordings stay open for the next one, which goes on with them."""
        self._timer.cancel()
        self._retention.stop()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for recording in list(self._open.values()):
            digest = await self._do(recording.file.digest)
            if digest.bytes > recording.told:
                self._tell(recording, "recording-part", digest)
            recording.file.close()
        self._pool.shutdown(wait=True)

    # ---- helpers -------------------------------------------------------------------------

    def _limits(self) -> Limits:
        settings = self._state.settings
        return Limits(settings["recording.session_bytes"], settings["recording.free_bytes"])

    def _period(self) -> float:
        return float(self._state.settings["recording.digest_seconds"])

    def _kept(self, ident: str) -> str:
        return os.path.join(self._runtime, f"recording-{ident}.json")

    def _find(self, worker: Worker, ident: str) -> Recording | None:
        recording = self._open.get(ident)
        return recording if recording is not None and recording.worker == worker.id else None

    async def _do(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _worker(link: Link) -> Worker:
    worker = link.context
    if not isinstance(worker, Worker):
        raise RelayError("Protocol", reason="this link is no worker's any more")
    return worker


def _size(number: int) -> int:
    return min(max(number, 1), 10_000)
