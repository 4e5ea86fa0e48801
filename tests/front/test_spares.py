"""Spares: begun ahead of need, given once, replaced with care, ended with the last client."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from front.peers import House, house, until
from relay_shell.front.spares import ENOUGH

ECHO = {"command": "echo x"}


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


@contextlib.asynccontextmanager
async def keeping(path: Path, count: int = 1) -> AsyncIterator[House]:
    """A house in which the operator wants so many spares."""
    async with house(path, {"worker.spare": count}) as home:
        yield home


def hasty(home: House) -> None:
    """Spares follow each other without the pause that is for the processor's sake."""
    home.front.pool.spares.calm = 0.01


def test_a_second_connection_gets_what_was_started_before_it_came(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path) as home:
            hasty(home)
            assert not home.begun
            first = await home.legacy()
            assert (await first.call("shell_exec", ECHO))["isError"] is False
            (spare,) = await until(lambda: home.spares)
            second = await home.legacy()
            assert (await second.call("shell_exec", ECHO))["isError"] is False
            assert home.workers[1] is spare
            await until(lambda: home.spares and home.spares[0] is not spare)

    run(scenario())


def test_a_spare_belongs_to_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path) as home:
            await home.legacy()
            await until(lambda: len(home.front.pool.spares) == 1)
            assert len(home.front.pool) == 0
            assert not home.store.held
            assert "ticket" not in home.broker.names()

    run(scenario())


def test_a_worker_serves_one_connection_and_is_never_a_spare_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path) as home:
            hasty(home)
            for _ in range(3):
                raw = await home.legacy()
                await raw.call("shell_exec", ECHO)
                await raw.close()
            await until(lambda: len(home.workers) == 3)
            assert all(len({call["conn"] for call in w.calls}) == 1 for w in home.workers)
            await until(lambda: all(worker.link.closed for worker in home.workers))

    run(scenario())


def test_none_is_begun_ahead_where_the_setting_is_0(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path, 0) as home:
            hasty(home)
            raw = await home.legacy()
            assert not home.begun
            for _ in range(3):
                await raw.call("shell_exec", ECHO)
            assert len(home.begun) == len(home.workers) == 1

    run(scenario())


def test_as_many_as_wanted_are_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path, 3) as home:
            hasty(home)
            await home.legacy()
            await until(lambda: len(home.spares) == 3)
            await (await home.legacy()).call("shell_exec", ECHO)
            await until(lambda: len(home.spares) == 3)
            assert len(home.begun) == 4
            home.front.broker.settings = {"worker.spare": 1}
            home.front.pool.spares._tend()
            await until(lambda: len(home.spares) == 1)

    run(scenario())


def test_a_spare_that_ends_is_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path) as home:
            hasty(home)
            raw = await home.legacy()
            (spare,) = await until(lambda: home.spares)
            spare.link.close("the unit was stopped")
            (other,) = await until(lambda: home.spares)
            assert (await raw.call("shell_exec", ECHO))["isError"] is False
            assert home.workers == [other]

    run(scenario())


def test_spares_that_do_not_stay_are_begun_ever_more_rarely(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path) as home:
            hasty(home)
            raw = await home.legacy()
            for count in range(1, ENOUGH + 4):
                await until(lambda count=count: len(home.begun) == count)
                home.begun[-1].link.close("it crashed")
            await until(lambda: len(home.front.pool.spares) == 0)
            assert (await raw.call("shell_exec", ECHO))["isError"] is False

    with caplog.at_level(logging.INFO):
        run(scenario())
    said = [r for r in caplog.records if "it ended; the next in" in r.getMessage()]
    pauses = [float(r.getMessage().split()[-2]) for r in said]
    assert pauses == [0.01 * 2**n for n in range(len(pauses))]
    assert [r.levelname for r in said].count("WARNING") == 1


def test_where_no_worker_can_be_had_the_pauses_grow_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path) as home:
            hasty(home)
            home.no_workers = ConnectionRefusedError(111, "Connection refused")
            raw = await home.legacy()
            await until(lambda: home.front.pool.spares._lost >= ENOUGH)
            result = await raw.call("shell_exec", ECHO)
            assert result["structuredContent"]["error"]["kind"] == "WorkerUnavailable"
            home.no_workers = None
            assert (await raw.call("shell_exec", ECHO))["isError"] is False
            await until(lambda: home.spares)

    run(scenario())


def test_a_spare_that_is_outdated_is_not_used_and_neither_are_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path, 3) as home:
            hasty(home)
            raw = await home.legacy()
            outdated = await until(lambda: len(home.spares) == 3 and home.spares)
            for worker in outdated:
                worker.refusal = "spare worker not used: unit files have changed"
            assert (await raw.call("shell_exec", ECHO))["isError"] is False
            assert home.workers[0] is outdated[0] and home.workers[0].calls == []
            assert home.workers[1] not in outdated
            await until(lambda: all(worker.link.closed for worker in outdated))
            await until(lambda: len(home.spares) == 3)

    run(scenario())


def test_a_spare_that_ends_when_it_is_given_costs_no_call(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path) as home:
            home.gate.clear()
            raw = await home.legacy()
            (spare,) = await until(lambda: home.spares)
            ident = raw.request("tools/call", {"name": "shell_exec", "arguments": ECHO})
            await until(lambda: spare.asked)
            spare.link.close("the unit was stopped")
            home.gate.set()
            assert (await raw.answer(ident))["result"]["isError"] is False
            assert len(home.workers) == 2

    run(scenario())


def test_spares_end_some_time_after_the_last_client(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path) as home:
            home.front.pool.spares.linger = 0.05
            raw = await home.legacy()
            (spare,) = await until(lambda: home.spares)
            await raw.close()
            await until(lambda: home.front.idle.is_set())
            await until(lambda: spare.link.closed)
            assert len(home.begun) == 1
            await home.legacy()
            await until(lambda: home.spares)

    run(scenario())


def test_a_client_that_comes_soon_after_the_last_finds_the_spare(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path) as home:
            raw = await home.legacy()
            (spare,) = await until(lambda: home.spares)
            await raw.close()
            await until(lambda: home.front.idle.is_set())
            assert not spare.link.closed
            raw = await home.legacy()
            await raw.call("shell_exec", ECHO)
            assert home.workers == [spare]

    run(scenario())


def test_an_old_spare_is_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path) as home:
            hasty(home)
            home.front.pool.spares.life = 0.05
            await home.legacy()
            (spare,) = await until(lambda: home.spares)
            await until(lambda: spare.link.closed)
            await until(lambda: home.spares)

    run(scenario())


def test_the_end_of_the_front_ends_spares(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with keeping(tmp_path) as home:
            await home.legacy()
            (spare,) = await until(lambda: home.spares)
            await home.front.stop("test", wait=1.0)
            await until(lambda: spare.link.closed)
            assert not home.spares

    run(scenario())
