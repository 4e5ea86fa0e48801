"""One command on one machine: run to its end, bounded in time and output as a local one is."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import time
from functools import partial
from typing import Any, NamedTuple, Protocol

import asyncssh

from ..shell.capture import Capture
from ..shell.completed import Completed
from ..shell.outputs import Spill
from ..shell.process import Status
from ..shell.redaction import Redaction
from ..shell.summary import Keeper, sum_up
from ..shell.tree import Ended
from ..shell.uncancelled import uncancelled
from ..shell.usage import ELSEWHERE
from ..wire.errors import RelayError
from .connect import said
from .hostkeys import print_of

QUIET = 1.0
"""Seconds without output after which what the command left running is not listened to further.

The exit status overtakes output that waits for room in the channel's window."""

KILL = 3.0
"""Seconds for the host to say that the command has ended after it was told to kill it."""

NO_STATUS = 255
"""Exit status where the host told none, as that of ssh(1)."""

_SIGNAL = re.compile(r"[A-Z0-9]{2,10}")

PROGRESS = 1.0
"""Seconds between two looks at the output for progress."""


class Call(Protocol):
    """What a run needs to know of its call."""

    listening: bool
    """Whether anybody wants progress."""
    partial: Any
    """Set to the `Completed` of a run that was cancelled."""

    def progress(self, message: str) -> None: ...


class Shell(Keeper, Protocol):
    """The part of `shell.run.Shell` that keeps and redacts output."""

    redaction: Redaction

    def spill(self) -> Spill | None: ...


class Done(NamedTuple):
    """How a command on another machine ended."""

    completed: Completed
    address: str
    """To which the connection went, "" behind a jump host."""
    host_key: str
    """Fingerprint of the key by which the host proved itself."""
    lost: RelayError | None = None
    """Why its end is not known: it may run on."""
    unconfirmed: bool = False
    """It was to be killed, and the host has not said that it ended."""
    left: bool = False
    """Something that it started holds its output open, and was left running there."""

    @property
    def status(self) -> str:
        """As the `status` of the end message."""
        if self.lost is not None:
            return "error"
        return "ok" if self.completed.timeout is None else "timeout"


class Command(asyncssh.SSHClientSession[bytes]):
    """A session that runs one command; its output goes where that of a local one goes.

    Args:
        shell: where output that is not shown is kept, None to keep none.
    """

    def __init__(self, redaction: Redaction, shell: Shell | None, most: int, merge: bool) -> None:
        spill = shell.spill if shell is not None else None
        self.out = Capture(most, spill, redaction.stream())
        self.err = self.out if merge else Capture(most, spill, redaction.stream())
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.exit: int | None = None
        self.signal: str | None = None
        self.ended = asyncio.Event()
        """The command has ended."""
        self.closed = asyncio.Event()
        """Nothing comes any more."""
        self.lost = ""

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        (self.err if datatype == asyncssh.EXTENDED_DATA_STDERR else self.out).feed(data)

    def exit_status_received(self, status: int) -> None:
        self.exit = status
        self.ended.set()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.signal = signal
        self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.lost = said(exc)
        self.closed.set()
        self.ended.set()

    def send(self, stdin: bytes) -> None:
        """Give the command its standard input; one that does not want it is left alone."""
        assert self.channel is not None
        with contextlib.suppress(OSError):
            if stdin:
                self.channel.write(stdin)
            self.channel.write_eof()

    @property
    def told(self) -> bool:
        """Whether the host said how the command ended."""
        return self.exit is not None or self.signal is not None

    async def drain(self, seconds: float) -> None:
        """Wait for the rest of the output of a command that has ended, `seconds` at most if what
        it left running goes on writing."""
        until = time.monotonic() + seconds
        seen = -1
        while self.told and not self.closed.is_set():
            if seen == self.heard or (seen >= 0 and time.monotonic() >= until):
                return
            seen = self.heard
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(QUIET):
                    await self.closed.wait()

    @property
    def heard(self) -> int:
        """Octets of output so far."""
        return self.out.total if self.err is self.out else self.out.total + self.err.total

    async def kill(self) -> bool:
        """Have the host kill the command (RFC 4254 section 6.9); whether it said that it ended."""
        assert self.channel is not None
        with contextlib.suppress(OSError, asyncssh.Error):
            self.channel.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL):
                await self.ended.wait()
        return self.told

    def status(self) -> Status:
        """How it ended, for a result."""
        if self.signal is not None and _SIGNAL.fullmatch(self.signal):
            name = f"SIG{self.signal}"
            number = getattr(signal.Signals, name, None)
            return Status(None, name, int(number) if number else 127, ELSEWHERE)
        return Status(NO_STATUS if self.exit is None else self.exit, None, 0, ELSEWHERE)


async def run(
    host: str,
    connection: asyncssh.SSHClientConnection,
    command: str,
    shell: Shell,
    call: Call,
    *,
    stdin: bytes,
    timeout: float,
    max_output: int,
    merge_stderr: bool,
    keep: bool,
) -> Done:
    """Run a command on the machine at the other end; its login shell reads the text.

    Args:
        host: its name, for errors.
        timeout: seconds.
        max_output: octets to show.
        keep: whether output that is not shown is kept for output_read.

    Raises:
        RelayError: kind Unreachable, if no session could be opened: nothing ran then.
        asyncio.CancelledError: after the host was told to kill the command; `call.partial` says
            what there was.
    """
    session = Command(shell.redaction, shell if keep else None, max_output, merge_stderr)
    began = time.monotonic()
    finish = partial(_finish, host, session, connection, shell, max_output, began + timeout)
    timed_out = False
    try:
        try:
            async with asyncio.timeout(timeout):
                await connection.create_session(
                    lambda: session,
                    command,
                    env=None,
                    send_env=None,
                    request_pty=False,
                    encoding=None,
                )
                session.send(stdin)
                await _watch(session, call)
        except TimeoutError:
            timed_out = True
        except (OSError, asyncssh.Error) as error:
            if session.channel is None or isinstance(error, asyncssh.ChannelOpenError):
                raise RelayError("Unreachable", host=host, reason=said(error)) from None
            session.lost = said(error)
        done = await finish(kill=timed_out, keep=keep)
        if timed_out:
            done.completed.timeout = timeout
    except asyncio.CancelledError:
        done = await uncancelled(finish(kill=True, keep=False))
        done.completed.duration_ms = _since(began)
        call.partial = done.completed
        raise
    done.completed.duration_ms = _since(began)
    return done


async def _watch(session: Command, call: Call) -> None:
    """Wait for the command's end; report the last lines of output meanwhile."""
    seen = 0
    while not session.ended.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROGRESS if call.listening else None):
                await session.ended.wait()
        if call.listening and session.heard != seen:
            seen = session.heard
            call.progress(session.out.last_lines(3, 1000))


async def _finish(
    host: str,
    session: Command,
    connection: asyncssh.SSHClientConnection,
    shell: Shell,
    most: int,
    deadline: float,
    *,
    kill: bool,
    keep: bool,
) -> Done:
    """Kill what is to be killed, read to the end and sum up."""
    opened = session.channel is not None
    unconfirmed = kill and opened and not await session.kill()
    await session.drain(0.0 if kill else deadline - time.monotonic())
    left = session.told and not session.closed.is_set()
    if session.channel is not None:
        session.channel.abort()
    completed = Completed(session.status(), Ended(0, int(unconfirmed)), 0)
    err = Capture(0) if session.err is session.out else session.err
    sum_up(completed, session.out, err, most, shell, keep)
    lost = None
    if not kill and not session.told:
        lost = RelayError("HostLost", host=host, reason=session.lost or "no exit status came")
    peer = connection.get_extra_info("peername")
    return Done(
        completed,
        str(peer[0]) if peer else "",
        print_of(connection.get_server_host_key()),
        lost,
        unconfirmed,
        left,
    )


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
