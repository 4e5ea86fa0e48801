"""The thread that syncs: answers on the loop, one at a time, and its end."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from errno import EINVAL, EIO
from pathlib import Path

import pytest

from relay_shell.evidence.flusher import Flusher


@pytest.fixture
def fd(tmp_path: Path):
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    yield fd
    os.close(fd)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "relay-evidence"]


def test_each_answer_comes_to_the_loop_that_asked(fd) -> None:
    answers: list[tuple[int | None, asyncio.AbstractEventLoop]] = []

    def done(error: OSError | None) -> None:
        answers.append((error and error.errno, asyncio.get_running_loop()))

    flusher = Flusher(done)
    before = len(threads())
    read, write = os.pipe()

    async def ask(descriptor: int) -> asyncio.AbstractEventLoop:
        known = len(answers)
        flusher.start(descriptor)
        await until(lambda: len(answers) > known)
        return asyncio.get_running_loop()

    try:
        loops = [asyncio.run(ask(one)) for one in (fd, write, fd)]
    finally:
        os.close(read)
        os.close(write)
    # fdatasync(2) on a pipe is EINVAL.
    assert answers == [(None, loops[0]), (EINVAL, loops[1]), (None, loops[2])]
    assert len(threads()) == before + 1, "one thread, for all loops"
    flusher.stop()
    assert len(threads()) == before


def test_the_end_waits_for_the_sync_that_runs(fd, monkeypatch) -> None:
    begun, let = threading.Event(), threading.Event()
    real = os.fdatasync

    def slow(descriptor: int) -> None:
        begun.set()
        assert let.wait(60)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    answers: list[OSError | None] = []

    async def run() -> None:
        flusher = Flusher(answers.append)
        flusher.start(fd)
        await until(begun.is_set)
        threading.Timer(0.05, let.set).start()
        flusher.stop()
        assert answers == [None]
        flusher.stop()

    asyncio.run(run())
    assert answers == [None], "told once"


def test_the_end_right_after_the_beginning_loses_no_sync(fd, monkeypatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    answers: list[OSError | None] = []

    async def run() -> None:
        for _ in range(50):
            flusher = Flusher(answers.append)
            flusher.start(fd)
            flusher.stop()

    asyncio.run(run())
    assert synced == [fd] * 50 and answers == [None] * 50


def test_whatever_a_sync_raises_is_a_failure(fd, monkeypatch) -> None:
    def broken(descriptor: int) -> None:
        raise MemoryError

    monkeypatch.setattr(os, "fdatasync", broken)
    answers: list[OSError | None] = []

    async def run() -> None:
        flusher = Flusher(answers.append)
        flusher.start(fd)
        await until(lambda: bool(answers))
        flusher.stop()

    asyncio.run(run())
    assert answers[0] is not None and answers[0].errno == EIO


def test_without_a_sync_there_is_no_thread() -> None:
    before = len(threads())
    flusher = Flusher(lambda error: None)
    assert len(threads()) == before
    flusher.stop()
