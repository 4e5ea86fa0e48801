"""Operators see, freeze and kill; what they do is on record with their name."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, Peer, story, until
from relay_shell.broker import statefile
from relay_shell.broker.principals import Accounts
from relay_shell.wire.messages import VERSION


def test_status_names_agents_workers_calls_and_the_state_of_the_record(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        operator = await office.operator()
        assert operator.hello["program"].startswith("relay-shell ")
        status = (await operator.ask("status"))["status"]
        json.dumps(status)
        user = worker.hello["user"]
        assert status["summary"] == f"1 agent, 1 call: {user} shell_exec 0 s"
        assert status["mode"] == "open" and status["evidence"]["state"] == "ok"
        assert status["connections"][0]["principal"] == f"unix:{user}"
        assert status["workers"][0]["worker"] == worker.id and status["workers"][0]["linked"]
        assert status["calls"][0]["call"] == "k-1"
        assert len(status["config_sha256"]) == 64 and status["frozen"] == []

    story(tmp_path, tell)


def test_a_freeze_stops_workers_refuses_calls_and_survives(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        operator = await office.operator()
        body = {"scope": "all", "value": "", "reason": "incident 42"}
        reply = await operator.ask("freeze", body)
        assert reply["stopped"] == 1
        assert reply["frozen"][0]["reason"] == "incident 42" and reply["frozen"][0]["since"]
        assert "incident 42" in (await worker.hears("stop"))["reason"]
        await worker.end("k-1", "killed")
        assert "incident 42" in office.records("outcome")[0]["error"]
        (record,) = office.records("freeze")
        assert record["what"] == "all" and record["reason"] == "incident 42"
        assert record["uid"] == os.geteuid() and record["principal"].startswith("unix:")

        await office.restart()
        _, again = await office.at_work()
        refusal = await again.begin_refused("k-2")
        assert refusal == "Frozen: frozen by the operator: incident 42"
        (deny,) = office.records("deny")
        assert deny["call_id"] == "k-2" and "incident 42" in deny["reasons"][0]

        operator = await office.operator()
        assert (await operator.ask("unfreeze", {"scope": "all", "value": ""}))["frozen"] == []
        assert (await again.begin("k-3"))["decision"] == "allow"
        assert office.records("unfreeze")[0]["detail"] == "all"
        assert (await operator.refused("unfreeze", {"scope": "all", "value": ""})).startswith(
            "NotFound"
        )

    story(tmp_path, tell)


def test_a_frozen_tier_aborts_its_calls_and_leaves_the_others(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-low", "ls")
        await worker.begin("k-high", "rm -rf /srv")
        operator = await office.operator()
        body = {"scope": "tier", "value": "2", "reason": "change freeze"}
        assert (await operator.ask("freeze", body))["stopped"] == 1
        assert (await worker.hears("abort"))["call"] == "k-high"
        assert [name for name, _ in worker.heard] == ["abort"]
        assert (await worker.begin("k-2", "ls"))["decision"] == "allow"
        assert "change freeze" in await worker.begin_refused("k-3", "rm -rf /srv")

    story(tmp_path, tell)


def test_a_frozen_host_aborts_the_calls_that_reach_it(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        ask: dict[str, Any] = {"tool": "ssh_exec", "args": {"command": "uptime"}}
        web, jump = ["web1", "10.0.0.1"], ["bastion", "192.0.2.1"]
        await worker.begin("k-1", **ask, hosts=[web, jump])
        await worker.begin("k-2", **ask, hosts=[["web2", "10.0.0.2"]])
        await worker.begin("k-3", "ssh bastion uptime")
        operator = await office.operator()
        body = {"scope": "host", "value": "Bastion", "reason": "drill"}
        assert (await operator.ask("freeze", body))["stopped"] == 2
        await until(lambda: len(worker.heard) == 2)
        assert {said["call"] for _, said in worker.heard} == {"k-1", "k-3"}
        assert "drill" in await worker.begin_refused("k-4", **ask, hosts=[web, jump])
        assert "drill" in await worker.begin_refused("k-5", "ssh bastion uptime")
        assert (await worker.begin("k-6", **ask, hosts=[web]))["decision"] == "allow"
        (record,) = office.records("freeze")
        assert (record["what"], record["detail"]) == ("host", "host bastion")
        (denied, _) = office.records("deny")
        assert denied["hosts"][:2] == ["web1", "bastion"]
        await operator.ask("freeze", {"scope": "host", "value": "10.0.0.0/30", "reason": "net"})
        assert "net" in await worker.begin_refused("k-7", **ask, hosts=[web])
        for value in ("bastion", "10.0.0.0/30"):
            await operator.ask("unfreeze", {"scope": "host", "value": value})
        assert (await worker.begin("k-8", **ask, hosts=[web, jump]))["decision"] == "allow"
        for value in ("", "no host", "10.0.0.1/8", "?$H"):
            wrong = {"scope": "host", "value": value, "reason": ""}
            assert (await operator.refused("freeze", wrong)).startswith("InvalidArguments")

    story(tmp_path, tell)


def test_calls_that_a_former_broker_admitted_are_known_by_their_hosts(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        ask: dict[str, Any] = {"tool": "ssh_exec", "args": {"command": "uptime"}}
        await worker.begin("k-1", **ask, hosts=[["web1", "10.0.0.1"]])
        await office.restart()
        back = await office.returned(worker, calls=["k-1"])
        operator = await office.operator()
        body = {"scope": "host", "value": "10.0.0.1", "reason": "drill"}
        assert (await operator.ask("freeze", body))["stopped"] == 1
        assert (await back.hears("abort"))["call"] == "k-1"

    story(tmp_path, tell)


def test_a_frozen_principal_or_worker_stops_nobody_else(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        other = await office.worker(front, worker.conn)
        operator = await office.operator()
        body = {"scope": "worker", "value": other.id, "reason": "r"}
        assert (await operator.ask("freeze", body))["stopped"] == 1
        await other.hears("stop")
        assert (await worker.begin("k-1"))["decision"] == "allow"
        body = {"scope": "principal", "value": "unix:somebody-else", "reason": "r"}
        assert (await operator.ask("freeze", body))["stopped"] == 0
        assert worker.heard == [] and (await worker.begin("k-2"))["decision"] == "allow"
        body = {"scope": "principal", "value": worker.hello["principal"], "reason": "r"}
        assert (await operator.ask("freeze", body))["stopped"] == 2

    story(tmp_path, tell)


def test_a_freeze_holds_even_if_it_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        operator = await office.operator()

        def full(*args: object, **more: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(statefile, "write", full)
        body = {"scope": "all", "value": "", "reason": "incident"}
        refusal = await operator.refused("freeze", body)
        assert "the freeze holds" in refusal and "No space left" in refusal
        await worker.hears("stop")
        assert office.records("freeze")[1]["error"] in refusal
        # And what cannot be lifted stays.
        refusal = await operator.refused("unfreeze", {"scope": "all", "value": ""})
        assert "still frozen" in refusal
        assert office.broker.state.freezer.standing()

    story(tmp_path, tell)


def test_kill_ends_a_call_a_worker_a_connection_or_a_principal(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        await worker.begin("k-1")
        operator = await office.operator()

        async def kill(scope: str, value: str) -> int:
            body = {"scope": scope, "value": value, "reason": "enough"}
            return (await operator.ask("kill", body))["stopped"]

        assert await kill("call", "k-1") == 1
        assert (await worker.hears("abort"))["reason"] == "ended by the operator: enough"
        await worker.end("k-1", "killed")
        assert office.records("outcome")[0]["error"] == "ended by the operator: enough"

        assert await kill("conn", worker.conn) == 2
        assert (await front.hears("close"))["conn"] == worker.conn
        assert "enough" in (await worker.hears("stop"))["reason"]
        assert "Cancelled" in await worker.begin_refused("k-2")
        assert "enough" in office.records("deny", call_id="k-2")[0]["reasons"][0]

        second = await office.worker(front, worker.conn)
        assert await kill("worker", second.id) == 1
        assert await kill("principal", worker.hello["principal"]) == 3
        for scope, value in (("worker", "aaaaaaaa"), ("call", "k-9"), ("conn", "c-0")):
            assert await kill(scope, value) == 0
        assert await kill("principal", "unix:nobody-here") == 0
        assert len(office.records("kill")) == 8
        body = {"scope": "host", "value": "x", "reason": ""}
        assert (await operator.refused("kill", body)).startswith("InvalidArguments")

    story(tmp_path, tell)


def test_operators_read_the_whole_record(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        operator = await office.operator()
        found = (await operator.ask("records", {"count": 100, "filters": {}}))["records"]
        assert [row["event"] for row in found] == ["start", "connect", "worker", "intent"]
        found = await operator.ask("records", {"count": 1, "filters": {"tool": "shell_exec"}})
        assert found["records"][0]["call_id"] == "k-1"
        refusal = await operator.refused("records", {"count": 1, "filters": {"nope": 1}})
        assert refusal.startswith("InvalidArguments")
        assert office.records("observe")[0]["what"] == "records"

    story(tmp_path, tell)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second account")
def test_others_are_no_operators(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        nobody = Accounts(front=0, workers={}, operators=None, check_units=False)
        office.broker.state.accounts = nobody
        tmp_path.chmod(0o711)
        os.chmod(office.settings["paths.operator"], 0o666)
        directory = os.open(tmp_path, os.O_PATH)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.seteuid(65534)
        try:
            sock.connect(f"/proc/self/fd/{directory}/operator.sock")
        finally:
            os.seteuid(0)
            os.close(directory)
        stranger = Peer(sock, "operator")
        refusal = await stranger.refused("hello_operator", {"version": VERSION})
        assert refusal.startswith("PermissionDenied") and "relay-shell-operators" in refusal
        (row,) = await until(lambda: office.records("refused"))
        assert row["uid"] == 65534 and "relay-shell-operators" in row["error"]

    story(tmp_path, tell)


def test_where_nothing_is_reloaded_nobody_reloads(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        operator = await office.operator()
        assert (await operator.refused("reload")).startswith("PermissionDenied: root alone")

    story(tmp_path, tell)
