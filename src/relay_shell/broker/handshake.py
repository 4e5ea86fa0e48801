"""The first moments of a link: who may take a place, for how long, and in which role."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from typing import Any, NamedTuple

from ..wire.errors import RelayError
from ..wire.frame import PAYLOAD, encode
from . import peer as kernel
from .peer import Peer

HELLO = 5.0
"""Seconds from connect to the hello."""

PENDING = 64
"""Links that may be without hello at once; one account may take at most half of them."""

ROLES = {f"hello_{role}": role for role in ("front", "worker", "observer", "operator")}


class Origin(NamedTuple):
    """Where a link comes from: which listener, and what the kernel says of the peer."""

    listener: str
    """broker, operator, or local for a link inside this process."""
    peer: Peer

    @classmethod
    def local(cls) -> Origin:
        """A socketpair inside this process."""
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with left, right:
            return cls("local", kernel.of(left))

    @classmethod
    def of(cls, sock: socket.socket, listener: str) -> Origin:
        """A connection that a listener accepted.

        Raises:
            PeerError: the peer cannot be identified.
        """
        return cls(listener, kernel.of(sock))


class Pending:
    """Places of links that have not said hello, and the seconds for which each is kept."""

    def __init__(self, most: int = PENDING, patience: float = HELLO) -> None:
        self._most = most
        self.patience = patience
        self._by_uid: Counter[int] = Counter()

    def __len__(self) -> int:
        return self._by_uid.total()

    def take(self, uid: int) -> None:
        """Take a place.

        Raises:
            RelayError: kind Busy.
        """
        if len(self) >= self._most or self._by_uid[uid] >= self._most // 2:
            raise RelayError("Busy", reason="too many links wait to say hello")
        self._by_uid[uid] += 1

    def leave(self, uid: int) -> None:
        """Give a place back."""
        self._by_uid[uid] -= 1
        if not self._by_uid[uid]:
            del self._by_uid[uid]


async def role_of(sock: socket.socket, timeout: float) -> str:
    """Wait for the first packet and return the role that its hello claims; it stays unread.

    Raises:
        RelayError: kind Protocol, if it is no hello, or none came in time.
    """
    try:
        async with asyncio.timeout(timeout):
            await _readable(sock)
    except TimeoutError:
        raise RelayError("Protocol", reason=f"no hello in {timeout:g} s") from None
    try:
        # Without room for ancillary data, descriptors of the packet are not taken by this look.
        packet = sock.recv(PAYLOAD + 1, socket.MSG_PEEK)
    except OSError as error:
        raise RelayError("Protocol", reason=f"the peer is gone: {error.strerror}") from None
    if not packet:
        raise RelayError("Protocol", reason="closed without a hello")
    return _claimed(packet)


def answer(sock: socket.socket, error: RelayError) -> None:
    """Answer the hello of a peer that is turned away, so that it can say why."""
    try:
        packet = sock.recv(PAYLOAD + 1, socket.MSG_DONTWAIT)
        ident = json.loads(packet[1:]).get("i")
        for part in encode({"r": ident, "e": error.as_wire()}):
            sock.send(part, socket.MSG_DONTWAIT)
    except (OSError, ValueError, AttributeError, RecursionError, RelayError):
        return


def _claimed(packet: bytes) -> str:
    # A hello is short: one packet, flags FIRST and LAST.
    frame: Any = None
    if packet[0] == 3 and len(packet) < 1024 * 1024:
        try:
            frame = json.loads(packet[1:])
        except (ValueError, RecursionError):
            frame = None
    name = frame.get("m") if isinstance(frame, dict) else None
    role = ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise RelayError("Protocol", reason="the first message is no hello")
    return role


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock, wake)
    try:
        await ready
    finally:
        loop.remove_reader(sock)
