"""A front brings clients; the broker decides who they are."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from pathlib import Path

import pytest

from broker.office import Office, Peer, story, until
from relay_shell.broker import front_desk
from relay_shell.broker.floods import BURST
from relay_shell.broker.principals import Principal, principal_of
from relay_shell.wire.errors import RelayError
from relay_shell.wire.messages import VERSION

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs a second account")


def test_a_client_is_named_by_the_kernel(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front = await office.front()
        assert front.hello["instance"] and "limits.message" in front.hello["settings"]
        assert "policy.mode" not in front.hello["settings"], "not the front's business"
        reply = await office.connect(front, address="ignored for unix")
        assert reply["principal"] == f"unix:{reply['user']}" and reply["mode"] == "open"
        assert reply["ceiling"] == 3 and reply["posture"] == "scoped"
        (record,) = office.records("connect")
        assert record["conn"] == reply["conn"] and record["uid"] == os.geteuid()
        assert record["pid"] == os.getpid() and record["transport"] == "unix"

    story(tmp_path, tell)


@as_root
def test_another_account_is_another_principal(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front = await office.front()
        assert (await office.connect(front, uid=65534))["principal"] == "unix:nobody"
        assert (await office.connect(front, uid=4_000_000))["principal"] == "unix:#4000000"

    story(tmp_path, tell)


def test_claims_do_not_make_an_identity(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front = await office.front()
        reply = await office.connect(front, claims={"sub": "root", "iss": "https://idp"})
        assert reply["principal"].startswith("unix:")
        accepted = office.client()
        for transport in ("http", "", "tcp"):
            refusal = await front.refused("connect", {"transport": transport}, (accepted.fileno(),))
            assert refusal.startswith("PermissionDenied")
        assert len(office.records("refused")) == 3

    story(tmp_path, tell)


def test_a_socket_that_our_listener_did_not_accept_is_refused(tmp_path: Path) -> None:
    # A front that was taken over connects to a service of root and passes that socket on.
    async def tell(office: Office) -> None:
        front = await office.front()
        other = str(tmp_path / "other.sock")
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
            listening.bind(other)
            listening.listen()
            client.connect(other)
            accepted, _ = listening.accept()
            for sock in (client, accepted, listening):
                refusal = await front.refused("connect", {"transport": "unix"}, (sock.fileno(),))
                assert refusal.startswith("PermissionDenied")
            accepted.close()
        with open("/etc/hostname") as file, pytest.raises(RelayError):
            await front.ask("connect", {"transport": "unix"}, (file.fileno(),))
        assert office.records("connect") == []

    story(tmp_path, tell)


def test_connections_are_limited_in_all_and_per_user(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front = await office.front()
        first = await office.connect(front)
        await office.connect(front)
        accepted = office.client()
        refusal = await front.refused("connect", {"transport": "unix"}, (accepted.fileno(),))
        assert "limits.connections_per_user" in refusal
        assert office.records("refused")[0]["error"] in refusal
        await front.ask("disconnect", {"conn": first["conn"], "reason": "EOF"})
        await office.connect(front)

    story(tmp_path, tell, limits__connections_per_user=2)
    (tmp_path / "2").mkdir()

    async def tell_all(office: Office) -> None:
        front = await office.front()
        await office.connect(front)
        accepted = office.client()
        refusal = await front.refused("connect", {"transport": "unix"}, (accepted.fileno(),))
        assert "(limits.connections)" in refusal

    story(tmp_path / "2", tell_all, limits__connections=1)


def test_what_a_client_calls_itself_is_recorded_as_a_claim(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        body = {"conn": worker.conn, "name": "Claude", "version": "2.1", "protocol": "2026-07-28"}
        front.link.notify("client", body)
        await worker.begin("k-1")
        assert office.records("client")[0]["client"] == "Claude 2.1"
        assert office.records("intent")[0]["client"] == "Claude 2.1"
        front.link.notify("client", body | {"conn": "c-000000000000"})
        await worker.end("k-1")

    story(tmp_path, tell)


def test_a_front_that_goes_while_a_client_is_named_leaves_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(uid: int) -> Principal:
        asked.set()
        assert go_on.wait(60)
        return principal_of(uid)

    monkeypatch.setattr(front_desk, "principal_of", slow)

    async def tell(office: Office) -> None:
        front = await office.front()
        (link,) = office.broker.listeners.of("front")
        accepted = office.client()
        asking = asyncio.create_task(
            front.refused("connect", {"transport": "unix"}, (accepted.fileno(),))
        )
        assert await asyncio.to_thread(asked.wait, 60)
        front.link.close("it was killed")
        await asking
        await until(lambda: link.closed)
        go_on.set()
        await until(lambda: not link._tasks)
        assert not len(office.broker.state.connections) and not office.records("connect")

    story(tmp_path, tell)


def test_rejected_messages_are_recorded_then_counted(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front = await office.front()
        conn = (await office.connect(front))["conn"]
        secret = "AKIA" + "QJZ7RW4MXT2KVPLD"
        for n in range(1000):
            await front.ask(
                "rejected",
                {"conn": conn, "what": "unknown-tool", "tool": "rm", "detail": f"{n} {secret}"},
            )
        assert len(office.records("rejected")) == BURST
        await front.ask("disconnect", {"conn": conn, "reason": "EOF"})
        records = office.records("rejected")
        assert records[-1]["facts"]["count"] == 1000 - BURST
        assert records[0]["tool"] == "rm" and secret not in office.audit.read_text()

    story(tmp_path, tell)


def test_reading_a_resource_is_recorded_and_can_be_frozen(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front = await office.front()
        conn = (await office.connect(front))["conn"]
        asked = {"conn": conn, "what": "resource", "name": "relay-shell://inventory"}
        assert (await front.ask("observe", asked))["allowed"] is True
        office.broker.state.freezer.add("all", "", "incident", "test")
        reply = await front.ask("observe", asked)
        assert reply["allowed"] is False and "incident" in reply["reason"]
        assert [row["decision"] for row in office.records("observe")] == ["allow", "deny"]

    story(tmp_path, tell)


def test_a_front_has_no_say_over_another_front_s_connection(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        mine, other = await office.front(), await office.front()
        conn = (await office.connect(mine))["conn"]
        for name, body in (
            ("ticket", {}),
            ("adopt", {"worker": "aaaaaaaa"}),
            ("observe", {"what": "resource", "name": "x"}),
            ("rejected", {"what": "json"}),
            ("disconnect", {"reason": "mine now"}),
        ):
            assert (await other.refused(name, {"conn": conn} | body)).startswith("NotFound")
        assert len(office.broker.state.connections) == 1

    story(tmp_path, tell)


def test_a_parked_worker_is_adopted_by_its_principal_alone(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        await front.ask("disconnect", {"conn": worker.conn, "reason": "EOF"})
        assert "no connection of this worker" in await worker.begin_refused("k-1")
        again = (await office.connect(front))["conn"]
        await front.ask("adopt", {"worker": worker.id, "conn": again})
        assert (await worker.begin("k-1", conn=again))["decision"] == "allow"
        assert office.records("worker", what="adopted")[0]["conn"] == again
        (row,) = (await front.ask("workers"))["workers"]
        assert row["worker"] == worker.id and row["conn"] == again
        if os.geteuid() == 0:
            other = (await office.connect(front, uid=65534))["conn"]
            refusal = await front.refused("adopt", {"worker": worker.id, "conn": other})
            assert refusal.startswith("NotFound")

    story(tmp_path, tell)


def test_a_front_that_returns_keeps_its_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_desk, "RETURN", 3.0)

    async def tell(office: Office) -> None:
        front = await office.front()
        kept_socket = office.client()
        body = {"transport": "unix"}
        kept = await front.ask("connect", body, (kept_socket.fileno(),))
        lost = await office.connect(front)
        front.link.close()
        again = await office.front()
        back = body | {"conn": kept["conn"]}
        assert (await again.ask("connect", back, (kept_socket.fileno(),)))["conn"] == kept["conn"]
        await until(lambda: office.records("disconnect"))
        (record,) = office.records("disconnect")
        assert record["conn"] == lost["conn"] and record["detail"] == "the front ended"
        assert len(office.records("connect")) == 2

    story(tmp_path, tell)


def test_a_connection_is_not_given_to_another_process(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front = await office.front()
        conn = (await office.connect(front))["conn"]
        known = office.broker.state.connections.get(conn)
        known.peer = known.peer._replace(pid=1)
        accepted = office.client()
        body = {"transport": "unix", "conn": conn}
        refusal = await front.refused("connect", body, (accepted.fileno(),))
        assert "another process" in refusal
        for malformed in ("c-1", "x" * 14, "c-00000000000G"):
            refusal = await front.refused(
                "connect", body | {"conn": malformed}, (accepted.fileno(),)
            )
            assert refusal.startswith("Protocol")

    story(tmp_path, tell)


def test_a_front_of_another_version_is_told(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front = Peer(await office.dial(), "front")
        refusal = await front.refused("hello_front", {"version": VERSION + 1})
        assert refusal.startswith("VersionMismatch")
        front.link.close()

    story(tmp_path, tell)


def test_two_hundred_clients_at_once(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front = await office.front()
        replies = await asyncio.gather(*(office.connect(front) for _ in range(200)))
        assert len({reply["conn"] for reply in replies}) == 200
        assert len(office.broker.state.connections) == 200
        for reply in replies:
            await front.ask("disconnect", {"conn": reply["conn"], "reason": "EOF"})
        assert len(office.broker.state.connections) == 0
        assert len(office.records("connect")) == len(office.records("disconnect")) == 200

    story(tmp_path, tell, limits__connections_per_user=512)
