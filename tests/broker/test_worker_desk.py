"""Workers: who may be one, what happens when one vanishes, and how one returns."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, Peer, Worker, story, until
from relay_shell.broker import worker_desk
from relay_shell.broker.floods import BURST
from relay_shell.broker.preparation import Preparation, Prepared
from relay_shell.wire.errors import RelayError
from relay_shell.wire.messages import VERSION

CHILD = Path(__file__).with_name("child_worker.py")


@asynccontextmanager
async def child(office: Office, *calls: str) -> AsyncIterator[tuple[Any, dict[str, Any], Peer]]:
    """A worker that is a process of its own, with calls begun; and the front that asked."""
    front = await office.front()
    conn = (await office.connect(front))["conn"]
    ticket = (await front.ask("ticket", {"conn": conn}))["ticket"]
    path = os.pathsep.join(sys.path)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        office.settings["paths.broker"],
        ticket,
        conn,
        *calls,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None
    try:
        hello = json.loads(await process.stdout.readline())
        for _ in calls:
            assert json.loads(await process.stdout.readline())["decision"] == "allow"
        yield process, hello, front
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def test_a_worker_that_is_killed_leaves_no_open_call(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        async with child(office, "k-1", "k-2") as (process, hello, front):
            assert len(office.broker.state.calls) == 2
            process.kill()
            await until(lambda: len(office.broker.state.calls) == 0)
            rows = office.records("interrupted")
            assert {row["call_id"] for row in rows} == {"k-1", "k-2"}
            assert rows[0]["error"] == "the worker ended" and rows[0]["worker"] == hello["worker"]
            assert rows[0]["tool"] == "shell_exec" and rows[0]["tier"] == 0
            assert office.records("worker", what="ended")
            assert (await front.ask("workers"))["workers"] == []
            assert os.listdir(office.settings["paths.runtime"]) == []

    story(tmp_path, tell)


def test_the_last_word_of_a_worker_counts(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        async with child(office, "k-1", "k-2") as (process, _, _):
            process.stdin.write(b"k-1\n")
            await process.wait()
            await until(lambda: office.records("worker", what="ended"))
            assert [row["call_id"] for row in office.records("outcome")] == ["k-1"]
            assert [row["call_id"] for row in office.records("interrupted")] == ["k-2"]

    story(tmp_path, tell)


def test_a_worker_needs_a_good_ticket(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        ticket = (await front.ask("ticket", {"conn": worker.conn}))["ticket"]
        assert worker.hello["principal"] == worker.hello["principal"]
        assert "limits.timeout" in worker.hello["settings"]
        assert "policy.deny" not in worker.hello["settings"], "an agent need not read the rules"
        for body in ({"ticket": "x" * 43}, {}, {"worker": worker.id, "resume": "x"}):
            peer = Worker(await office.dial(), "")
            hello = {"version": VERSION} | body
            assert (await peer.refused("hello_worker", hello)).startswith("PermissionDenied")
            peer.link.close()
        late = Worker(await office.dial(), worker.conn)
        await front.ask("disconnect", {"conn": worker.conn, "reason": "EOF"})
        hello = {"version": VERSION, "ticket": ticket}
        assert (await late.refused("hello_worker", hello)).startswith("PermissionDenied")
        late.link.close()
        assert len(office.records("refused", what="worker")) == 4

    story(tmp_path, tell)


def test_a_worker_that_lost_its_link_returns_and_ends_its_calls(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        await worker.begin("k-2")
        worker.link.close()
        await until(lambda: office.broker.state.workers.get(worker.id).link is None)
        again = await office.returned(worker, calls=["k-1", "k-2"])
        assert again.id == worker.id and again.hello["resume"] == worker.hello["resume"]
        await again.end("k-1", exit=0)
        await again.end("k-2", "timeout")
        assert [row["status"] for row in office.records("outcome")] == ["ok", "timeout"]
        assert office.records("interrupted") == []
        assert office.records("worker", what="returned")

    story(tmp_path, tell)


def test_a_call_that_a_returned_worker_does_not_claim_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_desk, "CLAIM", 3.0)

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        for call in ("k-claimed", "k-ended", "k-lost"):
            await worker.begin(call)
        worker.link.close()
        again = await office.returned(worker, calls=["k-claimed"])
        await again.end("k-ended")
        (row,) = await until(lambda: office.records("interrupted"))
        assert row["call_id"] == "k-lost" and "returned without it" in row["error"]
        await again.end("k-claimed")
        assert {row["call_id"] for row in office.records("outcome")} == {"k-claimed", "k-ended"}

    story(tmp_path, tell)


def test_a_verdict_that_was_lost_is_asked_for_again(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        worker.link.close()
        again = await office.returned(worker, calls=[])
        assert (await again.begin("k-1"))["decision"] == "allow"
        await again.end("k-1", exit=0)
        rows = office.records(call_id="k-1")
        assert [(row["event"], row.get("status")) for row in rows] == [
            ("intent", None),
            ("outcome", "cancelled"),
            ("intent", None),
            ("outcome", "ok"),
        ]

    story(tmp_path, tell)


def test_what_a_returned_worker_asks_again_is_not_admitted_on_its_former_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[asyncio.Event] = []
    prepare = Preparation.prepare

    async def slow(self: Preparation, *args: Any) -> Prepared:
        held.append(asyncio.Event())
        await held[-1].wait()
        return await prepare(self, *args)

    monkeypatch.setattr(Preparation, "prepare", slow)

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        first = asyncio.create_task(worker.begin_refused("k-1"))
        await until(lambda: len(held) == 1)
        (link,) = office.broker.listeners.of("worker")
        again = await office.returned(worker, calls=[])
        second = asyncio.create_task(again.begin("k-1"))
        await until(lambda: len(held) == 2)
        held[0].set()
        await until(lambda: not link._tasks)
        held[1].set()
        assert "link" in await first
        assert (await second)["decision"] == "allow"
        assert len(office.records("intent")) == len(office.broker.state.calls) == 1
        await again.end("k-1")
        assert not len(office.broker.state.calls)

    story(tmp_path, tell)


def test_a_worker_that_does_not_return_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_desk, "RETURN", 0.2)

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        worker.link.close()
        (row,) = await until(lambda: office.records("interrupted"))
        assert row["error"] == "the worker lost its link and did not return"
        again = await office.returned(worker, calls=["k-1"])
        await again.end("k-1", exit=0)
        assert office.records("note")[0]["what"] == "late-end"

    story(tmp_path, tell)


def test_the_resume_secret_alone_does_not_make_the_worker(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        async with child(office, "k-1") as (_, hello, _):
            # This very process has the secret, and is another one.
            thief = Worker(await office.dial(), "")
            body = {"version": VERSION, "worker": hello["worker"], "resume": hello["resume"]}
            refusal = await thief.refused("hello_worker", body)
            assert refusal.startswith("PermissionDenied") and "is not the one" in refusal
            assert office.records("refused", what="worker")[0]["worker"] == hello["worker"]
            assert office.broker.state.workers.get(hello["worker"]).link is not None
            assert len(office.broker.state.calls) == 1

    story(tmp_path, tell)


def test_a_second_link_of_the_same_worker_replaces_the_first(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        again = await office.returned(worker, calls=["k-1"])
        await until(lambda: worker.closed)
        await again.end("k-1")
        assert office.records("outcome") and not office.records("interrupted")

    story(tmp_path, tell)


def test_a_second_hello_ends_the_link(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        with pytest.raises(RelayError):
            await worker.ask("hello_worker", {"version": VERSION})
        assert worker.link.closed
        with pytest.raises(RelayError):
            await front.ask("hello_front", {"version": VERSION})
        assert front.link.closed

    story(tmp_path, tell)


def test_an_agent_reads_its_own_record_and_no_other(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        for n in range(3):
            await worker.begin(f"k-{n}")
            await worker.end(f"k-{n}")
        office.broker.state.trail.note(
            event="intent", call_id="k-other", principal="unix:mallory", tool="shell_exec"
        )
        found = (await worker.ask("audit_tail", {"count": 100, "filters": {}}))["records"]
        assert {row["principal"] for row in found} == {worker.hello["principal"]}
        assert [row["seq"] for row in found] == sorted(row["seq"] for row in found)
        filters = {"event": "outcome", "principal": "unix:mallory"}
        found = (await worker.ask("audit_tail", {"count": 2, "filters": filters}))["records"]
        assert [row["call_id"] for row in found] == ["k-1", "k-2"]
        for count, filters in ((0, {}), (5000, {}), (1, {"no_such": 1}), (1, {"args": {}})):
            refusal = await worker.refused("audit_tail", {"count": count, "filters": filters})
            assert refusal.startswith("InvalidArguments")

    story(tmp_path, tell)


def test_explain_decides_and_records_nothing(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        args = {"tool": "shell_exec", "args": {"command": "rm -rf /srv"}}
        verdict = (await worker.ask("explain", {"args": args}))["verdict"]
        assert verdict["decision"] == "deny" and verdict["tier"] == 3 and verdict["hint"]
        office.broker.state.freezer.add("all", "", "incident", "test")
        args = {"tool": "shell_exec", "args": {"command": "ls"}}
        verdict = (await worker.ask("explain", {"args": args}))["verdict"]
        assert verdict["decision"] == "deny" and "incident" in verdict["reasons"][0]
        assert (await worker.refused("explain", {"args": {}})).startswith("InvalidArguments")
        assert not office.records("intent", "deny")

    story(tmp_path, tell, policy__mode="guarded")


def test_notes_are_redacted_bounded_and_counted(tmp_path: Path) -> None:
    secret = "AKIA" + "QJZ7RW4MXT2KVPLD"

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        facts = {"session": f"s1.{worker.id}", "title": f"run {secret}", "pad": "x" * 100_000}
        worker.link.notify("note", {"what": "session-opened", "facts": facts})
        for _ in range(1000):
            worker.link.notify("note", {"what": "noise", "facts": {}})
        await worker.begin("k-1")
        (row,) = office.records("session")
        assert row["detail"] == f"s1.{worker.id}" and row["what"] == "session-opened"
        assert len(office.records("note")) == BURST - 1
        assert secret not in office.audit.read_text() and office.audit.stat().st_size < 100_000

    story(tmp_path, tell)


def test_what_a_worker_holds_is_shown(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        session = {"session": f"s1.{worker.id}", "title": "top"}
        worker.link.notify("busy", {"calls": [], "sessions": [session]})
        await worker.begin("k-1")
        (row,) = office.broker.state.status()["sessions"]
        assert row["session"] == session and row["worker"] == worker.id
        worker.link.notify("busy", {"calls": [], "sessions": ["x" * 1000] * 4000})
        await worker.end("k-1")
        assert office.broker.state.status()["sessions"][0]["session"] == "1024 sessions"

    story(tmp_path, tell)
