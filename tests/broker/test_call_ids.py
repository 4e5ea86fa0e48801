"""The id of a call: one call's alone, for intent and outcome are paired by it."""

from __future__ import annotations

from pathlib import Path

from broker.office import Office, story


def test_a_call_id_is_used_once_at_a_time(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        assert "in use" in await worker.begin_refused("k-1")
        for call in ("", "a b", "x" * 65, "k\n1", "é"):
            assert "Protocol" in await worker.begin_refused(call)
        await worker.end("k-1")
        assert "in use" in await worker.begin_refused("k-1")
        assert len(office.records("intent")) == 1
        assert len(office.records("rejected", what="begin-call")) == 7

    story(tmp_path, tell)


def test_an_id_of_another_workers_call_is_in_use(tmp_path: Path) -> None:
    """Two calls of one id would have two outcomes that nobody can tell apart."""

    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        other = await office.worker(front, worker.conn)
        await worker.begin("k-1")
        assert "in use" in await other.begin_refused("k-1")
        await worker.end("k-1")
        assert "in use" in await other.begin_refused("k-1")
        assert (await other.begin("k-2"))["decision"] == "allow"
        assert len(office.records("intent", call_id="k-1")) == 1
        assert len(office.records("outcome", call_id="k-1")) == 1

    story(tmp_path, tell)
