"""Connections that are shared, kept, counted and given up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from relay_shell.ssh.fleet import Fleet
from relay_shell.wire.errors import RelayError
from ssh.machines import Call, Site, route


async def run(fleet: Fleet, name: str, command: str = "true") -> Any:
    way = await route(fleet, name)
    return await fleet.run(way, command, Call(), timeout=60, max_output=1000)


def test_calls_share_a_connection(site: Site) -> None:
    site.server("web1")

    async def main() -> int:
        async with site.fleet() as fleet:
            done = await asyncio.gather(*(run(fleet, "web1", "sleep 0.2") for _ in range(6)))
            assert all(each.completed.exit == 0 for each in done)
            return len(fleet.pool)

    assert asyncio.run(main()) == 1


def test_more_calls_than_a_host_lets_one_connection_carry_take_another(site: Site) -> None:
    site.server("web1", sessions=3)

    async def main() -> int:
        async with site.fleet() as fleet:
            done = await asyncio.gather(*(run(fleet, "web1", "sleep 1") for _ in range(12)))
            assert [each.completed.exit for each in done] == [0] * 12
            return len(fleet.pool)

    assert asyncio.run(main()) >= 2


def test_machine_behind_two_jump_hosts_is_reached(site: Site) -> None:
    site.server("outer")
    site.server("inner", jump="outer")
    site.server("db", jump="inner")

    async def main() -> int:
        async with site.fleet() as fleet:
            done = await run(fleet, "db", "echo deep")
            assert done.completed.stdout == "deep\n" and done.address == ""
            return len(fleet.pool)

    assert asyncio.run(main()) == 3


def test_jump_host_that_refuses_is_the_one_named(site: Site) -> None:
    site.server("gw", authorized=[site.new_key("x").with_suffix(".pub").read_text()])
    site.server("db", jump="gw")

    async def main() -> RelayError:
        async with site.fleet() as fleet:
            with pytest.raises(RelayError) as caught:
                await run(fleet, "db")
            assert len(fleet.pool) == 0
            return caught.value

    error = asyncio.run(main())
    assert error.kind == "HostAuth" and "gw" in error.message


def test_machine_that_came_back_is_connected_to_anew(site: Site) -> None:
    site.server("web1")

    async def main() -> None:
        async with site.fleet() as fleet:
            assert (await run(fleet, "web1", "echo one")).completed.stdout == "one\n"
            port = site.inventory["web1"]["port"]
            site.stop("web1")
            site.server("web1", host_key_file=site.place / "host-web1", at=port, known=False)
            assert (await run(fleet, "web1", "echo two")).completed.stdout == "two\n"

    asyncio.run(main())


def test_failed_attempt_is_not_kept(site: Site) -> None:
    site.server("web1")
    site.stop("web1")
    port = site.inventory["web1"]["port"]

    async def main() -> None:
        async with site.fleet() as fleet:
            with pytest.raises(RelayError):
                await run(fleet, "web1")
            site.server("web1", host_key_file=site.place / "host-web1", at=port, known=False)
            assert (await run(fleet, "web1")).completed.exit == 0

    asyncio.run(main())


def test_unused_connection_ends_after_its_time(site: Site) -> None:
    site.server("gw")
    site.server("web1", jump="gw")

    async def main() -> None:
        async with site.fleet(**{"ssh.idle": 0}) as fleet:
            await run(fleet, "web1")
            async with asyncio.timeout(60):
                while len(fleet.pool):
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_connections_are_bounded(site: Site) -> None:
    for name in ("web1", "web2", "web3"):
        site.server(name)

    async def main() -> None:
        async with site.fleet(**{"limits.ssh_connections": 2}) as fleet:
            # One that is unused makes room.
            for name in ("web1", "web2", "web3"):
                await run(fleet, name)
            assert len(fleet.pool) == 2
            busy = [asyncio.create_task(run(fleet, name, "sleep 600")) for name in ("web1", "web2")]
            async with asyncio.timeout(60):
                while fleet.pool.busy < 2:
                    await asyncio.sleep(0.01)
            with pytest.raises(RelayError) as caught:
                await run(fleet, "web3")
            assert caught.value.kind == "Busy"
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)
            assert (await run(fleet, "web3")).completed.exit == 0

    asyncio.run(main())


def test_call_that_is_cancelled_while_connecting_leaves_the_others_their_connection(
    site: Site,
) -> None:
    site.server("web1")

    async def main() -> None:
        async with site.fleet() as fleet:
            first = asyncio.create_task(run(fleet, "web1"))
            second = asyncio.create_task(run(fleet, "web1"))
            async with asyncio.timeout(60):
                while not len(fleet.pool):
                    await asyncio.sleep(0)
            first.cancel()
            assert (await second).completed.exit == 0

    asyncio.run(main())


def test_change_of_the_inventory_makes_another_connection(site: Site) -> None:
    """A call that was judged for one address never goes to another."""
    site.server("web1")
    site.server("web2")

    async def main() -> None:
        async with site.fleet() as fleet:
            before = await run(fleet, "web1", "echo $PPID")
            site.inventory["web1"]["port"] = site.inventory["web2"]["port"]
            site.write()
            after = await run(fleet, "web1", "echo $PPID")
            assert before.host_key != after.host_key
            assert len(fleet.pool) == 2

    asyncio.run(main())
