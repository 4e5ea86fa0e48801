"""Budgets over restarts of the broker and of the host."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, story, until
from relay_shell.broker.budgetfile import FILE, BudgetFile
from relay_shell.broker.budgets import HOUR, Budgets, Limits
from relay_shell.wire.errors import RelayError

NOBODY_KNOWS = {"cpu_seconds": 10, "output_bytes": 1000}


def limits(**given: int) -> Limits:
    return Limits(**(dict.fromkeys(Limits._fields, 0) | given))


class Host:
    """Clocks that a test sets, and the brokers that it starts."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE
        self.mono, self.wall, self.boot = 5000.0, 1_700_000_000.0, "first"

    def start(self, *, new: bool = False) -> tuple[Budgets, BudgetFile]:
        budgets = Budgets(lambda: self.mono)
        file = BudgetFile(
            str(self.path), budgets, new=new, boot=lambda: self.boot, wall=lambda: self.wall
        )
        return budgets, file

    def passes(self, seconds: float) -> None:
        self.mono += seconds
        self.wall += seconds

    def reboots(self, seconds: float) -> None:
        self.boot += "+"
        self.mono, self.wall = 20.0, self.wall + seconds


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def wait(budgets: Budgets, **given: int) -> int:
    """Seconds until the next call may come; 0 if it came."""
    try:
        budgets.arrive("unix:a", limits(**given))
    except RelayError as error:
        assert error.kind == "OverBudget" and error.retry_after
        return error.retry_after
    return 0


def spend(budgets: Budgets) -> None:
    for _ in range(3):
        budgets.arrive("unix:a", limits(calls_per_minute=6, burst=3))
    budgets.charge("unix:a", cpu_ms=10_000, output=1000)


async def used(host: Host) -> None:
    budgets, file = host.start(new=True)
    spend(budgets)
    file.close()


def test_a_restart_gives_no_fresh_budget(host: Host) -> None:
    asyncio.run(used(host))
    host.passes(5)
    budgets, _ = host.start()
    assert wait(budgets, calls_per_minute=6, burst=3) == 5
    assert 3500 < wait(budgets, cpu_seconds=10) <= HOUR + 60
    assert wait(budgets, cpu_seconds=11) == 0
    assert wait(budgets, output_bytes=1000) and not wait(budgets, output_bytes=1001)
    assert budgets.used("unix:b") == {"cpu_ms": 0, "output_bytes": 0}


@pytest.mark.parametrize("jump", [-1e6, 0, 1e6])
def test_within_a_boot_the_wall_clock_counts_for_nothing(host: Host, jump: float) -> None:
    asyncio.run(used(host))
    host.wall += jump
    budgets, _ = host.start()
    assert wait(budgets, calls_per_minute=6, burst=3) == 10
    assert wait(budgets, cpu_seconds=10)


def test_a_restart_of_the_host_takes_as_long_as_it_takes(host: Host) -> None:
    asyncio.run(used(host))
    host.reboots(600)
    budgets, file = host.start()
    assert wait(budgets, calls_per_minute=6, burst=3) == 0
    assert 2900 < wait(budgets, cpu_seconds=10) <= 3060
    file.save()
    host.reboots(3100)
    assert not wait(host.start()[0], cpu_seconds=10)


def test_a_clock_that_went_back_with_the_host_gives_nothing(host: Host) -> None:
    asyncio.run(used(host))
    host.reboots(-1e9)
    budgets, _ = host.start()
    assert wait(budgets, calls_per_minute=6, burst=3) == 10
    assert wait(budgets, cpu_seconds=10) > 3500


def account(**other: Any) -> dict[str, Any]:
    row = {"calls": [0, 1], "sensitive": [0, 1], "cpu": [[1, 5]], "output": [[1, 5]]} | other
    return {"unix:a": [row["calls"], row["sensitive"], row["cpu"], row["output"]]}


def document(**other: Any) -> str:
    content = {"version": 1, "boot": "first", "clock": 4000.0, "wall": 1e9, "distrusted": None}
    return json.dumps(content | {"accounts": account()} | other)


def test_the_document_of_these_tests_is_sound(host: Host) -> None:
    host.path.write_text(document())
    host.path.chmod(0o600)
    assert host.start()[1].trouble == ""


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"version":1}',
        document(version=2),
        document(clock="x"),
        document(clock=float("nan")),
        document(accounts=[]),
        document(accounts={"unix:a": []}),
        document(accounts=account(cpu=[[1, -5]])),
        document(accounts=account(cpu=[[1, 5, 5]])),
        document(accounts=account(output=[[9e9, 5]])),
        document(accounts=account(output=[[float("inf"), 5]])),
        document(accounts=account(calls=[-100, 1])),
        document(accounts=account(calls=[True, 1])),
    ],
)
def test_what_is_not_known_counts_as_used(host: Host, text: str) -> None:
    host.path.write_text(text)
    host.path.chmod(0o600)
    budgets, file = host.start()
    assert "damaged" in file.trouble
    assert wait(budgets, **NOBODY_KNOWS) == HOUR
    assert wait(budgets, cpu_seconds=0, calls_per_minute=60, burst=1) == 0
    assert Path(f"{host.path}.damaged").read_text() == text
    # Another restart does not shorten it, time does.
    file.close()
    host.passes(1800)
    again, file = host.start()
    assert not file.trouble and wait(again, **NOBODY_KNOWS) == HOUR - 1800
    host.passes(1801)
    assert not wait(again, **NOBODY_KNOWS)


@pytest.mark.parametrize("text", ["", None])
def test_a_power_failure_is_no_outage(host: Host, text: str | None) -> None:
    if text is not None:
        host.path.write_text(text)
        host.path.chmod(0o600)
    budgets, file = host.start()
    assert "missing" in file.trouble
    assert not wait(budgets, **NOBODY_KNOWS)
    file.close()
    assert not host.start()[1].trouble


def test_others_may_not_write_it(host: Host) -> None:
    host.path.write_text(document())
    host.path.chmod(0o666)
    assert "expected mode 0600" in host.start()[1].trouble


def test_the_first_start_knows_that_nothing_was_used(host: Host) -> None:
    budgets, file = host.start(new=True)
    assert not file.trouble and not wait(budgets, **NOBODY_KNOWS)
    assert host.path.stat().st_mode & 0o777 == 0o600


def test_much_is_written_at_once_and_little_soon(host: Host) -> None:
    async def run() -> None:
        budgets, _ = host.start(new=True)
        written = host.path.stat().st_ino
        budgets.arrive("unix:a", limits(calls_per_minute=6, burst=100))
        assert host.path.stat().st_ino == written
        for _ in range(9):
            budgets.arrive("unix:a", limits(calls_per_minute=6, burst=100))
        assert json.loads(host.path.read_text())["accounts"]["unix:a"][0][0] == 10
        budgets.charge("unix:a", cpu_ms=1)
        await until(lambda: json.loads(host.path.read_text())["accounts"]["unix:a"][2])

    asyncio.run(run())


def test_a_disk_that_is_full_leaves_it_in_memory(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        budgets, file = host.start(new=True)
        host.path.unlink()
        os.mkdir(f"{host.path}.new")
        spend(budgets)
        file.save()
        file.save()
        assert wait(budgets, calls_per_minute=6, burst=3)

    asyncio.run(run())
    assert len([row for row in caplog.records if "kept in memory" in row.message]) == 1


def test_many_accounts_stay_small(host: Host) -> None:
    async def run() -> None:
        budgets, file = host.start(new=True)
        for minute in range(50):
            for number in range(2000):
                budgets.charge(f"unix:{number:032}", cpu_ms=1)
            host.passes(60 if minute < 49 else 0)
        file.close()

    asyncio.run(run())
    budgets, file = host.start()
    assert not file.trouble and budgets.used(f"unix:{1:032}")["cpu_ms"] == 50


def test_a_broker_that_is_started_again_goes_on_counting(tmp_path: Path) -> None:
    small = {"budgets.calls_per_minute": 1, "budgets.burst": 3}

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        for number in range(3):
            await worker.begin(f"k-{number}")
        await office.restart()
        again = await office.returned(worker)
        assert (await again.begin_refused("k-9")).startswith("OverBudget")
        assert not office.records("budgets")

    story(tmp_path, tell, **small)


def test_a_lost_state_is_recorded(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        path = Path(office.settings["paths.state"]) / FILE
        await office.restart(lambda: path.write_text("{"))
        (record,) = office.records("budgets")
        assert "is damaged" in record["error"]
        again = await office.returned(worker)
        assert "not known" in await again.begin_refused("k-9")

    story(tmp_path, tell)
