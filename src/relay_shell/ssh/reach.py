"""Which machines a call reaches, and where: found out before the call is decided on.

A rule may speak of a machine by the inventory's name, by its address or by what that resolves to.
So names are looked up once, before `begin`, and the connection goes to just these addresses: what a
name means cannot change between the decision and the act.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Sequence
from typing import NamedTuple

from ..wire.errors import RelayError
from .inventory import Host, Inventory

LOOKUP = 5.0
"""Seconds for all lookups of one call."""

AT_ONCE = 16
"""Lookups at once."""

ADDRESSES = 4
"""Addresses of one name that are told and tried."""


class Route(NamedTuple):
    """The way to one machine."""

    hops: tuple[Host, ...]
    """Jump hosts, outermost first, then the machine."""
    addresses: tuple[str, ...]
    """Of the first hop, the only one that this host connects to itself."""

    @property
    def host(self) -> Host:
        return self.hops[-1]


class Reached(NamedTuple):
    """What a call reaches."""

    routes: tuple[Route, ...] = ()
    error: RelayError | None = None
    """Why it reaches nothing: told by the handler, so that the refusal has its record."""

    @property
    def shell(self) -> str:
        """The login shell that all of them have, "" if they differ or it is not known."""
        shells = {route.host.shell for route in self.routes}
        return shells.pop() if len(shells) == 1 else ""

    def names(self) -> list[list[str]]:
        """One entry a machine, jump hosts included: its names, the inventory's first."""
        found: dict[str, dict[str, None]] = {}
        for route in self.routes:
            for hop in reversed(route.hops):
                found.setdefault(hop.name, {}).update(dict.fromkeys((hop.name, hop.address)))
        for route in self.routes:
            found[route.hops[0].name].update(dict.fromkeys(route.addresses))
        return [list(names) for names in found.values()]


async def reach(inventory: Inventory, words: Sequence[str], most: int) -> Reached:
    """Resolve the hosts that a call names.

    Args:
        words: names, globs and @groups; one name where `most` is 0.
        most: hosts that a call may reach.

    Returns:
        The routes, in the inventory's order; never raises: an error is part of the answer.
    """
    try:
        hosts = inventory.select(words) if most else [inventory.find(words[0])]
        if most and len(hosts) > most:
            raise RelayError(
                "InvalidArguments",
                reason=f"{len(hosts)} hosts are meant, and {most} is the most (limits.fanout)",
            )
        chains = [tuple(inventory.chain(host)) for host in hosts]
    except RelayError as error:
        return Reached(error=error)
    found = await lookup({chain[0].address for chain in chains})
    return Reached(tuple(Route(chain, found.get(chain[0].address, ())) for chain in chains))


async def lookup(names: set[str]) -> dict[str, tuple[str, ...]]:
    """The addresses of each name; one that does not resolve in time has none."""
    found: dict[str, tuple[str, ...]] = {}
    wanted = []
    for name in names:
        try:
            found[name] = (str(ipaddress.ip_address(name)),)
        except ValueError:
            wanted.append(name)
    turn = asyncio.Semaphore(AT_ONCE)

    async def ask(name: str) -> None:
        async with turn:
            found[name] = await _resolve(name)

    tasks = [asyncio.ensure_future(ask(name)) for name in wanted]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=LOOKUP)
        for task in late:
            task.cancel()
    return found


async def _resolve(name: str) -> tuple[str, ...]:
    """getaddrinfo(3) in a thread of its own: one that hangs holds up nobody, not even the end."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def say(addresses: tuple[str, ...]) -> None:
        if not answer.done():
            answer.set_result(addresses)

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            addresses = tuple(dict.fromkeys(str(row[4][0]) for row in rows))[:ADDRESSES]
        except (OSError, UnicodeError):
            addresses = ()
        if not loop.is_closed():
            loop.call_soon_threadsafe(say, addresses)

    threading.Thread(target=ask, name="lookup", daemon=True).start()
    return await answer
