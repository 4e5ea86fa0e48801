"""One started program and the notice of its end."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from relay_shell.shell.children import Children
from relay_shell.shell.process import OOM_SCORE, Process, signal_name, start
from relay_shell.wire.errors import RelayError

ENV = {"PATH": "/usr/bin:/bin"}


def _start(children: Children, argv: list[str], ended: asyncio.Event) -> Process:
    null = os.open("/dev/null", os.O_RDWR)
    try:
        return start(
            "call-k-process",
            argv,
            children,
            env=ENV,
            cwd="/",
            stdin=null,
            stdout=null,
            stderr=null,
            on_exit=ended.set,
        )
    finally:
        os.close(null)


@pytest.mark.parametrize(
    ("command", "exit_status", "name"),
    [("exit 0", 0, None), ("exit 255", 255, None), ("kill -SEGV $$", None, "SIGSEGV")],
)
def test_end_is_noticed_and_told(command: str, exit_status: int | None, name: str | None) -> None:
    async def main() -> None:
        children, ended = Children(None), asyncio.Event()
        before = len(os.listdir("/proc/self/fd"))
        process = _start(children, ["sh", "-c", command], ended)
        async with asyncio.timeout(60):
            await ended.wait()
        assert process.exited
        # A zombie until it is reaped: its number cannot have been used again.
        assert Path(f"/proc/{process.pid}").exists()
        status = process.reap()
        assert (status.exit, status.signal) == (exit_status, name)
        assert not Path(f"/proc/{process.pid}").exists()
        assert len(os.listdir("/proc/self/fd")) == before
        children.close()

    asyncio.run(main())


def test_commands_go_before_the_worker_when_memory_ends() -> None:
    async def main() -> None:
        children, ended = Children(None), asyncio.Event()
        process = _start(children, ["sleep", "98841"], ended)
        assert Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip() == OOM_SCORE.decode()
        assert (await process.tree.kill()).survivors == 0
        assert process.reap().signal == "SIGKILL"
        children.close()

    asyncio.run(main())


def test_program_that_cannot_start_leaves_nothing() -> None:
    async def main() -> None:
        children = Children(None)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(RelayError):
            _start(children, ["/no/such/program"], asyncio.Event())
        assert len(os.listdir("/proc/self/fd")) == before
        assert not children.tidy()
        children.close()

    asyncio.run(main())


def test_signals_have_names() -> None:
    assert signal_name(signal.SIGTERM) == "SIGTERM"
    assert signal_name(40) == "SIG40"
