"""The broker over reloads, and in one process with front and worker."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from broker.office import Office, Peer, Worker, records_of, settings_in, story, until
from relay_shell.broker.handshake import Origin
from relay_shell.broker.judge import Judge, redactor
from relay_shell.broker.server import Broker
from relay_shell.wire import sockets
from relay_shell.wire.messages import VERSION

# ---- reload ----------------------------------------------------------------------------------


def test_a_reload_reaches_every_peer_and_the_next_call(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        assert (await worker.begin("k-1", "rm -rf /srv"))["decision"] == "allow"
        changes: dict[str, Any] = {
            "policy__mode": "readonly",
            "limits__timeout": 5,
            "front__idle_exit": 7,
            "worker__landlock": "off",
        }
        new = settings_in(tmp_path, **changes)
        office.broker.reload(new, Judge(new, redactor()))
        heard = await worker.hears("settings")
        assert heard["mode"] == "readonly" and heard["settings"]["limits.timeout"] == 5
        assert (await front.hears("access"))["mode"] == "readonly"
        assert (await front.hears("front_settings"))["settings"]["front.idle_exit"] == 7
        assert (await worker.begin("k-2", "rm -rf /srv"))["enforcement"] == "readonly"
        (record,) = office.records("config")
        assert sorted(record["facts"]["changed"]) == [
            "front.idle_exit",
            "limits.timeout",
            "policy.mode",
        ]
        # What needs a restart keeps its value, and the status says so.
        assert record["facts"]["needs_restart"] == ["worker.landlock"]
        assert office.broker.state.settings["worker.landlock"] == "require"
        assert office.broker.state.status()["needs_restart"] == ["worker.landlock"]

    story(tmp_path, tell)


def test_a_refused_reload_changes_nothing_and_is_told(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        before = office.broker.state.config_hash()
        office.broker.refuse_reload("relay-shell.toml:3: unknown setting 'mood'")
        assert office.broker.state.config_hash() == before
        assert "reload refused: relay-shell.toml:3" in office.broker.state.summary()
        assert office.records("config")[0]["what"] == "refused"
        assert worker.heard == []

    story(tmp_path, tell)


# ---- in one process --------------------------------------------------------------------------


def test_front_and_worker_in_one_process(tmp_path: Path) -> None:
    async def tell() -> None:
        broker = Broker(settings_in(tmp_path), local=True)

        async def dial() -> socket.socket:
            ours, theirs = sockets.pair()
            dialled = asyncio.create_task(broker.serve(theirs, Origin.local()))
            tasks.append(dialled)
            return ours

        tasks: list[asyncio.Task[Any]] = []
        front = Peer(await dial(), "front")
        await front.ask("hello_front", {"version": VERSION})
        here, there = socket.socketpair()
        with here, there:
            connected = await front.ask("connect", {"transport": "stdio"}, (here.fileno(),))
        assert connected["posture"] == "standalone" and connected["principal"].startswith("unix:")
        ticket = (await front.ask("ticket", {"conn": connected["conn"]}))["ticket"]
        worker = Worker(await dial(), connected["conn"])
        worker.hello = await worker.ask("hello_worker", {"version": VERSION, "ticket": ticket})
        assert (await worker.begin("k-1"))["decision"] == "allow"
        await worker.end("k-1")
        await worker.begin("k-2")
        await worker.begin("k-3")
        worker.link.close()
        await until(lambda: len(broker.state.calls) == 0)
        assert len(broker.state.workers) == 0
        front.link.close()
        await until(lambda: len(broker.state.connections) == 0)
        await broker.close()
        await asyncio.gather(*tasks)

    asyncio.run(tell())
    events = [row["event"] for row in records_of(tmp_path / "audit.jsonl")]
    assert events.count("interrupted") == 2 and events[-2:] == ["stop", "checkpoint"]
    assert "disconnect" in events
