"""Calls: decision, durable intent, verdict, outcome; and every refusal on record."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, records_of, story, until
from relay_shell.broker import preparation
from relay_shell.broker.judge import Judge
from relay_shell.evidence import canonical


def test_a_call_from_begin_to_end(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        verdict = await worker.begin("k-1", "df -h", request_id="7", reason="disk check")
        assert verdict["decision"] == "allow" and verdict["tier"] == 0
        assert verdict["mode"] == "open" and verdict["enforcement"] == "none"

        (intent,) = office.records("intent")
        args = canonical.encode({"command": "df -h"})
        assert intent["call_id"] == "k-1" and intent["decision"] == "allow"
        assert intent["args"] == {"command": "df -h"} and intent["args_bytes"] == len(args)
        assert intent["args_sha256"] == hashlib.sha256(args).hexdigest()
        assert intent["principal"] == worker.hello["principal"]
        assert intent["worker"] == worker.id and intent["conn"] == worker.conn
        assert intent["request_id"] == "7" and intent["reason"] == "disk check"
        assert intent["posture"] == "scoped" and intent["pid"] == os.getpid()

        facts = {"exit": 0, "sha256": "0" * 64, "bytes": 512, "truncated": False, "cpu_ms": 3}
        await worker.end("k-1", **facts, mem_peak=4096, survivors=0)
        (outcome,) = office.records("outcome")
        assert outcome["status"] == "ok" and facts.items() <= outcome.items()
        assert outcome["seq"] == intent["seq"] + 1 and outcome["prev"] == intent["chain"]
        for name in ("call_id", "principal", "conn", "worker", "tool", "tier", "request_id"):
            assert outcome[name] == intent[name]

    story(tmp_path, tell)


def test_the_intent_is_synced_before_the_verdict_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real = os.fdatasync

    def slow(fd: int) -> None:
        order.append("sync begins")
        real(fd)
        order.append("sync ends")

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        monkeypatch.setattr(os, "fdatasync", slow)
        asked = asyncio.ensure_future(worker.begin("k-1"))
        asked.add_done_callback(lambda _: order.append("verdict"))
        await asked
        await until(lambda: "verdict" in order)

    story(tmp_path, tell)
    assert order[: order.index("verdict") + 1] == ["sync begins", "sync ends", "verdict"]


def test_a_deny_rule_refuses_with_its_reason(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        verdict = await worker.begin("k-1", "/sbin/shutdown -h now")
        assert verdict["decision"] == "deny" and "deny rule 1" in verdict["reasons"][0]
        (deny,) = office.records("deny")
        assert deny["call_id"] == "k-1" and deny["reasons"] == verdict["reasons"]
        assert deny["args"] == {"command": "/sbin/shutdown -h now"} and deny["decision"] == "deny"
        assert office.records("intent") == [] and len(office.broker.state.calls) == 0

    story(tmp_path, tell, policy__deny=(r"\bshutdown\b",))


@pytest.mark.parametrize(
    ("mode", "command", "decision"),
    [
        ("open", "rm -rf /srv", "allow"),
        ("guarded", "rm -rf /srv", "deny"),
        ("guarded", "systemctl restart nginx", "allow"),
        ("guarded", "systemctl restart nginx; rm -rf /srv", "deny"),
        ("guarded", "df -h", "allow"),
        ("readonly", "df -h", "allow"),
        ("readonly", "touch /srv/x", "allow"),
    ],
)
def test_modes(tmp_path: Path, mode: str, command: str, decision: str) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        verdict = await worker.begin("k-1", command)
        assert verdict["decision"] == decision, verdict
        assert verdict["mode"] == mode
        assert verdict["enforcement"] == ("readonly" if mode == "readonly" else "none")
        assert len(office.records("intent" if decision == "allow" else "deny")) == 1

    allow = (r"^systemctl restart nginx$",)
    story(tmp_path, tell, policy__mode=mode, policy__allow=allow)


def test_the_ceiling_holds_in_open_mode(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        assert (await worker.begin("k-1", "df -h"))["decision"] == "allow"
        verdict = await worker.begin("k-2", "rm -rf /srv")
        assert verdict["decision"] == "deny" and "ceiling 1" in verdict["reasons"][0]

    story(tmp_path, tell, policy__ceiling=1)


def test_a_command_split_over_two_messages_meets_the_rule(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()

        async def send(call: str, text: str, status: str = "ok", **more: Any) -> str:
            args = {"session": f"s1.{worker.id}", "text": text, **more}
            decision = (await worker.begin(call, tool="session_send", args=args))["decision"]
            if decision == "allow" and status:
                await worker.end(call, status)
            return decision

        assert await send("k-1", "shut") == "allow"
        assert await send("k-2", "down\n") == "deny"
        assert await send("k-3", "\n") == "allow"
        assert await send("k-4", "down\n") == "allow"
        # A message that failed has perhaps not ended the line.
        assert await send("k-5", "shut") == "allow"
        assert await send("k-6", "\n", "error", keys=["no-such-key"]) == "allow"
        assert await send("k-7", "down\n") == "deny"
        assert await send("k-8", "\n") == "allow"
        # Of two messages at once the order is not known.
        assert await send("k-9", "down\n", "") == "allow"
        assert await send("k-10", "shut") == "deny"
        await worker.end("k-9")
        assert await send("k-11", "shut") == "allow"
        # Erasing a letter is no way round, nor is a line that goes on in the next.
        assert await send("k-12", "X", keys=["backspace"]) == "allow"
        assert await send("k-13", "down", submit=True) == "deny"
        assert await send("k-14", "", keys=["enter"]) == "allow"
        assert await send("k-15", "shut\\\n") == "allow"
        assert await send("k-16", "down\n") == "deny"

    story(tmp_path, tell, policy__deny=("shutdown",))


def test_secrets_are_not_in_the_record_but_the_shell_is(tmp_path: Path) -> None:
    secret = "AKIA" + "QJZ7RW4MXT2KVPLD"

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        command = f"aws --key {secret} s3 ls && PASSWORD=$(cat /etc/hostname) run; rm x"
        await worker.begin("k-1", command, reason=f"use {secret}", hosts=["a", secret])
        await worker.end("k-1", "error", error=f"cannot start '{secret}'")
        await worker.begin("k-2", "deploy", args={"command": "x", "env": {"TOKEN": secret}})
        text = office.audit.read_text()
        assert secret not in text
        shown = office.records("intent")[0]["args"]["command"]
        assert "&& PASSWORD=$(cat /etc/hostname) run; rm x" in shown

    story(tmp_path, tell)


def test_large_arguments_are_cut_in_the_record_and_counted_whole(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        args = {"command": "true", "stdin": "z" * 3_000_000}
        await worker.begin("k-1", args=args)
        (intent,) = office.records("intent")
        assert len(intent["args"].encode()) <= 4096
        full = canonical.encode(args)
        assert intent["args_bytes"] == len(full)
        assert intent["args_sha256"] == hashlib.sha256(full).hexdigest()

    story(tmp_path, tell)


def test_numbers_that_grow_on_the_way_fit(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        # 4 MiB of "1e15," as a client may send them.
        args = {"command": "true", "env": [1e15] * (4 * 1024 * 1024 // 5)}
        assert (await worker.begin("k-1", args=args))["decision"] == "allow"
        assert office.records("intent")[0]["args_bytes"] > 15_000_000

    story(tmp_path, tell)


def test_while_the_record_cannot_be_written_nothing_is_admitted(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        away = tmp_path / "away"
        full = _unwritable(office)
        try:
            refusal = await worker.begin_refused("k-2")
            assert refusal.startswith("EvidenceUnavailable: ") and "nothing ran" in refusal
            # What ran already is not lost: its outcome waits.
            assert (await worker.refused("end", _end("k-1"))).startswith("EvidenceUnavailable")
            assert "REFUSING CALLS" in office.broker.state.summary()
        finally:
            full.restore()
        verdict = await worker.begin("k-3")
        assert verdict["decision"] == "allow"
        await until(lambda: office.records("outcome", call_id="k-1"))
        assert office.records("recovered") and not away.exists()
        assert not office.records("intent", call_id="k-2")
        assert office.records("outcome", call_id="k-2")[0]["error"].startswith("nothing ran")

    story(tmp_path, tell)


def _end(call: str) -> dict[str, Any]:
    return {"call": call, "status": "ok", "duration_ms": 1}


class _unwritable:
    """The writer's descriptor becomes /dev/full: each write fails with ENOSPC."""

    def __init__(self, office: Office) -> None:
        file = office.broker.state.trail.writer._file
        assert file is not None
        self._fd = file.fd
        self._kept = os.dup(self._fd)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, self._fd)
        os.close(full)

    def restore(self) -> None:
        os.dup2(self._kept, self._fd)
        os.close(self._kept)


def test_a_sync_that_fails_admits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        real = os.fdatasync

        def broken(fd: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fdatasync", broken)
        assert "EvidenceUnavailable" in await worker.begin_refused("k-1")
        assert len(office.broker.state.calls) == 0
        monkeypatch.setattr(os, "fdatasync", real)
        assert (await worker.begin("k-2"))["decision"] == "allow"
        # The intent is in the file, in doubt; that it never ran is on record as well.
        assert office.records("outcome", call_id="k-1", status="cancelled")

    story(tmp_path, tell)


def test_calls_at_once_are_bounded_and_the_excess_recorded(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        verdicts = await asyncio.gather(
            *(worker.begin(f"k-{n}") for n in range(40)), return_exceptions=True
        )
        assert sum(isinstance(verdict, dict) for verdict in verdicts) == 4
        assert len(office.records("intent")) == 4
        assert "limits.calls" in office.records("deny")[0]["reasons"][0]
        await worker.end("k-0")
        assert (await worker.begin("k-99"))["decision"] == "allow"

    story(tmp_path, tell, limits__calls=4)


def test_a_worker_cannot_speak_for_another_connection(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        assert "no connection of this worker" in await worker.begin_refused(
            "k-1", conn="c-000000000000"
        )
        if os.geteuid() == 0:
            other = await office.connect(front, uid=65534)
            refusal = await worker.begin_refused("k-1", conn=other["conn"])
            assert "no connection of this worker" in refusal
            _, second = office.records("rejected", what="begin-conn")
            assert second["principal"] == worker.hello["principal"]
        same = await office.connect(front)
        assert (await worker.begin("k-1", conn=same["conn"]))["decision"] == "allow"

    story(tmp_path, tell)


def test_an_end_without_a_begin_is_noted_as_a_claim(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.end("k-never", exit=0)
        assert office.records("outcome") == []
        (note,) = office.records("note")
        assert note["what"] == "late-end" and note["call_id"] == "k-never"

    story(tmp_path, tell)


def test_an_end_that_is_told_twice_is_recorded_once(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        assert await worker.end("k-1") == await worker.end("k-1") == {}
        assert len(office.records("outcome")) == 1 and office.records("note") == []

    story(tmp_path, tell)


def test_only_the_broker_says_interrupted(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        assert "no such status" in await worker.refused(
            "end", _end("k-1") | {"status": "interrupted"}
        )
        assert len(office.broker.state.calls) == 1

    story(tmp_path, tell)


def test_a_freeze_between_intent_and_verdict_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        state = office.broker.state
        real = state.trail.commit

        async def frozen_meanwhile(**facts: Any) -> Any:
            record = await real(**facts)
            state.freezer.add("all", "", "incident 42", "test")
            return record

        monkeypatch.setattr(type(state.trail), "commit", lambda self, **f: frozen_meanwhile(**f))
        assert "Frozen: frozen by the operator: incident 42" in await worker.begin_refused("k-1")
        (outcome,) = office.records("outcome")
        assert outcome["status"] == "cancelled" and "nothing ran" in outcome["error"]

    story(tmp_path, tell)


def test_costly_commands_are_judged_away_from_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: dict[str, bool] = {}
    real = Judge.decide

    def decide(self: Judge, tool: str, args: Any, *more: Any) -> Any:
        where[args["command"]] = threading.current_thread() is threading.main_thread()
        return real(self, tool, args, *more)

    monkeypatch.setattr(Judge, "decide", decide)

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1", "df -h")
        await worker.begin("k-2", "{a,b}" * 10)
        await worker.ask("explain", {"args": {"args": {"command": "{c,d}" * 10}}})

    story(tmp_path, tell)
    assert where == {"df -h": True, "{a,b}" * 10: False, "{c,d}" * 10: False}


def test_too_many_large_calls_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "LARGE_EACH", 2)

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        args = {"command": "true", "stdin": "z" * 1_000_000}
        # The thread is held, so that calls pile up however slowly their frames arrive.
        release = threading.Event()
        office.broker._admission._preparation._pool.submit(release.wait, 30)
        calls = [asyncio.create_task(worker.begin(f"k-{n}", args=args)) for n in range(8)]
        await until(lambda: sum(call.done() for call in calls) == 6)
        release.set()
        found = await asyncio.gather(*calls, return_exceptions=True)
        kinds = {getattr(row, "kind", "allowed") for row in found}
        assert kinds == {"allowed", "Busy"}
        assert "too many large calls" in office.records("deny")[0]["reasons"][0]

    story(tmp_path, tell)


def test_text_that_is_no_unicode_is_judged_and_recorded(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        args = {"command": "echo \ud800", "env": {"\udfff": "\x00"}}
        body = {"call": "k-1", "conn": worker.conn, "tool": "shell_exec", "args": args}
        # json escapes what UTF-8 cannot hold; the link's own encoder would replace it.
        frame = json.dumps({"m": "begin", "i": 999, "b": body | {"reason": "\ud800"}})
        worker.link.sock.send(b"\x03" + frame.encode("ascii"))
        (row,) = await until(lambda: office.records("intent", "deny"))
        assert row["args_sha256"] == hashlib.sha256(canonical.encode(args)).hexdigest()
        await worker.begin("k-2")

    story(tmp_path, tell)


def test_the_record_of_a_busy_broker_is_a_chain(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        others = [await office.worker(front, worker.conn) for _ in range(3)]

        async def work(worker: Any, n: int) -> None:
            await worker.begin(f"k-{worker.id}-{n}")
            await worker.end(f"k-{worker.id}-{n}")

        await asyncio.gather(*(work(w, n) for w in (worker, *others) for n in range(20)))

    story(tmp_path, tell)
    records = records_of(tmp_path / "audit.jsonl")
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert all(b["prev"] == a["chain"] for a, b in pairwise(records))
    calls = [record["call_id"] for record in records if record["event"] == "intent"]
    assert len(calls) == 80 and records[-1]["event"] == "stop"
