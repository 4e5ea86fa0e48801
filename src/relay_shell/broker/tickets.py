"""Tickets: how a connection's identity reaches the worker that is started for it.

The front gets a ticket for a connection and gives it to the worker it starts; the worker shows it
in its hello. It works once, for a short time, and the broker keeps only its digest.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable

from ..wire.errors import RelayError

LIFE = 30.0
"""Seconds from issue to the last use: a worker unit starts in about 60 ms, a loaded host's in
seconds."""

PER_CONNECTION = 4
TOTAL = 4096


def digest(secret: str) -> str:
    """SHA-256 of a secret; looking it up in a table leaks nothing of the secret by timing."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def secret() -> str:
    """A new secret of 256 bits, 43 characters."""
    return secrets.token_urlsafe(32)


class Tickets:
    """The outstanding tickets.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, tuple[str, float]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def issue(self, conn: str) -> str:
        """Make a ticket for a connection.

        Raises:
            RelayError: kind Busy, if too many are outstanding.
        """
        self._expire()
        mine = sum(1 for owner, _ in self._open.values() if owner == conn)
        if mine >= PER_CONNECTION or len(self._open) >= TOTAL:
            raise RelayError("Busy", reason="too many workers are being started")
        ticket = secret()
        self._open[digest(ticket)] = (conn, self._clock() + LIFE)
        return ticket

    def redeem(self, ticket: str) -> str:
        """Use a ticket up and return its connection.

        Raises:
            RelayError: kind PermissionDenied, if it is unknown, used or expired.
        """
        return self.take(ticket)[0]

    def take(self, ticket: str) -> tuple[str, float]:
        """As `redeem`; also the seconds since the ticket was issued."""
        conn, until = self._open.pop(digest(ticket), ("", 0.0))
        left = until - self._clock()
        if not conn or left < 0:
            raise RelayError("PermissionDenied", reason="the ticket is unknown, used or expired")
        return conn, LIFE - left

    def revoke(self, conn: str) -> None:
        """Forget the tickets of a connection that ended."""
        self._open = {key: row for key, row in self._open.items() if row[0] != conn}

    def _expire(self) -> None:
        now = self._clock()
        # Tickets are issued in order of expiry, so the first that lives ends the search.
        for key, (_, until) in list(self._open.items()):
            if until >= now:
                return
            del self._open[key]
