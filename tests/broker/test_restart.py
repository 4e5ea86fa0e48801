"""A broker that stops, and the one that takes over."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from broker.office import Office, Worker, accounts, settings_in, story, until
from relay_shell.broker import worker_desk
from relay_shell.broker.server import Broker
from relay_shell.config.settings import Settings
from relay_shell.wire.errors import RelayError
from relay_shell.wire.messages import VERSION


def test_calls_outlive_a_restart_of_the_broker(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        sock = office.clients[-1]
        await worker.begin("k-1")
        await office.broker.close("SIGTERM")
        assert office.records()[-1]["event"] == "stop"
        assert office.records()[-1]["facts"] == {"calls": 1, "workers": 1}
        await until(lambda: front.closed and worker.closed)

        broker = office.open()
        assert broker.state.instance != front.hello["instance"]
        (call,) = broker.state.calls
        assert call.id == "k-1" and not call.claimed and call.worker == worker.id
        again = await office.returned(worker, calls=["k-1"])
        # The worker may be back before the front is.
        assert (await again.begin("k-2"))["decision"] == "allow"
        await office.resumed(worker, sock)
        await again.end("k-1", exit=0)
        await again.end("k-2", exit=0)
        assert office.records("interrupted") == [] and len(office.records("outcome")) == 2
        assert office.records("connect")[-1]["what"] == "resumed"

    story(tmp_path, tell)


def test_a_client_that_left_meanwhile_is_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        kept = office.clients[-1]
        other = await office.connect(front)
        parked = await office.worker(front, other["conn"])
        await office.restart(lambda: monkeypatch.setattr(worker_desk, "RETURN", 3.0))
        await office.resumed(worker, kept)
        again = await office.returned(parked)
        (row,) = await until(lambda: office.records("disconnect"))
        assert row["conn"] == other["conn"] and "returned" in row["detail"]
        assert "no connection of this worker" in await again.begin_refused("k-1")
        assert (await (await office.returned(worker)).begin("k-2"))["decision"] == "allow"

    story(tmp_path, tell)


def test_a_call_whose_worker_is_gone_as_well_shows_as_interrupted(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        await office.restart(office.worker_state().unlink)
        (row,) = office.records("interrupted")
        assert row["call_id"] == "k-1" and row["tool"] == "shell_exec"
        assert len(office.broker.state.calls) == 0
        await office.restart()
        assert len(office.records("interrupted")) == 1, "it is accounted for once"
        peer = Worker(await office.dial(), worker.conn)
        body = {"version": VERSION, "worker": worker.id, "resume": worker.hello["resume"]}
        assert "no such worker" in await peer.refused("hello_worker", body)

    story(tmp_path, tell)


@pytest.mark.parametrize("spoil", ["pid", "secret", "mode", "garbage", "id"])
def test_a_worker_s_state_that_was_tampered_with_is_refused(tmp_path: Path, spoil: str) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        await office.broker.close()
        path = office.worker_state()
        text = path.read_text()
        if spoil == "pid":
            path.write_text(text.replace(f'"pid":{os.getpid()}', '"pid":1'))
        elif spoil == "secret":
            path.write_text(text.replace('"resume":"', '"resume":"0'))
        elif spoil == "mode":
            path.chmod(0o644)
        elif spoil == "garbage":
            path.write_text("{}")
        else:
            path.write_text(text.replace(worker.id, "aaaaaaaa"))
        office.open()
        peer = Worker(await office.dial(), worker.conn)
        body = {"version": VERSION, "worker": worker.id, "resume": worker.hello["resume"]}
        assert "re-hello refused" in await peer.refused("hello_worker", body)
        assert office.records("refused", what="worker")
        if spoil != "secret":
            assert office.records("interrupted")[0]["call_id"] == "k-1"
            assert office.records("worker", what="lost")[0]["worker"] == worker.id

    story(tmp_path, tell)


def test_a_record_that_opens_late_still_accounts_for_open_calls(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        await office.broker.close()
        office.worker_state().unlink()
        office.audit.chmod(0o666)
        office.open()
        assert "REFUSING CALLS" in office.broker.state.summary()
        _, again = await office.at_work()
        assert "EvidenceUnavailable" in await again.begin_refused("k-2")
        office.audit.chmod(0o640)
        assert (await again.begin("k-3"))["decision"] == "allow"
        await until(lambda: office.records("interrupted", call_id="k-1"))
        assert office.records("start"), "what happened meanwhile was not lost"

    story(tmp_path, tell)


def test_two_brokers_cannot_write_one_record(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        with pytest.raises(RelayError, match="another process writes"):
            Broker(office.settings, accounts=accounts())

    story(tmp_path, tell)


def test_a_missing_or_open_directory_is_a_configuration_error(tmp_path: Path) -> None:
    async def tell(settings: Settings) -> None:
        with pytest.raises(RelayError) as caught:
            Broker(settings, accounts=accounts())
        assert caught.value.kind == "Config" and caught.value.exit_status == 78

    settings = settings_in(tmp_path)
    (tmp_path / "state").chmod(0o777)
    asyncio.run(tell(settings))
    (tmp_path / "state").rmdir()
    asyncio.run(tell(settings))


def test_a_rule_that_re2_cannot_take_is_a_configuration_error(tmp_path: Path) -> None:
    async def tell() -> None:
        with pytest.raises(RelayError, match="pattern 1") as caught:
            Broker(settings_in(tmp_path, policy__deny=(r"(a)\1",)), accounts=accounts())
        assert caught.value.kind == "Config"

    asyncio.run(tell())
