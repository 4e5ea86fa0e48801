"""What waits for the broker, how long a session is held up, and what is counted then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from relay_shell.shell import recorder
from relay_shell.shell.recorder import Recorder, open_recorder
from relay_shell.wire.errors import RelayError


class Broker:
    """Writes what it is told; may be away, stuck or without memory."""

    def __init__(self) -> None:
        self.events: list[list[Any]] = []
        self.closed: dict[str, Any] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.errors: list[RelayError] = []
        self.more = True

    async def __call__(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop()
        if name == "record_close":
            self.closed = body
            return {}
        assert body["first"] <= len(self.events)
        self.events[body["first"] :] = body["events"]
        return {"more": self.more}

    def text(self, code: str = "o") -> str:
        return "".join(event[2] for event in self.events if event[1] == code)


class Session:
    """As much of a session as a recorder holds up."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def pause(self) -> None:
        self.did.append("pause")

    def resume(self) -> None:
        self.did.append("resume")


def story(tell: Callable[[Broker, Recorder, Session], Awaitable[None]], wait: float = 0.05) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            broker, session = Broker(), Session()
            made = Recorder(broker, "r", typed=True, wait=wait)
            made.begin("k-1", -1, session.pause, session.resume)
            await tell(broker, made, session)

    asyncio.run(run())


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def test_events_arrive_in_order_and_characters_whole() -> None:
    async def tell(broker: Broker, made: Recorder, session: Session) -> None:
        for part in (b"a\xe2", b"\x82", b"\xac\xf0\x9f", b"\x98\x80", b"\xff", b"z\xc3"):
            made.output(part)
        made.resize(30, 100)
        made.finish("exited", 0)
        assert await made.flushed(30)
        assert broker.events[0][1:] == ["m", "k-1"]
        assert broker.text() == "a€😀\ufffdz\ufffd" and broker.text("r") == "100x30"
        assert broker.events[-1][1] == "o", "the half character is kept at the end"
        assert broker.closed["exit"] == 0 and broker.closed["dropped"] == 0
        times = [event[0] for event in broker.events]
        assert times == sorted(times)

    story(tell)


def test_a_stuck_broker_holds_a_session_up_once_and_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder, "QUEUE", 10_000)

    async def tell(broker: Broker, made: Recorder, session: Session) -> None:
        broker.gate.clear()
        held = 0
        for _ in range(100):
            made.output(b"x" * 1000)
            held += made.came(b"x")
            if session.did == ["pause"]:
                await until(lambda: session.did == ["pause", "resume"])
        assert session.did == ["pause", "resume"], "what is stuck stays stuck: no second wait"
        assert 0 < made.dropped < 100_000 and made._size < 30_000
        broker.gate.set()
        await until(lambda: not made._dropping)
        made.output(b"after")
        made.finish("exited", None)
        assert await made.flushed(30)
        gap = [event for event in broker.events if event[1] == "g"]
        assert [int(event[2]) for event in gap] == [made.dropped] == [broker.closed["dropped"]]
        assert len(broker.text()) + made.dropped == 100_000 + len("after")
        assert broker.text().endswith("after") and "exit" not in broker.closed

    story(tell)


def test_a_broker_that_comes_back_in_time_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "QUEUE", 10_000)
    monkeypatch.setattr(recorder, "RETRY", 0.01)

    async def tell(broker: Broker, made: Recorder, session: Session) -> None:
        broker.errors = [RelayError(kind, reason="x") for kind in recorder._LATER]
        for _ in range(20):
            made.output(b"x" * 1000)
            if made.came(b"x"):
                await until(lambda: session.did[-1] == "resume")
        made.finish("exited", 0)
        assert await made.flushed(30)
        assert len(broker.text()) == 20_000 and made.dropped == 0
        assert session.did[:2] == ["pause", "resume"]

    story(tell, wait=30)


def test_typed_events_have_a_bound_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "QUEUE", 10_000)

    async def tell(broker: Broker, made: Recorder, session: Session) -> None:
        broker.gate.clear()
        made._dropping = True
        for _ in range(1000):
            made.typing("k", b"x" * 100)
        assert made._size < 40_000
        made.cancel()

    story(tell)


def test_a_recording_that_the_broker_forgot_is_given_up() -> None:
    async def tell(broker: Broker, made: Recorder, session: Session) -> None:
        broker.errors = [RelayError("NotFound", reason="gone")]
        made.output(b"x")
        await until(lambda: made.done)
        made.output(b"y" * 5_000_000)
        assert not made.came(b"y") and made._size < 1000 and session.did == []
        made.finish("exited", 0)
        assert await made.flushed(30) and broker.closed == {}

    story(tell)


def test_beyond_the_limit_only_output_is_left_out() -> None:
    async def tell(broker: Broker, made: Recorder, session: Session) -> None:
        broker.more = False
        made.output(b"x")
        await until(lambda: made._over)
        made.output(b"unwanted")
        made.typing("k-2", b"typed\r")
        made.finish("exited", 0)
        assert await made.flushed(30)
        assert broker.text() == "x" and broker.closed["dropped"] == len("unwanted")
        assert not [event for event in broker.events if event[1] == "g"]

    story(tell)


def test_flushing_has_a_bound() -> None:
    async def tell(broker: Broker, made: Recorder, session: Session) -> None:
        broker.gate.clear()
        made.output(b"x")
        made.finish("exited", 0)
        assert not await made.flushed(0.05)
        made.cancel()

    story(tell)


def test_without_a_recording_there_is_no_recorder() -> None:
    async def ask(name: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"recording": "", "mode": "metadata"}

    assert asyncio.run(open_recorder(ask, {}, 1)) == (None, "metadata")
    assert asyncio.run(open_recorder(None, {}, 1)) == (None, "off")


def test_a_recording_that_nobody_waits_for_any_more_is_closed() -> None:
    async def run() -> None:
        broker = Broker()
        opening, go_on = asyncio.Event(), asyncio.Event()

        async def ask(name: str, body: dict[str, Any]) -> dict[str, Any]:
            if name != "record_open":
                return await broker(name, body)
            opening.set()
            await go_on.wait()
            return {"recording": "r-1", "mode": "full"}

        spawning = asyncio.create_task(open_recorder(ask, {"session": "s1.w"}, 1))
        await opening.wait()
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning
        go_on.set()
        await until(lambda: broker.closed)
        assert (broker.closed["recording"], broker.closed["reason"]) == ("r-1", "not started")
        assert not broker.events

    asyncio.run(run())
