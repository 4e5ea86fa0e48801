"""Group commit: who shares a sync, and who is told that it failed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator

import pytest

from relay_shell.evidence.errors import EvidenceError
from relay_shell.evidence.sync import GroupSync


@pytest.fixture
def fd(tmp_path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    yield fd
    os.close(fd)


def failed(error: OSError) -> EvidenceError:
    return EvidenceError.of(error, "file")


class Gate:
    """An fdatasync that waits until it is let through; what a slow disk does."""

    def __init__(self, monkeypatch, *, shuts: bool = False) -> None:
        self.open = threading.Event()
        self.shuts = shuts
        """Whether it is shut again behind each sync."""
        self.begun = threading.Event()
        self.syncs = 0
        monkeypatch.setattr("relay_shell.evidence.flusher.os.fdatasync", self._sync)

    async def reached(self) -> None:
        """Return when a sync waits here."""
        async with asyncio.timeout(60):
            while not self.begun.is_set():
                await asyncio.sleep(0.001)

    def _sync(self, fd: int) -> None:
        self.begun.set()
        assert self.open.wait(60)
        if self.shuts:
            self.open.clear()
        self.syncs += 1
        os.fsync(fd)


def test_those_who_come_during_a_sync_share_the_next(fd, monkeypatch) -> None:
    async def run() -> None:
        gate, sync = Gate(monkeypatch, shuts=True), GroupSync(lambda: fd, failed)
        waiting = []
        for n in range(1, 10):
            sync.written = n
            waiting.append(asyncio.create_task(sync.wait()))
            await gate.reached()
        await asyncio.sleep(0)
        assert sync.durable == 0 and not any(task.done() for task in waiting)
        gate.open.set()
        await waiting[0]
        assert sync.durable == 1
        gate.open.set()
        await asyncio.gather(*waiting)
        assert sync.durable == 9 and gate.syncs == 2
        assert sync.status()["largest_batch"] == 8
        sync.stop()

    asyncio.run(run())


def test_those_of_one_turn_share_a_sync(fd, monkeypatch) -> None:
    async def run() -> None:
        gate, sync = Gate(monkeypatch), GroupSync(lambda: fd, failed)
        gate.open.set()
        waiting = []
        for n in range(1, 10):
            sync.written = n
            waiting.append(asyncio.create_task(sync.wait()))
        await asyncio.gather(*waiting)
        assert sync.durable == 9 and gate.syncs == 1
        sync.stop()

    asyncio.run(run())


def test_a_failure_reaches_all_who_wait(fd) -> None:
    async def run() -> None:
        read, write = os.pipe()
        # fdatasync(2) on a pipe is EINVAL: a real failure, at any time.
        sync = GroupSync(lambda: write, failed)
        sync.written = 3
        results = await asyncio.gather(*(sync.wait() for _ in range(4)), return_exceptions=True)
        assert [type(item) for item in results] == [EvidenceError] * 4
        assert sync.durable == 0
        sync.stop()
        os.close(read)
        os.close(write)

    asyncio.run(run())


def eventfds() -> int:
    """Descriptors of eventfd(2) that this process has."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            count += "eventfd" in os.readlink(f"/proc/self/fd/{name}")
    return count


def test_without_room_for_the_thread_all_who_wait_are_told(fd, monkeypatch) -> None:
    """As a broker that is out of descriptors, or at its TasksMax=, when it first syncs."""

    def no_descriptors(*_: int) -> int:
        raise OSError(24, "Too many open files")

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def run() -> None:
        before = eventfds()
        sync = GroupSync(lambda: fd, failed)
        sync.written = 1
        for owner, name, failure in (
            (os, "eventfd", no_descriptors),
            (threading.Thread, "start", no_thread),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, failure)
                with pytest.raises(EvidenceError):
                    async with asyncio.timeout(60):
                        await sync.wait()
            assert sync.durable == 0
            assert eventfds() == before
        await sync.wait()
        assert sync.durable == 1
        sync.stop()
        assert eventfds() == before

    asyncio.run(run())


def test_a_sync_that_ran_beside_a_failed_one_is_not_believed(fd, monkeypatch) -> None:
    async def run() -> None:
        gate, sync = Gate(monkeypatch), GroupSync(lambda: fd, failed)
        sync.written = 1
        first = asyncio.create_task(sync.wait())
        await gate.reached()
        second = asyncio.create_task(sync.wait())
        await asyncio.sleep(0)
        sync.fail(EvidenceError("io"))
        gate.open.set()
        for task in (first, second):
            with pytest.raises(EvidenceError):
                await task
        third = asyncio.create_task(sync.wait())
        await third
        assert sync.durable == 1 and gate.syncs == 2
        sync.stop()

    asyncio.run(run())


def test_a_retired_descriptor_stays_open_while_it_is_synced(fd, monkeypatch, tmp_path) -> None:
    async def run() -> None:
        gate = Gate(monkeypatch)
        old = os.open(tmp_path / "old", os.O_CREAT | os.O_WRONLY)
        now = old
        sync = GroupSync(lambda: now, failed)
        waiting = asyncio.create_task(sync.wait())
        await gate.reached()
        now = fd
        sync.retire(old)
        os.fstat(old)
        gate.open.set()
        await waiting
        with pytest.raises(OSError):
            os.fstat(old)
        sync.stop()

    asyncio.run(run())
