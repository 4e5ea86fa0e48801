"""Verdicts that wait for the collector: what it holds, and what happens while it is late."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, Worker, story, until

# `rm` of a whole tree is of tier 3, `df` of tier 0.
IRREVERSIBLE = "rm -rf /srv/data"


def holds(office: Office, record: dict[str, Any] | None = None, **changes: Any) -> None:
    """The collector holds a record; the last one of the file if none is named."""
    record = record or office.records()[-1]
    target = Path(office.settings["paths.acknowledged"])
    new = target.with_name("new")
    new.write_text(json.dumps({"seq": record["seq"], "ts": record["ts"]} | changes))
    new.replace(target)


def remote(root: Path, **changes: Any) -> dict[str, Any]:
    return {
        "paths__acknowledged": str(root / "acknowledged"),
        "evidence__remote_ack": "2",
        "evidence__remote_ack_wait": 1,
    } | changes


async def begun(office: Office, worker: Worker, call: str) -> asyncio.Task[dict[str, Any]]:
    """A call that waits: its intent is written, and no verdict was given."""
    task = asyncio.create_task(worker.begin(call, IRREVERSIBLE))
    await until(lambda: office.records("intent", call_id=call))
    return task


def test_the_verdict_waits_until_the_collector_has_the_intent(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        holds(office)
        waiting = await begun(office, worker, "k-1")
        # What is below the tier goes on meanwhile, and an earlier record is not enough.
        assert (await worker.begin("k-2", "df -h"))["decision"] == "allow"
        (intent,) = office.records("intent", call_id="k-1")
        earlier = office.records()[intent["seq"] - 2]
        holds(office, earlier)
        assert (await worker.begin("k-3", "df -h"))["decision"] == "allow"
        assert not waiting.done()
        holds(office, intent)
        assert (await waiting)["decision"] == "allow"
        await worker.end("k-1", exit=0)
        assert office.records("unacknowledged") == []

    story(tmp_path, tell, **remote(tmp_path, evidence__remote_ack_wait=300))


def test_a_late_collector_blocks_until_it_has_caught_up(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        refusal = await worker.begin_refused("k-1", IRREVERSIBLE)
        assert "CollectorUnavailable" in refusal and "nothing ran" in refusal
        (late,) = office.records("unacknowledged")
        assert (late["call_id"], late["decision"]) == ("k-1", "deny")
        (end,) = office.records("outcome", call_id="k-1")
        assert end["status"] == "cancelled" and "nothing ran" in end["error"]
        # The next one is refused at once, without an intent.
        assert "has been late" in await worker.begin_refused("k-2", IRREVERSIBLE)
        assert office.records("intent", call_id="k-2") == []
        assert office.records("deny", call_id="k-2")
        assert (await worker.begin("k-3", "df -h"))["decision"] == "allow"
        operator = await office.operator()
        told = (await operator.ask("status"))["status"]["evidence"]["remote_ack"]
        assert (told["state"], told["calls"]) == ("late", 2)
        assert office.broker is not None
        assert office.broker.state.summary().startswith("COLLECTOR LATE")

        holds(office)
        (again,) = await until(lambda: office.records("acknowledged"))
        assert again["facts"]["calls"] == 2
        assert "COLLECTOR" not in office.broker.state.summary()
        waiting = await begun(office, worker, "k-4")
        holds(office)
        assert (await waiting)["decision"] == "allow"

    story(tmp_path, tell, **remote(tmp_path))


def test_a_late_collector_marks_what_ran_without_it(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        for call in ("k-1", "k-2"):
            assert (await worker.begin(call, IRREVERSIBLE))["decision"] == "allow"
            await worker.end(call, exit=0)
        marks = office.records("unacknowledged")
        assert [(row["call_id"], row["decision"]) for row in marks] == [
            ("k-1", "allow"),
            ("k-2", "allow"),
        ]
        assert "others are late" in marks[1]["detail"]
        holds(office, office.records("intent", call_id="k-1")[0])
        assert office.records("acknowledged") == []
        holds(office)
        await until(lambda: office.records("acknowledged"))

    changes = remote(tmp_path, evidence__remote_ack_policy="continue-and-mark")
    story(tmp_path, tell, **changes)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"seq": true, "ts": "2099"}',
        '{"seq": "9", "ts": "2099"}',
        # A number that this record has not reached is of another one.
        '{"seq": 999999, "ts": "2099"}',
        # So is one that is older than the intent.
        '{"seq": 9, "ts": "1999"}',
    ],
)
def test_what_says_nothing_of_this_record_counts_for_nothing(tmp_path: Path, content: str) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        Path(office.settings["paths.acknowledged"]).write_text(content)
        assert "CollectorUnavailable" in await worker.begin_refused("k-1", IRREVERSIBLE)

    story(tmp_path, tell, **remote(tmp_path))


def test_neither_a_link_nor_a_pipe_is_read(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        target = Path(office.settings["paths.acknowledged"])
        holds(office, seq=3, ts="2099")
        target.rename(tmp_path / "elsewhere")
        target.symlink_to(tmp_path / "elsewhere")
        assert "CollectorUnavailable" in await worker.begin_refused("k-1", IRREVERSIBLE)
        target.unlink()
        os.mkfifo(target)
        assert "CollectorUnavailable" in await worker.begin_refused("k-2", IRREVERSIBLE)

    story(tmp_path, tell, **remote(tmp_path))


def test_a_worker_that_ends_meanwhile_ends_its_call_once(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        waiting = await begun(office, worker, "k-1")
        worker.link.close("gone")
        await asyncio.gather(waiting, return_exceptions=True)
        assert office.broker is not None
        row = office.broker.state.workers.find(worker.id)
        assert row is not None
        office.broker._worker.gone(row, "the worker ended")
        holds(office)
        await until(lambda: office.records("interrupted", call_id="k-1"))
        await asyncio.sleep(0.1)
        assert office.records("outcome", call_id="k-1") == []

    story(tmp_path, tell, **remote(tmp_path, evidence__remote_ack_wait=300))


def test_a_broker_that_stops_waits_no_longer(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        waiting = await begun(office, worker, "k-1")
        broker = office.broker
        assert broker is not None
        await until(lambda: broker.state.remote.status()["waiting"])
        await broker.close("SIGTERM")
        await asyncio.gather(waiting, return_exceptions=True)
        (end,) = office.records("outcome", call_id="k-1")
        assert end["status"] == "cancelled" and "the broker stops" in end["error"]
        assert office.records()[-1]["event"] in ("stop", "checkpoint")

    story(tmp_path, tell, **remote(tmp_path, evidence__remote_ack_wait=300))
