"""kill -9 of the broker at any point: nothing acknowledged is lost, nothing open is forgotten."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from pathlib import Path

import pytest

from broker.machine import Machine, tell_machine
from broker.office import Worker, records_of, until
from relay_shell.evidence import chain
from relay_shell.wire.errors import RelayError


def whole(path: Path) -> None:
    """Every line of the record is intact and in its place."""
    links = [chain.link(line) for line in path.read_bytes().split(b"\n") if line]
    assert None not in links
    assert all(b.prev == a.chain and b.seq == a.seq + 1 for a, b in pairwise(links) if a and b)


def test_a_verdict_that_was_given_is_on_disk(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        _, worker = await machine.at_work()
        verdict = await worker.begin("k-1", "df -h")
        await machine.kill()
        assert verdict["decision"] == "allow"
        assert machine.records("intent")[0]["call_id"] == "k-1"

        await machine.start()
        again = await machine.returned(worker, calls=["k-1"])
        assert again.id == worker.id
        await again.end("k-1", exit=0)
        assert machine.records("outcome")[0]["call_id"] == "k-1"
        assert machine.records("interrupted") == []
        whole(machine.audit)

    tell_machine(tmp_path, tell)


def test_broker_and_worker_killed_together(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        front, worker = await machine.at_work()
        await worker.begin("k-1")
        await worker.begin("k-2")
        await worker.end("k-2")
        await machine.kill()
        # What is left of a worker that died with the broker is a file that names no process.
        (state,) = Path(machine.settings["paths.runtime"]).glob("worker-*.json")
        state.write_text(state.read_text().replace('"start":', '"start":1'))
        await machine.start()
        (row,) = await until(lambda: machine.records("interrupted"))
        assert row["call_id"] == "k-1"
        assert [row["call_id"] for row in machine.records("outcome")] == ["k-2"]
        assert front.closed
        whole(machine.audit)

    tell_machine(tmp_path, tell)


def test_a_freeze_survives_a_kill(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        operator = await machine.operator()
        await operator.ask("freeze", {"scope": "all", "value": "", "reason": "incident"})
        await machine.kill()
        await machine.start()
        _, worker = await machine.at_work()
        assert "Frozen" in await worker.begin_refused("k-1")

    tell_machine(tmp_path, tell)


@pytest.mark.slow
def test_kills_at_random_moments_under_load(tmp_path: Path) -> None:
    """Each verdict and each answered end that a worker has seen is found in the record."""
    dice = random.Random(20261121)
    admitted: set[str] = set()
    ended: set[str] = set()

    async def work(worker: Worker, names: list[str]) -> None:
        for name in names:
            try:
                verdict = await worker.begin(name)
                assert verdict["decision"] == "allow"
                admitted.add(name)
                await worker.end(name)
                ended.add(name)
            except RelayError as error:
                assert error.kind == "Protocol", error
                return

    async def tell(machine: Machine) -> None:
        for turn in range(6):
            front = await machine.front()
            conn = (await machine.connect(front))["conn"]
            workers = [await machine.worker(front, conn) for _ in range(3)]
            tasks = [
                asyncio.create_task(work(worker, [f"k-{turn}-{n}-{m}" for m in range(10_000)]))
                for n, worker in enumerate(workers)
            ]
            # As many calls as the dice say, however long the disk takes for them.
            goal = len(ended) + dice.randint(10, 60)
            await until(lambda goal=goal: len(ended) >= goal)
            await asyncio.sleep(dice.uniform(0, 0.03))
            await machine.kill()
            await asyncio.gather(*tasks)
            for path in Path(machine.settings["paths.runtime"]).glob("worker-*.json"):
                path.write_text(path.read_text().replace('"start":', '"start":1'))
            await machine.start()
        assert await machine.stop() == 0

    tell_machine(tmp_path, tell)
    records = records_of(tmp_path / "audit.jsonl")
    intents = {row["call_id"] for row in records if row["event"] == "intent"}
    outcomes = {row["call_id"] for row in records if row["event"] == "outcome"}
    interrupted = {row["call_id"] for row in records if row["event"] == "interrupted"}
    assert admitted <= intents
    assert ended <= outcomes
    # Every intent is accounted for, once.
    assert intents == outcomes | interrupted and not outcomes & interrupted
    whole(tmp_path / "audit.jsonl")
