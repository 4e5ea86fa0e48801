"""Two links over a real socket pair: requests, notices, phases, descriptors, and every ending."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from relay_shell.wire import link as link_module
from relay_shell.wire.errors import RelayError
from relay_shell.wire.frame import encode
from relay_shell.wire.link import Link
from relay_shell.wire.sockets import connect, pair

HELLO_REPLY = {"instance": "i", "settings": {}}


class Pair:
    """A front and a broker joined by a socket pair, with what each saw."""

    def __init__(self, **requests: Callable[..., Awaitable[dict[str, Any]]]) -> None:
        ours, theirs = pair()
        self.closed: list[str] = []
        self.heard: list[tuple[str, dict[str, Any]]] = []

        async def hello(link: Link, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
            return HELLO_REPLY

        self.front = Link(
            ours, "front", "broker", on_close=lambda _, why: self.closed.append(f"front: {why}")
        )
        self.broker = Link(
            theirs,
            "broker",
            "front",
            requests={"hello_front": hello, **requests},
            notices={"client": lambda _, body: self.heard.append(("client", body))},
            on_close=lambda _, why: self.closed.append(f"broker: {why}"),
        )

    async def greet(self) -> None:
        assert await self.front.request("hello_front", {"version": 1}) == HELLO_REPLY

    async def settle(self) -> None:
        """Run until both ends have noticed that the link is over."""
        async with asyncio.timeout(60):
            while not (self.front.closed and self.broker.closed):
                await asyncio.sleep(0)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Play one scene on a loop of its own."""
    asyncio.run(asyncio.wait_for(scene(), 120))


def test_request_and_notice() -> None:
    """A request is answered, a notice heard, in order."""

    async def scene() -> None:
        async def ticket(link: Link, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
            assert p.heard[-1][1]["name"] == "claude"
            return {"ticket": "t-" + body["conn"]}

        p = Pair(ticket=ticket)
        await p.greet()
        p.front.notify("client", {"conn": "c", "name": "claude", "version": "1", "protocol": "x"})
        assert await p.front.request("ticket", {"conn": "c"}) == {"ticket": "t-c"}

    run(scene)


def test_before_the_hello_nothing_else_is_heard() -> None:
    """A peer that skips the hello is cut off before its message has any effect."""

    async def scene() -> None:
        p = Pair()
        with pytest.raises(RelayError, match="Protocol"):
            await p.front.request("ticket", {"conn": "c"})
        await p.settle()
        assert "broker: ticket out of phase" in p.closed

    run(scene)


def test_second_hello_is_refused() -> None:
    """Identity is settled once a link."""

    async def scene() -> None:
        p = Pair()
        await p.greet()
        with pytest.raises(RelayError, match="Protocol"):
            await p.front.request("hello_front", {"version": 1})
        await p.settle()
        assert "broker: hello_front out of phase" in p.closed

    run(scene)


def test_message_pipelined_behind_the_hello_waits_for_its_answer() -> None:
    """A fast peer may write ahead; nothing is served before the hello has been decided."""

    async def scene() -> None:
        order: list[str] = []

        async def hello(link: Link, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
            await asyncio.sleep(0.01)
            order.append("hello")
            return HELLO_REPLY

        async def ticket(link: Link, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
            order.append("ticket")
            return {"ticket": "t"}

        p = Pair(hello_front=hello, ticket=ticket)
        first = asyncio.create_task(p.front.request("hello_front", {"version": 1}))
        second = asyncio.create_task(p.front.request("ticket", {"conn": "c"}))
        await asyncio.gather(first, second)
        assert order == ["hello", "ticket"]

    run(scene)


@pytest.mark.parametrize(
    "frame",
    [
        {"m": "freeze", "i": 2, "b": {"scope": "all", "value": "", "reason": ""}},
        {"m": "no_such", "i": 2, "b": {}},
        {"m": "ticket", "i": 2, "b": {"conn": 7}},
        {"m": "ticket", "i": 2, "b": {}},
        {"m": "ticket", "b": {"conn": "c"}},
        {"m": "ticket", "i": True, "b": {"conn": "c"}},
        {"m": ["ticket"], "i": 2, "b": {"conn": "c"}},
        {"m": "connect", "i": 2, "b": {"transport": "unix"}},
        {},
    ],
    ids=["role", "name", "type", "missing", "no-id", "bool-id", "list-name", "no-fd", "empty"],
)
def test_frame_outside_the_table_ends_the_link(frame: dict[str, Any]) -> None:
    """Another role's message, an unknown one, a wrong body or a missing descriptor."""

    async def scene() -> None:
        p = Pair()
        await p.greet()
        p.front.sock.send(encode(frame)[0])
        await p.settle()
        assert any(line.startswith("broker: ") for line in p.closed)
        assert p.heard == []

    run(scene)


def test_we_cannot_say_what_is_not_ours() -> None:
    """The sender is checked too, so that a defect shows at its source."""

    async def scene() -> None:
        p = Pair()
        with pytest.raises(RelayError, match="may not say"):
            await p.front.request("status", {})
        with pytest.raises(RelayError, match="may not say"):
            p.front.notify("ticket", {"conn": "c"})

    run(scene)


def test_error_of_the_vocabulary_comes_back() -> None:
    """A handler's RelayError reaches the caller; anything else says only that it was internal."""

    async def scene() -> None:
        async def ticket(link: Link, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
            if body["conn"] == "known":
                raise RelayError("NotFound", reason="no connection known")
            raise ValueError("a secret path")

        p = Pair(ticket=ticket)
        await p.greet()
        with pytest.raises(RelayError, match="NotFound: no connection known"):
            await p.front.request("ticket", {"conn": "known"})
        with pytest.raises(RelayError) as caught:
            await p.front.request("ticket", {"conn": "other"})
        assert caught.value.kind == "Internal"
        assert "secret" not in str(caught.value)

    run(scene)


def test_reply_outside_the_table_is_an_error() -> None:
    """A broker that answers with the wrong body is not believed."""

    async def scene() -> None:
        async def ticket(link: Link, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
            return {"ticket": 7}

        p = Pair(ticket=ticket)
        await p.greet()
        with pytest.raises(RelayError, match="reply to ticket"):
            await p.front.request("ticket", {"conn": "c"})
        await p.settle()

    run(scene)


def test_descriptor_is_passed_and_closed() -> None:
    """The handler gets a duplicate, close-on-exec, and nothing leaks after the answer."""

    async def scene() -> None:
        seen: list[tuple[os.stat_result, bool]] = []

        async def connected(link: Link, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
            seen.append((os.fstat(fds[0]), os.get_inheritable(fds[0])))
            return {
                "conn": "c",
                "principal": "unix:a",
                "user": "a",
                "posture": "scoped",
                "mode": "open",
                "ceiling": 3,
                "groups": [],
            }

        p = Pair(connect=connected)
        await p.greet()
        before = len(os.listdir("/proc/self/fd"))
        with open("/dev/null") as null:
            want = os.fstat(null.fileno())
            await p.front.request("connect", {"transport": "unix"}, fds=[null.fileno()])
        assert (seen[0][0].st_dev, seen[0][0].st_ino) == (want.st_dev, want.st_ino)
        assert seen[0][1] is False
        assert len(os.listdir("/proc/self/fd")) == before

    run(scene)


def test_unasked_descriptors_end_the_link_and_are_closed() -> None:
    """A peer cannot fill our descriptor table."""

    async def scene() -> None:
        p = Pair()
        await p.greet()
        before = len(os.listdir("/proc/self/fd"))
        with open("/dev/null") as null:
            packet = encode({"m": "ticket", "i": 9, "b": {"conn": "c"}})
            socket.send_fds(p.front.sock, packet, [null.fileno()] * 3)
            await p.settle()
        assert "broker: ticket carries 3 descriptors" in p.closed
        assert len(os.listdir("/proc/self/fd")) <= before

    run(scene)


def test_large_messages_both_ways_while_the_peer_is_slow() -> None:
    """Frames beyond the socket's buffer queue up and arrive whole and in order."""

    async def scene() -> None:
        got: list[int] = []

        async def rejected(link: Link, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
            got.append(len(body["detail"]))
            return {}

        p = Pair(rejected=rejected)
        await p.greet()
        bodies = [
            {"conn": "c", "what": "malformed", "detail": "x" * (n % 4096)} for n in range(2000)
        ]
        tasks = [asyncio.create_task(p.front.request("rejected", body)) for body in bodies]
        await asyncio.gather(*tasks)
        assert got == [n % 4096 for n in range(2000)]

    run(scene)


def test_peer_that_never_reads_is_dropped() -> None:
    """What waits for a stuck peer is bounded."""

    async def scene() -> None:
        p = Pair()
        await p.greet()
        p.broker._loop.remove_reader(p.broker.sock)
        line = {"conn": "c", "name": "x" * 250, "version": "1", "protocol": "1"}
        sent = 0
        while not p.front.closed:
            p.front.notify("client", line)
            sent += 1
            assert sent * 250 < 4 * link_module.QUEUE_HIGH
        assert p.closed == ["front: broker does not read"]
        p.broker.close()

    run(scene)


def test_optional_notices_are_dropped_for_a_slow_peer() -> None:
    """Progress is worth less than memory."""

    async def scene() -> None:
        ours, theirs = pair()
        worker = Link(ours, "worker", "front", greeted=True)
        note = {"call": "k", "progress": 1, "message": "y" * 4000}
        said = [worker.notify("progress", note, optional=True) for _ in range(2000)]
        assert said[0] is True
        assert said[-1] is False
        assert worker._queued < 2 * link_module.QUEUE_LOW
        worker.close()
        theirs.close()

    run(scene)


@pytest.mark.parametrize("unread", [False, True])
def test_last_words_of_a_peer_that_is_killed_are_heard(unread: bool) -> None:
    """What the peer sent before its end arrives, though the answers to it cannot be delivered."""

    async def scene() -> None:
        p = Pair()
        await p.greet()
        before = p.front.sock.dup()
        p.front.close()
        p.closed.clear()
        for n in range(200):
            name = {"conn": "c", "name": f"n{n}", "version": "1", "protocol": "x"}
            for packet in encode({"m": "client", "b": name}):
                before.send(packet)
        if unread:
            # An answer in its queue as it ends makes the end a reset.
            p.broker.sock.send(b"x")
        before.close()
        p.broker._send({"r": 1, "b": {}}, ())
        assert not p.broker.closed
        await p.settle()
        assert [body["name"] for _, body in p.heard] == [f"n{n}" for n in range(200)]
        assert p.closed == ["broker: front closed the link"]

    run(scene)


def test_waiting_requests_fail_when_the_peer_dies() -> None:
    """Nobody waits for an answer that cannot come."""

    async def scene() -> None:
        async def ticket(link: Link, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
            link.close("killed")
            return {"ticket": "t"}

        p = Pair(ticket=ticket)
        await p.greet()
        with pytest.raises(RelayError, match="broker"):
            await p.front.request("ticket", {"conn": "c"})
        with pytest.raises(RelayError, match="closed"):
            await p.front.request("ticket", {"conn": "c"})

    run(scene)


def test_timeout_of_a_request() -> None:
    """A bound can be put on an answer; a late one is dropped without harm."""

    async def scene() -> None:
        release = asyncio.Event()

        async def ticket(link: Link, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
            await release.wait()
            return {"ticket": "late"}

        p = Pair(ticket=ticket)
        await p.greet()
        with pytest.raises(RelayError, match="no answer to ticket"):
            await p.front.request("ticket", {"conn": "c"}, timeout=0.01)
        release.set()
        assert await p.front.request("ticket", {"conn": "c"}) == {"ticket": "late"}

    run(scene)


def test_connect_names_what_is_missing() -> None:
    """An absent socket is the caller's plain OSError."""

    async def scene() -> None:
        with pytest.raises(FileNotFoundError):
            await connect("/nonexistent/relay-shell.sock")

    run(scene)
