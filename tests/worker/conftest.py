"""A worker on real links, with a broker and a front that a test can steer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from relay_shell.wire.errors import RelayError
from relay_shell.wire.link import Link
from relay_shell.wire.sockets import pair
from relay_shell.worker.worker import Worker

Body = dict[str, Any]


class BrokerEnd:
    """The broker's side of the wire: records what it hears and answers as told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Body]] = []
        self.verdict: Body = {
            "decision": "allow",
            "tier": 1,
            "mode": "open",
            "enforcement": "none",
            "reasons": [],
            "hint": "",
        }
        self.posture = "standalone"
        self.settings: Body = {"worker.broker_wait": 1, "worker.idle": 60}
        self.away = False
        self.refuse: RelayError | None = None
        self.on_begin: Callable[[Body], Any] | None = None
        self.links: list[Link] = []

    async def dial(self) -> socket.socket:
        if self.away:
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = pair()
        requests = {
            name: self._hearing(name, answer)
            for name, answer in (
                ("hello_worker", self._hello),
                ("begin", self._begin),
                ("end", lambda body: {}),
                ("audit_tail", lambda body: {"records": [{"seq": 1, "event": "intent"}]}),
                ("record_open", lambda body: {"recording": "", "mode": "metadata"}),
                ("explain", lambda body: {"verdict": {**self.verdict, "asked": body["args"]}}),
            )
        }
        notices = {name: self._noticing(name) for name in ("note", "busy")}
        self.links.append(Link(ours, "broker", "worker", requests=requests, notices=notices))
        return theirs

    def _hearing(self, name: str, answer: Callable[[Body], Any]) -> Any:
        async def serve(link: Link, body: Body, fds: list[int]) -> Body:
            self.heard.append((name, body))
            found = answer(body)
            if asyncio.iscoroutine(found):
                found = await found
            return found  # type: ignore[no-any-return]

        return serve

    def _noticing(self, name: str) -> Callable[[Link, Body], None]:
        return lambda link, body: self.heard.append((name, body))

    def _hello(self, body: Body) -> Body:
        if self.refuse is not None:
            raise self.refuse
        return {
            "worker": "abcdefgh",
            "resume": "secret",
            "principal": "unix:alice",
            "user": "alice",
            "posture": self.posture,
            "settings": self.settings,
            "mode": "open",
            "ceiling": 3,
            "groups": [],
        }

    def _begin(self, body: Body) -> Any:
        if self.on_begin is not None:
            return self.on_begin(body)
        return self.verdict

    def all(self, name: str) -> list[Body]:
        """Bodies of every message of that name, in order."""
        return [body for said, body in self.heard if said == name]

    def drop(self) -> None:
        """End the newest link, as a broker that was killed does."""
        self.links[-1].close("killed")


class FrontEnd:
    """The front's side: asks for calls and hears progress and holding."""

    def __init__(self, sock: socket.socket) -> None:
        self.heard: list[tuple[str, Body]] = []
        self.closed = asyncio.Event()
        self.link = Link(
            sock,
            "front",
            "worker",
            notices={name: self._noticing(name) for name in ("progress", "holding")},
            on_close=lambda link, reason: self.closed.set(),
        )
        self._next = 0

    def _noticing(self, name: str) -> Callable[[Link, Body], None]:
        return lambda link, body: self.heard.append((name, body))

    async def start(self) -> Body:
        return await self.link.request("start", {"ticket": "t" * 43, "conn": "c-1"})

    def call(
        self, tool: str, args: Body, *, conn: str = "c-1", progress: bool = False, ident: str = ""
    ) -> asyncio.Task[Body]:
        self._next += 1
        body = {
            "call": ident or f"k-{self._next}",
            "conn": conn,
            "tool": tool,
            "args": args,
            "progress": progress,
        }
        return asyncio.get_running_loop().create_task(self.link.request("call", body))

    async def result(self, tool: str, **args: Any) -> Body:
        reply = await self.call(tool, args)
        return reply["result"]  # type: ignore[no-any-return]

    def all(self, name: str) -> list[Body]:
        return [body for said, body in self.heard if said == name]


class Setting:
    """A worker between its two peers; `agent` is its connection to the SSH keys."""

    def __init__(self, agent: int | None = None) -> None:
        self.broker = BrokerEnd()
        ours, theirs = pair()
        self.front = FrontEnd(ours)
        self.worker = Worker(theirs, self.broker.dial, own_process=False, agent=agent)

    async def until(self, condition: Callable[[], Any], seconds: float = 60) -> None:
        """Poll for a condition; fail if it does not come true."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        self.worker.stop("the test is over")
        await self.worker.done
        self.front.link.close()
        for link in self.broker.links:
            link.close()


@contextlib.asynccontextmanager
async def _setting(agent: int | None = None) -> AsyncIterator[Setting]:
    setting = Setting(agent)
    try:
        yield setting
    finally:
        async with asyncio.timeout(60):
            await setting.close()


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`async with setting() as s` inside the test's own loop."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return _setting
