"""Budgets and idempotency keys at the broker's desk, as its peers see them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, Worker, story, until
from relay_shell.broker import admission
from relay_shell.wire.errors import RelayError

KEYED = {"command": "make install", "idempotency_key": "once"}


async def refused(worker: Worker, call: str, **more: Any) -> RelayError:
    with pytest.raises(RelayError) as caught:
        await worker.begin(call, **more)
    return caught.value


# ---- budgets ------------------------------------------------------------------------------


def test_a_second_connection_and_a_new_one_share_the_budget(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        second = await office.worker(front, (await office.connect(front))["conn"])
        for n in range(3):
            await (worker, second)[n % 2].begin(f"k-{n}")
        error = await refused(second, "k-3")
        assert error.kind == "OverBudget" and error.retry_after in (1, 2)
        assert "30 calls a minute" in error.message
        await front.ask("disconnect", {"conn": worker.conn, "reason": "reconnects"})
        third = await office.worker(front, (await office.connect(front))["conn"])
        assert (await refused(third, "k-4")).kind == "OverBudget"
        denied = office.records("deny", call_id="k-4")
        assert denied and "over the budget" in denied[0]["reasons"][0]
        assert len(office.records("intent")) == 3

    story(tmp_path, tell, budgets__calls_per_minute=30, budgets__burst=3)


def test_refused_calls_count_as_well(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        for n in range(2):
            assert (await worker.begin(f"k-{n}", "shutdown now"))["decision"] == "deny"
        assert (await refused(worker, "k-2")).kind == "OverBudget"

    limits = {"budgets__calls_per_minute": 1, "budgets__burst": 2}
    story(tmp_path, tell, policy__deny=("shutdown",), **limits)


def test_the_sensitive_class(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1", "rm -rf /srv")
        assert (await refused(worker, "k-2", command="rm -rf /srv")).kind == "OverBudget"
        assert (await refused(worker, "k-3", tool="shell_spawn")).kind == "OverBudget"
        assert (await worker.begin("k-4", "ls"))["decision"] == "allow"
        (denied,) = office.records("deny", call_id="k-2")
        assert denied["tier"] == 3 and "sensitive" in denied["reasons"][0]

    story(tmp_path, tell, budgets__sensitive_per_minute=1, budgets__sensitive_burst=1)


def test_calls_at_once_over_all_connections(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        second = await office.worker(front, (await office.connect(front))["conn"])
        await worker.begin("k-1")
        await second.begin("k-2")
        error = await refused(worker, "k-3")
        assert error.kind == "Busy" and error.retry_after == 1
        await second.end("k-2")
        assert (await worker.begin("k-4"))["decision"] == "allow"

    story(tmp_path, tell, budgets__concurrent=2)


def test_what_calls_and_sessions_used_is_charged(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        await worker.end("k-1", bytes=600, cpu_ms=10)
        note = {"session": "s1", "cpu_ms": 20, "bytes": 300}
        worker.link.notify("note", {"what": "session_end", "call": "k-1", "facts": note})
        assert office.broker is not None
        budgets = office.broker.state.budgets
        used = {"cpu_ms": 30, "output_bytes": 900}
        await until(lambda: budgets.used(worker.hello["principal"]) == used)
        await worker.begin("k-2")
        await worker.end("k-2", bytes=100)
        error = await refused(worker, "k-3")
        assert error.kind == "OverBudget" and "output_bytes" in error.message
        assert error.retry_after is not None and 3540 <= error.retry_after <= 3660

    story(tmp_path, tell, budgets__output_bytes=1000)


def test_a_rule_gives_other_budgets(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    path.write_text("[[rule]]\nany = true\n[rule.budgets]\ncalls_per_minute = 1\nburst = 1\n")
    path.chmod(0o644)

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        assert (await refused(worker, "k-2")).kind == "OverBudget"

    story(tmp_path, tell)


# ---- idempotency --------------------------------------------------------------------------


def test_a_repeated_call_is_answered_from_the_first(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        assert (await worker.begin("k-1", args=KEYED))["decision"] == "allow"
        facts = {"exit": 2, "sha256": "0" * 64, "bytes": 5, "truncated": False}
        await worker.end("k-1", **facts)
        # The principal's next connection, and another worker.
        second = await office.worker(front, (await office.connect(front))["conn"])
        verdict = await second.begin("k-2", args=KEYED, request_id="9")
        assert verdict["decision"] == "replay"
        first = verdict["replay"]
        assert (first["call"], first["worker"], first["status"]) == ("k-1", worker.id, "ok")
        assert facts.items() <= first.items()
        assert len(office.records("intent")) == 1 and len(office.records("outcome")) == 1
        (replay,) = office.records("replay")
        assert replay["call_id"] == "k-2" and replay["detail"] == "k-1" and replay["status"] == "ok"
        assert replay["conn"] == second.conn and replay["request_id"] == "9"
        assert replay["args"] == KEYED

    story(tmp_path, tell)


def test_the_key_with_other_arguments_is_an_error(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1", args=KEYED)
        error = await refused(worker, "k-2", args=KEYED | {"command": "make clean"})
        assert error.kind == "InvalidArguments" and "other arguments" in error.message
        assert office.records("deny", call_id="k-2")

    story(tmp_path, tell)


def test_a_repetition_waits_for_the_first(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        second = await office.worker(front, (await office.connect(front))["conn"])
        await worker.begin("k-1", args=KEYED)
        repeated = asyncio.ensure_future(second.begin("k-2", args=KEYED))
        await second.ask("explain", {"args": {"args": {"command": "ls"}}})
        assert not repeated.done()
        await worker.end("k-1", "error", error="no such file")
        assert (await repeated)["replay"]["status"] == "error"

    story(tmp_path, tell)


def test_a_repetition_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "REPEAT", 0.05)

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1", args=KEYED)
        error = await refused(worker, "k-2", args=KEYED)
        assert error.kind == "Busy" and error.retry_after and "k-1" in error.message

    story(tmp_path, tell)


def test_two_at_once_run_once(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        second = await office.worker(front, (await office.connect(front))["conn"])
        # Large arguments are judged in the thread, so that both are under way together.
        args = KEYED | {"stdin": "x" * 300_000}
        asked = [
            asyncio.ensure_future(peer.begin(f"k-{n}-{m}", args=args))
            for n, peer in enumerate((worker, second))
            for m in range(2)
        ]
        await until(lambda: any(_allowed(one) for one in asked))
        (intent,) = office.records("intent")
        first = worker if intent["worker"] == worker.id else second
        await first.end(intent["call_id"])
        answers = await asyncio.gather(*asked, return_exceptions=True)
        decisions = [a["decision"] if isinstance(a, dict) else a.kind for a in answers]
        assert decisions.count("allow") == 1, decisions
        assert set(decisions) <= {"allow", "replay", "Busy"}
        assert len(office.records("intent")) == 1

    story(tmp_path, tell)


def _allowed(asked: asyncio.Future[Any]) -> bool:
    """Whether a call is admitted; what waits is not."""
    return asked.done() and not asked.exception() and asked.result()["decision"] == "allow"


def test_what_was_refused_is_not_remembered(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        args = {"command": "shutdown now", "idempotency_key": "k"}
        assert (await worker.begin("k-1", args=args))["decision"] == "deny"
        assert (await worker.begin("k-2", args=args))["decision"] == "deny"
        assert not office.records("replay")

    story(tmp_path, tell, policy__deny=("shutdown",))


def test_a_call_that_never_ran_frees_its_key(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        operator = await office.operator()
        asked = asyncio.ensure_future(worker.begin("k-1", args=KEYED))
        await until(lambda: len(office.broker.state.calls))
        await operator.ask("freeze", {"scope": "all", "value": "", "reason": "stop"})
        answer = (await asyncio.gather(asked, return_exceptions=True))[0]
        await operator.ask("unfreeze", {"scope": "all", "value": ""})
        if isinstance(answer, dict):
            return  # The verdict was faster than the freeze.
        # Nothing ran: with a worker that is not stopped, the same key runs now.
        front = await office.front()
        other = await office.worker(front, (await office.connect(front))["conn"])
        assert (await other.begin("k-2", args=KEYED))["decision"] == "allow"

    story(tmp_path, tell)


def test_a_frozen_principal_gets_no_stored_answer(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        await worker.begin("k-1", args=KEYED)
        await worker.end("k-1")
        await (await office.operator()).ask(
            "freeze", {"scope": "all", "value": "", "reason": "stop"}
        )
        conn = (await office.connect(front))["conn"]
        second = await office.worker(front, conn)
        assert (await refused(second, "k-2", args=KEYED)).kind == "Frozen"

    story(tmp_path, tell)


def test_keys_outlive_the_broker_and_the_call(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1", args=KEYED)
        await worker.end("k-1", exit=7)
        await worker.begin("k-2", args=KEYED | {"idempotency_key": "running"})
        await worker.begin("k-3", args=KEYED | {"idempotency_key": "lost"})
        client = office.clients[-1]
        await office.restart()
        again = await office.returned(worker, calls=["k-2"])
        await office.resumed(worker, client)
        assert (await again.begin("k-4", args=KEYED))["replay"]["exit"] == 7
        await again.end("k-2", exit=8)
        running = await again.begin("k-5", args=KEYED | {"idempotency_key": "running"})
        assert running["replay"]["exit"] == 8
        # The worker came back without this call: it is not run a second time.
        lost = await again.begin("k-6", args=KEYED | {"idempotency_key": "lost"})
        assert lost["replay"]["status"] == "interrupted"

    story(tmp_path, tell)


def test_with_a_window_of_nothing_keys_are_ignored(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        for n in range(2):
            assert (await worker.begin(f"k-{n}", args=KEYED))["decision"] == "allow"
            await worker.end(f"k-{n}")

    story(tmp_path, tell, limits__replay=0)


def test_input_that_is_repeated_is_not_typed_twice(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        args = {"session": f"s1.{worker.id}", "text": "rm ", "idempotency_key": "k"}
        await worker.begin("k-1", tool="session_send", args=args)
        await worker.end("k-1")
        repeated = await worker.begin("k-2", tool="session_send", args=args)
        assert repeated["decision"] == "replay"
        rest = {"session": f"s1.{worker.id}", "text": "x\n"}
        denied = await worker.begin("k-3", tool="session_send", args=rest)
        assert denied["decision"] == "deny"

    story(tmp_path, tell, policy__deny=(r"^rm x$",))
