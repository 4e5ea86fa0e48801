"""Workers: started ahead of the first call, and ended again where none comes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from front.peers import META, house, until


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 300))


def test_a_worker_starts_once_the_tools_are_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            assert not home.workers
            raw.request("tools/list", {})
            await raw.hear()
            await until(lambda: len(home.front.pool) == 1)
            result = await raw.call("shell_exec", {"command": "echo x"})
            assert result["isError"] is False
            assert len(home.workers) == 1

    run(scenario())


def test_a_call_and_the_tools_at_once_share_one_worker(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.gate.clear()
            raw = await home.legacy()
            raw.request("tools/list", {})
            await raw.hear()
            ident = raw.request("tools/call", {"name": "shell_exec", "arguments": {"command": ":"}})
            home.gate.set()
            assert (await raw.hear())["id"] == ident
            assert len(home.workers) == 1

    run(scenario())


def test_a_ticket_that_the_broker_lost_is_asked_for_again(tmp_path: Path) -> None:
    """A broker that was killed between ticket and hello costs no call."""

    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.gate.clear()
            raw = await home.legacy()
            params = {"name": "shell_exec", "arguments": {"command": "echo x"}}
            ident = raw.request("tools/call", params)
            await until(lambda: home.broker.tickets)
            home.broker.tickets.clear()
            home.gate.set()
            answer = await raw.hear()
            assert answer["id"] == ident and answer["result"]["isError"] is False
            assert len(home.front.pool) == 1

    run(scenario())


def test_a_worker_that_stays_refused_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.broker.tickets = Forgetful()
            raw = await home.legacy()
            result = await raw.call("shell_exec", {"command": "echo x"})
            assert result["isError"] and "PermissionDenied" in result["content"][0]["text"]
            assert len(home.workers) == 2

    run(scenario())


class Forgetful(dict[str, str]):
    """Tickets of a broker that admits nobody."""

    def __setitem__(self, ticket: str, conn: str) -> None:
        return


def test_an_unused_worker_ends_and_a_call_gets_a_new_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.front.pool.unused = 0.05
            raw = await home.legacy()
            raw.request("tools/list", {})
            await raw.hear()
            await until(lambda: home.workers and home.workers[0].link.closed)
            assert len(home.front.pool) == 0
            # Once a connection: who only looks again keeps no process.
            raw.request("tools/list", {})
            await raw.hear()
            result = await raw.call("shell_exec", {"command": "echo x"})
            assert result["isError"] is False
            assert len(home.workers) == 2

    run(scenario())


def test_a_used_worker_stays(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.front.pool.unused = 0.0
            home.gate.clear()
            raw = await home.legacy()
            raw.request("tools/list", {})
            await raw.hear()
            raw.request("tools/call", {"name": "shell_exec", "arguments": {"command": "echo x"}})
            await until(lambda: home.front.clients == 1)
            home.gate.set()
            assert (await raw.hear())["result"]["isError"] is False
            assert (await raw.call("shell_exec", {"command": "echo y"}))["isError"] is False
            assert len(home.workers) == 1

    run(scenario())


def test_a_probe_starts_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            raw.request("server/discover", {"_meta": META})
            await raw.hear()
            await home.legacy()
            assert not home.workers

    run(scenario())


def test_a_worker_that_cannot_start_ahead_is_the_calls_affair(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.no_workers = FileNotFoundError(2, "No such file or directory")
            raw = await home.legacy()
            raw.request("tools/list", {})
            assert "tools" in (await raw.hear())["result"]
            result = await raw.call("shell_exec", {"command": "true"})
            assert result["structuredContent"]["error"]["kind"] == "WorkerUnavailable"
            home.no_workers = None
            assert (await raw.call("shell_exec", {"command": "true"}))["isError"] is False

    run(scenario())
