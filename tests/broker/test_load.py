"""Two hundred agents, floods and half frames: memory stays bounded and others are served."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from broker.machine import Machine, tell_machine
from broker.office import records_of, until
from relay_shell.wire.frame import FIRST

MIB = 1024 * 1024
MANY = "[limits]\nconnections_per_user = 512\n"


def resident(machine: Machine) -> int:
    """Octets of memory of the broker's process."""
    assert machine.process is not None
    status = Path(f"/proc/{machine.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


@pytest.mark.slow
def test_two_hundred_agents_at_work(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        front, first = await machine.at_work()
        await first.begin("k-first")
        before = resident(machine)
        workers = []
        for _ in range(200):
            conn = (await machine.connect(front))["conn"]
            workers.append(await machine.worker(front, conn))

        async def work(n: int) -> None:
            for turn in range(3):
                await workers[n].begin(f"k-{n}-{turn}")
                await workers[n].end(f"k-{n}-{turn}")

        await asyncio.gather(*(work(n) for n in range(200)))
        # A quarter MiB for an agent is many times what one takes.
        assert resident(machine) - before < 200 * MIB // 4
        await first.end("k-first")
        for worker in workers:
            await front.ask("disconnect", {"conn": worker.conn, "reason": "EOF"})

    tell_machine(tmp_path, tell, MANY)
    records = records_of(tmp_path / "audit.jsonl")
    assert sum(row["event"] == "outcome" for row in records) == 601
    assert sum(row["event"] == "disconnect" for row in records) == 200


@pytest.mark.slow
def test_frames_that_never_end(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        front, good = await machine.at_work()
        before = resident(machine)
        evil = [await machine.worker(front, good.conn) for _ in range(8)]
        for worker in evil:
            worker.link._loop.remove_reader(worker.link.sock)
            packet, flag = b"x" * 65_000, FIRST
            for _ in range(2000):
                try:
                    worker.link.sock.send(bytes([flag]) + packet)
                    flag = 0
                except BlockingIOError:
                    await asyncio.sleep(0.001)
                except OSError:
                    break
            else:
                pytest.fail("130 MB of one frame were taken")
        assert (await good.begin("k-1"))["decision"] == "allow"
        assert resident(machine) - before < 64 * MIB
        await until(lambda: len(machine.records("worker", what="started")) == 9)

    tell_machine(tmp_path, tell, MANY)
