"""The clients' connections: who is connected, through which front, within which limits."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..wire.errors import RelayError
from ..wire.link import Link
from .peer import Peer
from .principals import Principal

_ID = re.compile(r"c-[0-9a-f]{12}")


@dataclass(slots=True)
class Connection:
    """One client's MCP connection."""

    id: str
    principal: Principal
    peer: Peer
    transport: str
    address: str
    posture: str
    front: Link | None
    """None while the front that announced it is restarting."""
    groups: frozenset[int] = frozenset()
    """Of the process and of its account; see `principals.account_groups`."""
    claimed: str | None = None
    """The name alone that the client claims; None until it has said one."""
    client: str = ""
    """Name and version that the client claims; recorded, never trusted."""
    protocol: str = ""
    since: float = field(default_factory=time.time)

    def facts(self) -> dict[str, Any]:
        """What every record of this connection says."""
        return {
            "conn": self.id,
            "principal": self.principal.name,
            "client": self.client or None,
            "uid": self.principal.uid,
        }

    def as_status(self) -> dict[str, Any]:
        """The row of `relay-shell status`."""
        return {
            "conn": self.id,
            "principal": self.principal.name,
            "user": self.principal.user,
            "uid": self.principal.uid,
            "pid": self.peer.pid,
            "unit": self.peer.unit,
            "loginuid": self.peer.loginuid,
            "client": self.client,
            "protocol": self.protocol,
            "transport": self.transport,
            "address": self.address,
            "posture": self.posture,
            "since": self.since,
        }


class Connections:
    """All connections, by id."""

    def __init__(self) -> None:
        self._all: dict[str, Connection] = {}
        self._users: Counter[str] = Counter()
        self._arrivals: dict[str, asyncio.Event] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._all.values()))

    def get(self, conn: str) -> Connection:
        """Return a connection.

        Raises:
            RelayError: kind NotFound.
        """
        found = self._all.get(conn)
        if found is None:
            raise RelayError("NotFound", reason=f"no connection {conn[:32]!r}")
        return found

    def find(self, conn: str) -> Connection | None:
        """Return a connection, if it is there."""
        return self._all.get(conn)

    def check_room(self, principal: Principal, total: int, per_user: int) -> None:
        """Hold the limits of connections in all and of one principal.

        Raises:
            RelayError: kind Busy.
        """
        if len(self._all) >= total:
            raise RelayError("Busy", reason=f"{total} clients are connected (limits.connections)")
        if self._users[principal.name] >= per_user:
            raise RelayError(
                "Busy",
                reason=f"{principal.user} has {per_user} connections (limits.connections_per_user)",
            )

    def new_id(self, wanted: str = "") -> str:
        """An unused id, or the one that a front wants back after the broker's restart.

        Raises:
            RelayError: kind Protocol, if the id wanted is malformed.
        """
        if wanted:
            if not _ID.fullmatch(wanted):
                raise RelayError("Protocol", reason="malformed connection id")
            return wanted
        while True:
            ident = f"c-{secrets.token_hex(6)}"
            if ident not in self._all:
                return ident

    def add(self, connection: Connection) -> None:
        """Enter a connection; its id must be unused."""
        assert connection.id not in self._all
        self._all[connection.id] = connection
        self._users[connection.principal.name] += 1
        if connection.id in self._arrivals:
            self._arrivals.pop(connection.id).set()

    async def announced(self, conn: str, seconds: float) -> None:
        """Wait for a connection to be entered, at most `seconds`."""
        if conn in self._all:
            return
        event = self._arrivals.setdefault(conn, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        if self._arrivals.get(conn) is event:
            del self._arrivals[conn]

    def remove(self, conn: str) -> Connection | None:
        """Take a connection out."""
        found = self._all.pop(conn, None)
        if found is not None:
            self._users[found.principal.name] -= 1
            if not self._users[found.principal.name]:
                del self._users[found.principal.name]
        return found

    def of_front(self, link: Link) -> list[Connection]:
        """The connections that one front holds."""
        return [connection for connection in self._all.values() if connection.front is link]

    def of_principal(self, principal: str) -> list[Connection]:
        """The connections of one principal."""
        return [row for row in self._all.values() if row.principal.name == principal]
