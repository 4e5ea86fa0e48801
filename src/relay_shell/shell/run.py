"""Run a command to its end: bounded in time, output and processes, whatever it does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from ..wire.errors import RelayError
from . import environment
from .capture import Capture
from .children import Children
from .completed import Completed
from .confined import Confined, Enforcer, refusals
from .direct import Program, direct
from .memfile import anonymous, readable
from .outputs import OutputStore, Spill
from .process import Process, start
from .redaction import Redaction
from .spawn import KEPT
from .stream import Stream
from .summary import sum_up
from .tree import Ended
from .uncancelled import uncancelled

DRAIN = 0.25
"""Seconds that background processes have to write their last after the command has ended."""

SHORT = 0.002
"""Seconds that a command may run before its pipes are watched; till then they just fill.

Most commands end sooner. Watching their pipes too would double the events of each call, and one
that writes more than a pipe holds (64 KiB) waits no longer than this.
"""

PROGRESS = 1.0
"""Seconds between two looks at the output for progress."""


class Caller(Protocol):
    """What a run needs to know of its call."""

    id: str
    enforcement: str
    listening: bool
    """Whether anybody wants progress."""
    partial: Any
    """Set to the `Completed` of a run that was cancelled."""

    def progress(self, message: str) -> None: ...


class Shell:
    """Runs commands for a worker."""

    def __init__(
        self,
        children: Children,
        outputs: OutputStore,
        account: environment.Account,
        settings: Mapping[str, Any],
        enforcer: Enforcer,
    ) -> None:
        self._enforcer = enforcer
        self._children = children
        self._outputs = outputs
        self._account = account
        self._settings = settings
        self.redaction = Redaction(settings)
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self._null)

    async def run(
        self,
        argv: Sequence[str],
        *,
        call: Caller,
        command: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        script: bytes | None = None,
        script_args: Sequence[str] = (),
        timeout: float,
        max_output: int,
        merge_stderr: bool = False,
    ) -> Completed:
        """Run `argv`, or the interpreter `argv` on `script`, until it ends or `timeout` s pass.

        The call ends with its main process: what it left in the background may write for `DRAIN`
        seconds if it holds the output open, and is then killed. A cancelled run kills the whole
        tree before it returns.

        Args:
            command: what `argv`, a shell's, is to run; a plain one starts its program instead.

        Raises:
            RelayError: kinds Spawn, InvalidArguments, Enforcement and, if output cannot be redacted
                as the settings demand, Internal; nothing ran then.
        """
        directory = environment.directory(self._account, cwd)
        variables = environment.build(self._account, self._settings, env, call_id=call.id)
        running = _Running(self, max_output, merge_stderr)
        opened: list[int] = []
        try:
            words = list(argv)
            keep = -1
            if script is not None:
                opened.append(keep := anonymous(script, self._account.tmp))
                words += [f"/proc/self/fd/{KEPT}", *script_args]
            source = self._null
            if stdin:
                opened.append(source := readable(stdin, self._account.tmp))
            confined = self._enforcer.confine(call.enforcement)
            program = None
            if command is not None and confined is None:
                program = direct(words[0], command, variables, directory)
            running.start(
                f"call-{call.id}",
                words,
                self._children,
                confined,
                program,
                env=variables,
                cwd=directory,
                stdin=source,
                keep=keep,
                timeout=timeout,
            )
        except BaseException:
            running.abandon()
            raise
        finally:
            for fd in opened:
                os.close(fd)
        if call.listening:
            running.report(call.progress)
        try:
            await running.end
            return await running.finish()
        except asyncio.CancelledError:
            call.partial = await uncancelled(running.finish(keep=False))
            raise

    def spill(self) -> Spill | None:
        """Where a long stream goes."""
        return self._outputs.spill()

    def keep(self, streams: dict[str, Spill]) -> str:
        """Keep the streams of a call for output_read."""
        return self._outputs.keep(streams)

    def drop(self, spill: Spill) -> None:
        """Forget a stream."""
        self._outputs.drop(spill)


class _Running:
    """One command between its start and its `Completed`."""

    def __init__(self, shell: Shell, max_output: int, merge_stderr: bool) -> None:
        self._shell = shell
        self._most = max_output
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        self.end: asyncio.Future[None] = self._loop.create_future()
        self._drained: asyncio.Future[None] | None = None
        redactors = [shell.redaction.stream() for _ in range(1 if merge_stderr else 2)]
        self._out = Stream(Capture(max_output, shell.spill, redactors[0]), self._stream_ended)
        self._err = None
        if not merge_stderr:
            self._err = Stream(Capture(max_output, shell.spill, redactors[1]), self._stream_ended)
        self._process: Process | None = None
        self._timeout = 0.0
        self._timed_out = False
        self._enforced = False
        self._timers: list[asyncio.TimerHandle] = []
        self._completed: Completed | None = None

    def start(
        self,
        owner: str,
        argv: Sequence[str],
        children: Children,
        confined: Confined | None,
        program: Program | None,
        *,
        env: Mapping[str, str],
        cwd: str,
        stdin: int,
        keep: int,
        timeout: float,
    ) -> None:
        """Start `program`, or else `argv`; its time runs from here on."""
        self._enforced = confined is not None
        launch = partial(
            start,
            owner,
            children=children,
            cwd=cwd,
            stdin=stdin,
            stdout=self._out.sink,
            stderr=self._out.sink if self._err is None else self._err.sink,
            keep=keep,
            confined=confined,
            on_exit=self._ended,
        )
        if program is not None:
            # Nothing ran if it fails; the shell then says why, in its own words.
            with contextlib.suppress(RelayError):
                self._process = launch(program.argv, env=program.env, program=program.path)
        if self._process is None:
            self._process = launch(argv, env=env)
        for stream in self._streams():
            stream.begin()
        self._timeout = timeout
        self._timers.append(self._loop.call_later(timeout, self._expire))
        self._timers.append(self._loop.call_later(SHORT, self._watch))

    def _watch(self) -> None:
        for stream in self._streams():
            stream.watch()

    def abandon(self) -> None:
        """Give back what a command that did not start would have used."""
        for stream in self._streams():
            stream.close()

    def report(self, progress: Callable[[str], None]) -> None:
        """Report the last lines of output from time to time."""
        seen = -1

        def tick() -> None:
            nonlocal seen
            size = sum(stream.capture.total for stream in self._streams())
            if size != seen:
                seen = size
                progress(self._out.capture.last_lines(3, 1000))
            self._timers[-1] = self._loop.call_later(PROGRESS, tick)

        self._timers.append(self._loop.call_later(PROGRESS, tick))

    async def finish(self, keep: bool = True) -> Completed:
        """End what is left of the tree, read to the end and sum up; safe to call again.

        Args:
            keep: whether somebody will see the result, and so may read more of a long output.
        """
        if self._completed is not None:
            return self._completed
        for timer in self._timers:
            timer.cancel()
        process = self._process
        assert process is not None
        in_time = process.exited and not self._timed_out
        for stream in self._streams():
            stream.read_rest()
        rest = process.tree.rest()
        if in_time and rest and self._reading():
            await self._drain()
        ended = Ended(0, 0)
        if rest or not process.exited:
            ended = await process.tree.kill()
        for stream in self._streams():
            # What still holds a pipe now is no process of this call; nothing waits for it.
            stream.read_rest()
            stream.close()
        status = process.reap()
        duration = round((time.monotonic() - self._began) * 1000)
        completed = self._completed = Completed(status, ended, duration)
        if self._timed_out:
            completed.timeout = self._timeout
        if not in_time:
            completed.killed = 0
        self._sum_up(completed, keep)
        return completed

    async def _drain(self) -> None:
        self._watch()
        self._drained = self._loop.create_future()
        timer = self._loop.call_later(DRAIN, self._stop_draining)
        try:
            await self._drained
        finally:
            timer.cancel()

    def _sum_up(self, completed: Completed, keep: bool) -> None:
        err = Capture(0) if self._err is None else self._err.capture
        sum_up(completed, self._out.capture, err, self._most, self._shell, keep)
        if self._enforced:
            said = completed.stderr
            if not said and completed.exit != 0:
                said = completed.stdout
            completed.refused = refusals(said)

    def _streams(self) -> list[Stream]:
        return [self._out] if self._err is None else [self._out, self._err]

    def _reading(self) -> bool:
        return any(stream.fd >= 0 for stream in self._streams())

    def _ended(self) -> None:
        if not self.end.done():
            self.end.set_result(None)

    def _expire(self) -> None:
        # A command that ended in the same turn of the loop was in time.
        if not self.end.done():
            self._timed_out = True
            self._ended()

    def _stream_ended(self) -> None:
        if not self._reading():
            self._stop_draining()

    def _stop_draining(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
