"""The broker's sockets under hostile and clumsy peers."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import socket
from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, Peer, Worker, story, until
from relay_shell.broker.handshake import PENDING
from relay_shell.broker.listeners import FRONTS, STRANGERS
from relay_shell.broker.principals import Accounts
from relay_shell.wire.frame import encode
from relay_shell.wire.messages import VERSION


async def raw(office: Office, name: str = "broker") -> socket.socket:
    """A connected socket that says nothing by itself."""
    return await office.dial(name)


async def gone(sock: socket.socket) -> bytes:
    """Wait until the broker closes; return what it said before."""
    loop = asyncio.get_running_loop()
    said = b""
    async with asyncio.timeout(60):
        while True:
            try:
                packet = await loop.sock_recv(sock, 70_000)
            except ConnectionError:
                return said
            if not packet:
                return said
            said += packet


def test_a_silent_link_is_ended(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        office.broker.listeners.pending.patience = 0.1
        sock = await raw(office)
        assert await gone(sock) == b""
        assert "no hello in 0.1 s" in office.records("refused")[0]["error"]
        sock.close()
        # One that says a hello which is refused may stay no longer either.
        front = Peer(await office.dial(), "front")
        assert "VersionMismatch" in await front.refused("hello_front", {"version": 99})
        await until(lambda: front.closed)

    story(tmp_path, tell)


def test_commands_of_agents_do_not_take_the_places_of_workers(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, _ = await office.at_work()
        broker = office.broker
        ours, broker.state.accounts = broker.state.accounts, strangers()
        held = [await raw(office) for _ in range(2 * PENDING)]
        await until(lambda: broker.state.refused >= 2 * PENDING - STRANGERS)
        assert len(broker.listeners.strangers) > 0 and len(broker.listeners.pending) == 0
        broker.state.accounts = ours
        conn = (await office.connect(front))["conn"]
        assert (await (await office.worker(front, conn)).begin("k-1"))["decision"] == "allow"
        counted = office.records("refused", what="broker")
        assert len(counted) <= 2 * 20, "a flood of strangers is counted, not written out"
        for sock in held:
            sock.close()

    story(tmp_path, tell)


def strangers() -> Accounts:
    """Accounts of which this process has none."""
    return Accounts(front=4_000_000, workers={4_000_001: "scoped"}, operators=None)


def test_silent_links_are_bounded_and_leave_room(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        held = [await raw(office) for _ in range(PENDING // 2)]
        await until(lambda: len(office.broker.listeners.pending) == PENDING // 2)
        over = await raw(office)
        assert await gone(over) == b""
        over.close()
        held.pop().close()
        await until(lambda: len(office.broker.listeners.pending) < PENDING // 2)
        front = await office.front()
        assert front.hello["instance"]
        for sock in held:
            sock.close()
        await until(lambda: len(office.broker.listeners.pending) == 0)

    story(tmp_path, tell)


@pytest.mark.parametrize(
    ("listener", "hello"),
    [("broker", "hello_operator"), ("operator", "hello_front"), ("operator", "hello_worker")],
)
def test_each_role_has_its_socket(tmp_path: Path, listener: str, hello: str) -> None:
    async def tell(office: Office) -> None:
        sock = await raw(office, listener)
        for packet in encode({"m": hello, "i": 1, "b": {"version": VERSION}}):
            sock.send(packet)
        assert b'"kind":"Protocol"' in await gone(sock)
        sock.close()

    story(tmp_path, tell)


def test_a_stranger_is_told_why_and_recorded(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        office.broker.state.accounts = strangers()
        front = Peer(await office.dial(), "front")
        refusal = await front.refused("hello_front", {"version": VERSION})
        assert refusal.startswith("PermissionDenied") and "not the front's account" in refusal
        worker = Worker(await office.dial(), "")
        refusal = await worker.refused("hello_worker", {"version": VERSION, "ticket": "x"})
        assert refusal.startswith("PermissionDenied")
        assert len(office.records("refused", uid=os.geteuid())) == 2

    story(tmp_path, tell)


GOOD = encode({"m": "hello_front", "i": 1, "b": {"version": VERSION}})[0]


def test_malformed_frames_end_their_link_and_nothing_else(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        dice = random.Random(7)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for n in range(1000):
            sock = await raw(office, dice.choice(("broker", "operator")))
            body = dice.randbytes(dice.choice((1, 40, 4000, 60_000)))
            packets = [body] if n % 2 else [GOOD, b"\x03" + body]
            for packet in packets:
                try:
                    sock.send(packet)
                except OSError:
                    break
            if n % 3:
                sock.close()
                continue
            said = await gone(sock)
            assert len(said) < 10_000
            sock.close()
        await until(lambda: len(office.broker.listeners.pending) == 0)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert after - before < 64 * 1024, "KiB of memory for 1000 malformed peers"
        assert (await worker.begin("k-1"))["decision"] == "allow"
        assert await front.ask("workers")
        # The record neither grew with the flood nor lost its number.
        assert office.audit.stat().st_size < 200_000

    story(tmp_path, tell)


def test_a_frame_that_the_table_refuses_ends_a_worker_s_link(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front = await office.front()
        conn = (await office.connect(front))["conn"]
        for frame in (
            {"m": "freeze", "i": 9, "b": {"scope": "all", "value": "", "reason": ""}},
            {"m": "begin", "i": 9, "b": {"call": "k"}},
            {"m": "connect", "i": 9, "b": {"transport": "unix"}},
            {"m": "begin", "i": 9, "b": {"call": "k", "conn": "c", "tool": "t", "args": []}},
        ):
            worker = await office.worker(front, conn)
            for packet in encode(frame):
                worker.link.sock.send(packet)
            await until(lambda worker=worker: worker.closed)
        worker = await office.worker(front, conn)
        assert (await worker.begin("k-1"))["decision"] == "allow"
        assert office.records("freeze") == []

    story(tmp_path, tell)


def test_a_peer_that_never_reads_holds_up_nobody(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        deaf = await office.worker(front, worker.conn)
        deaf.link._loop.remove_reader(deaf.link.sock)
        tail: Any = {"m": "audit_tail", "b": {"count": 1000, "filters": {}}}
        explain: Any = {"m": "explain", "b": {"args": {"tool": "x", "args": {}}}}
        for n in range(2000):
            for packet in encode((tail, explain)[n % 2] | {"i": n + 2}):
                try:
                    deaf.link.sock.send(packet)
                except BlockingIOError:
                    await asyncio.sleep(0.001)
        assert (await worker.begin("k-1"))["decision"] == "allow"

    story(tmp_path, tell)


def test_front_links_are_few(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        for _ in range(FRONTS):
            await office.front()
        extra = Peer(await office.dial(), "front")
        assert "Busy" in await extra.refused("hello_front", {"version": VERSION})

    story(tmp_path, tell)
