"""One session: a program, its terminal, what it wrote, and who waits for more."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..wire.errors import RelayError
from . import pty
from .children import Children
from .confined import Confined
from .process import Process, start
from .redaction import Redaction
from .ring import Ring
from .screen import Screen
from .tree import Ended
from .typist import type_into

if TYPE_CHECKING:
    from ..secrets import StreamRedactor
    from .recorder import Recorder
    from .usage import Usage

GRACE = 0.3
"""Seconds between the hangup and the kill of a session that is ended."""

SETTLE = 0.1
"""Seconds without output after which what may be the beginning of a secret is shown as it stands:
a prompt must not wait for more."""

_READ = 65_536
_BUDGET = 262_144
"""Octets read from a terminal before others get a turn."""


class Session:
    """A program on a terminal; starting it is the constructor's work.

    Args:
        handle: its public name; owner: its name among children and cgroups.
        buffer: octets of output kept for readers.
        call_id: the call that started it, for the record.
        confined: what an enforced program runs in; taken over.
        redaction: decides at each output whether secrets in it are hidden.
        recorder: takes what is shown and typed; None where nothing is recorded.
        on_exit: called once, when the program and its whole tree have ended.

    Raises:
        RelayError: kind Spawn; kind Internal, if output must be redacted and cannot.
    """

    def __init__(
        self,
        handle: str,
        owner: str,
        argv: Sequence[str],
        children: Children,
        *,
        env: Mapping[str, str],
        cwd: str,
        rows: int,
        columns: int,
        buffer: int,
        title: str,
        call_id: str,
        enforcement: str,
        confined: Confined | None,
        redaction: Redaction,
        on_exit: Callable[[Session], None],
        recorder: Recorder | None = None,
    ) -> None:
        from hashlib import sha256

        self.handle = handle
        self.title = title
        self.call_id = call_id
        self.enforcement = enforcement
        self.ring = Ring(buffer)
        self.redaction = redaction
        self._redactor: StreamRedactor | None = redaction.stream()
        self._flush: asyncio.TimerHandle | None = None
        self._bytes = self._typed = self._sends = self._resizes = 0
        self.recorder = recorder
        self.rows, self.columns = rows, columns
        self.cursor = 0
        """Where the next read begins that names no offset."""
        self.running = True
        self.exit: int | None = None
        self.signal: str | None = None
        self.created = self.last_used = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self.last_output = self._loop.time()
        self._on_exit = on_exit
        self._hash = sha256()
        self._waiting: set[asyncio.Future[None]] = set()
        self._sending: asyncio.Lock = asyncio.Lock()
        self._screen: Screen | None = None
        self._reason = "exited"
        self._ended = Ended(0, 0)
        self._used: Usage | None = None
        self._finishing: asyncio.Task[None] | None = None
        try:
            self._master, slave = pty.open_pty(rows, columns)
        except OSError as error:
            reason = f"no terminal: {error.strerror}"
            if confined is not None:
                confined.close()
            raise RelayError("Spawn", program=argv[0], reason=reason) from None
        try:
            self._process: Process = start(
                owner,
                argv,
                children,
                env=env,
                cwd=cwd,
                terminal=slave,
                confined=confined,
                on_exit=self._process_ended,
            )
        except BaseException:
            os.close(self._master)
            raise
        self.pid = self._process.pid
        self._loop.add_reader(self._master, self._readable)
        if recorder is not None:
            recorder.begin(call_id, self._master, self._pause, self._go_on)

    # ---- use -----------------------------------------------------------------------------

    def touch(self) -> None:
        """Somebody used the session."""
        self.last_used = time.monotonic()

    async def send(
        self,
        text: str,
        keys: Sequence[str] = (),
        *,
        submit: bool = False,
        enforcement: str,
        call_id: str = "",
    ) -> int:
        """Type text, then keys, then Enter; return the octets typed.

        Args:
            call_id: the call that types, for the recording.

        Raises:
            RelayError: kind InvalidArguments for an unknown key or nothing to type, NotFound if
                the program has ended, Busy if it does not read, Enforcement if the session was
                started with less confinement than this call demands.
        """
        self.touch()
        if enforcement not in ("none", self.enforcement):
            raise RelayError(
                "Enforcement", reason=f"{self.handle} was started with {self.enforcement!r}"
            )
        typed = text + "".join(pty.key(name) for name in keys) + ("\r" if submit else "")
        if not typed:
            raise RelayError("InvalidArguments", reason="give text, keys or submit")
        data = typed.encode("utf-8", "replace")
        async with self._sending:
            self._open()
            self._typed += len(data)
            self._sends += 1
            if self.recorder is not None:
                shown = self.redaction.text(data.decode()).encode() if self.redaction.on else data
                self.recorder.typing(call_id, shown)
            await type_into(self._open, self.handle, data)
        return len(data)

    async def wait(self, timeout: float) -> None:
        """Return at the next output, at the end, or after `timeout` seconds."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.add(future)
        timer = self._loop.call_later(timeout, _wake, future)
        try:
            await future
        finally:
            timer.cancel()
            self._waiting.discard(future)

    async def screen(self) -> dict[str, Any]:
        """The rendered screen as facts.

        Raises:
            RelayError: kind Internal, where pyte is not installed.
        """
        self.touch()
        if self._screen is None:
            try:
                self._screen = Screen(self.rows, self.columns)
            except ImportError:
                raise RelayError("Internal", reason="python3-pyte is not installed") from None
        seen = await self._screen.look(self.ring, self.rows, self.columns)
        if self.redaction.on:
            # A program that paints may have parted by movements what stands together on the screen.
            shown = self.redaction.text("\n".join(seen["lines"])).split("\n")
            seen.update(lines=shown, title=self.redaction.text(seen["title"]))
            seen["redactions"] = self.redaction.counts(*shown, seen["title"])
        return {"session": self.handle, **seen, "running": self.running}

    def resize(self, rows: int, columns: int) -> None:
        """Change the terminal's size.

        Raises:
            RelayError: kind NotFound, if the program has ended.
        """
        self.touch()
        self._open()
        pty.resize(self._master, rows, columns)
        self.rows, self.columns = rows, columns
        self._resizes += 1
        if self.recorder is not None:
            self.recorder.resize(rows, columns)

    def facts(self) -> dict[str, Any]:
        """A row of session_list."""
        now = time.monotonic()
        return {
            "session": self.handle,
            "command": self.title[:200],
            "pid": self.pid,
            "running": self.running,
            "age": int(now - self.created),
            "idle": int(now - self.last_used),
            "unread": self.ring.end - max(self.cursor, self.ring.start),
            "rows": self.rows,
            "columns": self.columns,
            **self._status(),
        }

    def ending(self) -> dict[str, Any]:
        """What the record says of a session that has ended."""
        return {
            "session": self.handle,
            "reason": self._reason,
            **self._status(),
            "sha256": self._hash.hexdigest(),
            "bytes": self._bytes,
            **({} if self._used is None else self._used.facts()),
            "survivors": self._ended.survivors,
            "duration_ms": round((time.monotonic() - self.created) * 1000),
        }

    def counted(self) -> dict[str, Any]:
        """What the record says of a session beside its end, unless recording.mode is off."""
        return {
            "title": self.title[:1024],
            "rows": self.rows,
            "columns": self.columns,
            "sends": self._sends,
            "typed_bytes": self._typed,
            "resizes": self._resizes,
        }

    async def end(self, reason: str) -> Ended:
        """Hang up, wait for `GRACE` seconds, then kill what is left."""
        if self._finishing is None:
            self._reason = reason
            self._finishing = self._loop.create_task(self._finish(hang_up=True))
        await asyncio.shield(self._finishing)
        return self._ended

    # ---- terminal ------------------------------------------------------------------------

    def _open(self) -> int:
        if not self.running or self._master < 0:
            raise RelayError("NotFound", reason=f"the program of {self.handle} has ended")
        return self._master

    def _readable(self) -> None:
        budget = _BUDGET
        while budget > 0 and self._master >= 0:
            try:
                data = os.read(self._master, _READ)
            except BlockingIOError:
                break
            except OSError:
                # EIO: no process has the slave open any more (pty(7)).
                data = b""
            if not data:
                self._close()
                break
            budget -= len(data)
            self._hash.update(data)
            self._bytes += len(data)
            self._take(data)
            self.last_output = self._loop.time()
            if self.recorder is not None and self.recorder.came(data) and not self._finishing:
                break
        self._wake_all()

    def _show(self, data: bytes) -> None:
        """Keep what may be shown, and record it."""
        self.ring.append(data)
        if self.recorder is not None:
            self.recorder.output(data)

    def _pause(self) -> None:
        if self._master >= 0:
            self._loop.remove_reader(self._master)

    def _go_on(self) -> None:
        if self._master >= 0:
            self._loop.add_reader(self._master, self._readable)

    def _take(self, data: bytes) -> None:
        """Append to the buffer what of the output is decided to be no secret."""
        if self.redaction.on:
            if self._redactor is None:
                try:
                    self._redactor = self.redaction.stream()
                except RelayError as error:
                    self._show(f"[output withheld: {error.message}]\n".encode())
                    return
        elif self._redactor is not None:
            # Switched off: what comes now is shown, what was held back ends here.
            self._show(self._redactor.finish())
            self._redactor = None
        if self._redactor is None:
            self._show(data)
            return
        self._show(self._redactor.feed(data))
        if self._redactor.pending:
            if self._flush is not None:
                self._flush.cancel()
            self._flush = self._loop.call_later(SETTLE, self._settled)

    def _settled(self) -> None:
        self._flush = None
        if self._redactor is not None and (held := self._redactor.flush()):
            self._show(held)
            self._wake_all()

    def _close(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._redactor is not None:
            self._show(self._redactor.finish())
            self._redactor = None
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            self._loop.remove_writer(self._master)
            os.close(self._master)
            self._master = -1

    def _wake_all(self) -> None:
        for future in self._waiting:
            _wake(future)

    # ---- the end -------------------------------------------------------------------------

    def _process_ended(self) -> None:
        if self._finishing is None:
            self._finishing = self._loop.create_task(self._finish(hang_up=False))
        self._wake_all()

    async def _finish(self, hang_up: bool) -> None:
        process = self._process
        tree = process.tree
        members = len(tree.members())
        if hang_up and not process.exited:
            tree.signal(signal.SIGHUP)
            # A stopped process takes no hangup until it is continued.
            tree.signal(signal.SIGCONT)
            deadline = self._loop.time() + GRACE
            while not process.exited and (left := deadline - self._loop.time()) > 0:
                await self.wait(left)
        ended = await tree.kill()
        self._ended = Ended(max(members, ended.killed), ended.survivors)
        if self._master >= 0:
            self._readable()
        self._close()
        status = process.reap()
        self._used = status.used
        self.signal = status.signal
        self.exit = status.exit if status.signal is None else 128 + status.signal_number
        self.running = False
        if self.recorder is not None:
            self.recorder.finish(self._reason, self.exit)
        self._wake_all()
        self._on_exit(self)

    def _status(self) -> dict[str, Any]:
        found = {"exit": self.exit, "signal": self.signal}
        return {name: value for name, value in found.items() if value is not None}


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
