"""Connections that calls share: opened at the first need, kept a while, jump hosts included."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncssh

from ..wire.errors import RelayError
from .agent import KeyAgent
from .connect import dial
from .hostkeys import KnownHosts
from .inventory import Host
from .reach import Route

SESSIONS = 8
"""Commands at once on one connection; sshd_config(5) allows MaxSessions 10 by default."""

Key = tuple[tuple[Host, ...], tuple[str, ...]]


class Lane:
    """One connection, or the attempt to make it."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.users = 0
        self.bound = SESSIONS
        """Users that it takes; a jump host carries channels, not sessions."""
        self.task: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self.idle: asyncio.TimerHandle | None = None

    @property
    def alive(self) -> bool:
        """Whether it can still be used: being made, or up."""
        task = self.task
        if task is None or not task.done():
            return task is not None
        return not task.cancelled() and task.exception() is None and not task.result().is_closed()

    def full(self) -> bool:
        """The host refused a user: take no more than there are. False if it was the only one."""
        self.bound = max(1, self.users - 1)
        return self.users > 1

    @property
    def connection(self) -> asyncssh.SSHClientConnection:
        """The connection of a lane that was taken."""
        assert self.task is not None
        return self.task.result()


class Pool:
    """All connections of one worker.

    Args:
        settings: ssh.idle, ssh.keepalive, ssh.connect_timeout and limits.ssh_connections are read
            at each use.
    """

    def __init__(self, keys: KeyAgent, known: KnownHosts, settings: Mapping[str, Any]) -> None:
        self.keys = keys
        self.known = known
        self._settings = settings
        self._lanes: list[Lane] = []
        self._open: set[asyncio.Task[None]] = set()
        """Connections that go through another, until they are closed."""

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def busy(self) -> int:
        """Connections in use."""
        return sum(lane.users > 0 for lane in self._lanes)

    @contextlib.asynccontextmanager
    async def lane(self, route: Route) -> AsyncIterator[Lane]:
        """A connection to a machine, for the length of the context.

        Raises:
            RelayError: as `dial`; Busy, where there are too many connections.
        """
        lane = await self._take(route, len(route.hops) - 1)
        try:
            yield lane
        finally:
            self._release(lane)

    @contextlib.asynccontextmanager
    async def before(self, route: Route) -> AsyncIterator[asyncssh.SSHClientConnection | None]:
        """A connection to the last jump host of a route, None where it has none."""
        if len(route.hops) == 1:
            yield None
            return
        lane = await self._take(route, len(route.hops) - 2)
        try:
            yield lane.connection
        finally:
            self._release(lane)

    async def close(self) -> None:
        """End every connection."""
        lanes, self._lanes = self._lanes, []
        for lane in reversed(lanes):
            self._end(lane)
        tasks = [lane.task for lane in lanes if lane.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- lanes ---------------------------------------------------------------------------

    def _find(self, route: Route, depth: int) -> Lane:
        # Sorted, for the order of a name's addresses changes from one lookup to the next.
        key = (route.hops[: depth + 1], tuple(sorted(route.addresses)))
        for lane in self._lanes:
            if lane.key == key and lane.users < lane.bound and lane.alive:
                return lane
        self._lanes = [lane for lane in self._lanes if lane.users or lane.alive]
        most = int(self._settings.get("limits.ssh_connections", 256))
        if len(self._lanes) >= most:
            self._make_room(most)
        lane = Lane(key)
        if depth < len(route.hops) - 1:
            lane.bound = most
        lane.task = asyncio.ensure_future(self._dial(route, depth))
        # Its failure is told to whoever waits; nobody may be left who does.
        lane.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._lanes.append(lane)
        return lane

    async def _take(self, route: Route, depth: int) -> Lane:
        lane = self._find(route, depth)
        lane.users += 1
        if lane.idle is not None:
            lane.idle.cancel()
            lane.idle = None
        assert lane.task is not None
        try:
            # Others may wait for the same attempt: one that is cancelled leaves it to them.
            await asyncio.shield(lane.task)
        except BaseException:
            self._release(lane)
            raise
        return lane

    def _release(self, lane: Lane) -> None:
        lane.users -= 1
        if not lane.users:
            self._rest(lane)

    async def _dial(self, route: Route, depth: int) -> asyncssh.SSHClientConnection:
        if depth == 0:
            return await dial(route, 0, None, self.keys, self.known, self._settings)
        jump = await self._take(route, depth - 1)
        try:
            connection = await dial(
                route, depth, jump.connection, self.keys, self.known, self._settings
            )
        except BaseException:
            self._release(jump)
            raise
        # The jump host is in use for as long as this connection is open.
        task = asyncio.ensure_future(connection.wait_closed())
        task.add_done_callback(lambda _: self._release(jump))
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        return connection

    def _rest(self, lane: Lane) -> None:
        """Nobody uses a lane: keep it for a while."""
        seconds = float(self._settings.get("ssh.idle", 300))
        if lane not in self._lanes:
            return
        if not lane.alive or seconds <= 0:
            self._drop(lane)
        else:
            lane.idle = asyncio.get_running_loop().call_later(seconds, self._drop, lane)

    def _make_room(self, most: int) -> None:
        """End the connection that is unused for longest.

        Raises:
            RelayError: kind Busy, if all are in use.
        """
        unused = [lane for lane in self._lanes if lane.idle is not None]
        if not unused:
            reason = f"{most} SSH connections are in use (limits.ssh_connections)"
            raise RelayError("Busy", reason=reason)
        self._drop(min(unused, key=lambda lane: lane.idle.when() if lane.idle else 0.0))

    def _drop(self, lane: Lane) -> None:
        if lane in self._lanes:
            self._lanes.remove(lane)
        self._end(lane)

    def _end(self, lane: Lane) -> None:
        if lane.idle is not None:
            lane.idle.cancel()
            lane.idle = None
        task = lane.task
        if task is None:
            return
        if not task.done():
            task.cancel()
        elif lane.alive:
            task.result().close()
