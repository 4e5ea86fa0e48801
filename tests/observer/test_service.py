"""The observer as a whole, between the running kernel and a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, Worker, story, until
from relay_shell.broker.judge import Judge, redactor
from relay_shell.observer import btf, collect
from relay_shell.observer.kernel import Kernel
from relay_shell.observer.service import Observer

from .conftest import UNIT, Slice

Observe = Callable[..., Kernel]


@pytest.fixture(autouse=True)
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a call executes is told at its end or the observer's, however slow the host is."""
    monkeypatch.setattr(collect, "HOLD", 3600.0)


@contextlib.asynccontextmanager
async def observing(office: Office, slice_: Slice) -> AsyncIterator[Observer]:
    observer = Observer(office.dial, slice_.path)
    running = asyncio.create_task(observer.run())
    try:
        yield observer
    finally:
        observer.stop()
        async with asyncio.timeout(60):
            await running


async def work(office: Office) -> Worker:
    _, worker = await office.at_work()
    office.broker.state.workers.get(worker.id).unit = UNIT
    office.broker.state.observation.wanted = True
    return worker


async def run(slice_: Slice, group: str, command: str) -> None:
    await asyncio.to_thread(slice_.run, group, command)


def test_what_a_call_executes_is_in_the_record(
    tmp_path: Path, slice_: Slice, observe: Observe
) -> None:
    observe()

    async def tell(office: Office) -> None:
        worker = await work(office)
        async with observing(office, slice_):
            await until(lambda: office.broker.state.observation.on, 60)
            await worker.begin("k-1", "/bin/true --token=S3cr3tS3cr3t")
            await run(slice_, "call-k-1", "/bin/true --token=S3cr3tS3cr3t")
            await worker.end("k-1")
            record = (await until(lambda: office.records("exec", call_id="k-1"), 60))[0]
            assert record["facts"]["ended"] and record["facts"]["total"] == len(record["execs"])
            assert record["execs"][-1]["path"] == "/bin/true"
            assert "S3cr3t" not in office.audit.read_text()
            assert office.records("outcome", call_id="k-1")[0]["observed"] is True
        await until(lambda: office.records("observer", what="lost"), 60)

    story(tmp_path, tell)


def test_it_waits_for_a_broker_that_restarts_and_keeps_what_it_saw(
    tmp_path: Path, slice_: Slice, observe: Observe
) -> None:
    observe()

    async def tell(office: Office) -> None:
        await work(office)
        async with observing(office, slice_):
            await until(lambda: office.broker.state.observation.on, 60)
            await office.broker.close()
            await run(slice_, "call-k-1", "/bin/true meanwhile")
            office.open()
            record = (await until(lambda: office.records("exec"), 60))[0]
            assert record["execs"][-1]["command"] == "/bin/true meanwhile"
            # The new broker knows neither call nor worker, and says so.
            assert (record["what"], record["unit"]) == ("unknown", UNIT)
            assert len(office.records("observer", what="on")) == 2

    story(tmp_path, tell)


def test_it_ends_with_all_told_though_a_batch_was_on_its_way(
    tmp_path: Path, slice_: Slice, observe: Observe
) -> None:
    observe()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def tell(office: Office) -> None:
        await work(office)
        asked, go_on = asyncio.Event(), asyncio.Event()
        observed = office.broker._observer.observed

        async def slow(*args: Any) -> Any:
            asked.set()
            await go_on.wait()
            return await observed(*args)

        office.broker._observer.requests["observed"] = slow
        async with observing(office, slice_) as observer:
            await until(lambda: office.broker.state.observation.on, 60)
            await run(slice_, "call-k-1", "/bin/true first")
            await asked.wait()
            group = slice_.group("call-k-2")
            slice_.start("call-k-2", f"exec /bin/cat {fifo}")
            await until(lambda: _executions(observer, group) >= 2)
            observer.stop()
            go_on.set()
        with open(fifo, "wb"):
            pass
        await asyncio.to_thread(slice_.answer)
        rows = [row for record in office.records("exec") for row in record["execs"]]
        assert f"/bin/cat {fifo}" in [row["command"] for row in rows]

    story(tmp_path, tell)


def _executions(observer: Observer, group: int) -> int:
    found = observer._kernel.group(group) if observer._kernel is not None else None
    return found.execs if found is not None else 0


def test_a_reload_switches_it_off_and_on(tmp_path: Path, slice_: Slice, observe: Observe) -> None:
    observe()

    async def tell(office: Office) -> None:
        def change(value: str) -> None:
            settings = office.broker.state.settings
            new = settings.reloaded(type(settings)({**settings, "evidence.observe": value}))
            office.broker.reload(new, Judge(new, redactor()))

        async with observing(office, slice_):
            state = office.broker.state.observation
            await until(lambda: state.on, 60)
            change("off")
            await until(lambda: state.state == "off", 60)
            await run(slice_, "call-k-1", "/bin/true unseen")
            change("exec")
            await until(lambda: state.on, 60)
            await run(slice_, "call-k-2", "/bin/true seen")
            await until(lambda: office.records("exec"), 60)
            commands = [row["command"] for row in office.records("exec")[0]["execs"]]
            assert "/bin/true seen" in commands
            assert "unseen" not in office.audit.read_text()

    story(tmp_path, tell)


def test_a_kernel_that_refuses_is_told(
    tmp_path: Path, slice_: Slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(btf.kernel, "__defaults__", ("/nonexistent/btf",))

    async def tell(office: Office) -> None:
        async with observing(office, slice_):
            record = (await until(lambda: office.records("observer"), 60))[0]
            assert record["what"] == "failed"
            assert "/nonexistent/btf" in record["detail"]

    story(tmp_path, tell)
