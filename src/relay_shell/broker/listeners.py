"""The links that the broker serves: who may connect at which socket, and in which role."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from ..wire.errors import RelayError
from ..wire.link import Link, NoticeHandler, RequestHandler
from ..wire.messages import LARGE
from .handshake import HELLO, Origin, Pending, answer, role_of
from .peer import PeerError
from .state import State

logger = logging.getLogger(__name__)

FRAMES = {"front": 1 << 20, "worker": LARGE, "observer": 1 << 20, "operator": 64 * 1024}
"""Octets of the largest frame that each role has reason to send: half a frame waits in memory.
A worker passes on arguments, whose numbers grow up to fourfold (1e15) when written anew."""

STRANGERS = 8
"""Peers that can be neither front nor worker, and are heard for a second to be told so."""

FRONTS = 4
OBSERVERS = 2
OPERATOR_LINKS = 32

_ACCEPTS = 16
"""Connections accepted in one turn of the loop."""


class Desk(NamedTuple):
    """What the broker does for the peers of one role."""

    requests: Mapping[str, RequestHandler]
    notices: Mapping[str, NoticeHandler]
    lost: Callable[[Link], None] | None = None
    """Told that a link of this role has ended."""


class Listeners:
    """Accepts connections, and makes a link of each that may say hello.

    Args:
        desks: who serves each role: front, worker, observer, operator.
    """

    def __init__(self, state: State, desks: Mapping[str, Desk]) -> None:
        self._state = state
        self._desks = desks
        self.pending = Pending()
        self.strangers = Pending(STRANGERS, 1.0)
        self._greetings: dict[Link, asyncio.Event] = {}
        """The open links, and whether each has said hello."""
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, role: str) -> list[Link]:
        """The open links of one role, also those that have not said hello."""
        return [link for link in self._greetings if link.peer == role]

    def listen(self, sock: socket.socket, listener: str) -> None:
        """Accept links of a listening SOCK_SEQPACKET socket, named broker or operator."""
        sock.setblocking(False)
        self._sockets.append(sock)
        asyncio.get_running_loop().add_reader(sock, self._accept, sock, listener)

    def _accept(self, listening: socket.socket, listener: str) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                # Out of descriptors: what waits is served when some are free.
                logger.error("cannot accept at %s: %s", listener, error.strerror)
                self._rest(listening, listener)
                return
            try:
                origin = Origin.of(sock, listener)
            except PeerError:
                sock.close()
                continue
            self._begin(sock, origin)

    def _rest(self, listening: socket.socket, listener: str) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)

        def resume() -> None:
            if not self._state.closing:
                loop.add_reader(listening, self._accept, listening, listener)

        loop.call_later(0.5, resume)

    def _begin(self, sock: socket.socket, origin: Origin) -> None:
        # The commands of an agent have the account of their worker and reach this socket: they
        # must not take the places of the workers themselves.
        stranger = origin.listener == "broker" and not self._state.accounts.ours(origin.peer)
        places = self.strangers if stranger else self.pending
        try:
            places.take(origin.peer.uid)
        except RelayError as error:
            self._turn_away(origin, error.message)
            sock.close()
            return
        task = asyncio.get_running_loop().create_task(self._admit(sock, origin, places))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _admit(self, sock: socket.socket, origin: Origin, places: Pending) -> None:
        try:
            link = await self.serve(sock, origin, places.patience)
            greeting = self._greetings[link]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(places.patience):
                    await greeting.wait()
            if not greeting.is_set():
                link.close("no hello was accepted")
        except RelayError as error:
            self._turn_away(origin, error.message)
            answer(sock, error)
            sock.close()
        except BaseException:
            sock.close()
            raise
        finally:
            places.leave(origin.peer.uid)

    def _turn_away(self, origin: Origin, reason: str) -> None:
        peer = origin.peer
        self._state.refused += 1
        self._state.floods.record(
            f"{origin.listener} uid {peer.uid}",
            event="refused",
            what=origin.listener,
            uid=peer.uid,
            pid=peer.pid,
            loginuid=peer.loginuid,
            unit=peer.unit or None,
            error=reason,
        )

    async def serve(self, sock: socket.socket, origin: Origin, patience: float = HELLO) -> Link:
        """Serve one connected socket; the role follows from its hello and the kernel's facts.

        Args:
            patience: seconds to wait for the hello.

        Raises:
            RelayError: PermissionDenied, Busy or Protocol; the socket stays open.
        """
        sock.setblocking(False)
        role = await role_of(sock, patience)
        peer, state, local = origin.peer, self._state, origin.listener == "local"
        if role == "operator":
            if origin.listener not in ("operator", "local"):
                raise RelayError("Protocol", reason="operators have a socket of their own")
            user = await asyncio.to_thread(state.accounts.operator_peer, peer)
            self._room(role, OPERATOR_LINKS)
            link = self._link(sock, role)
            link.context = (peer, user)
            return link
        if origin.listener not in ("broker", "local"):
            raise RelayError("Protocol", reason=f"a {role} does not belong on this socket")
        if role == "observer":
            state.accounts.observer_peer(peer)
            self._room(role, OBSERVERS)
            return self._link(sock, role)
        if role == "front":
            if not local:
                state.accounts.front_peer(peer)
            self._room(role, FRONTS)
            return self._link(sock, role)
        state.accounts.worker_peer(peer)
        self._room(role, 2 * state.settings["limits.connections"])
        link = self._link(sock, role)
        link.context = peer
        return link

    def _room(self, role: str, most: int) -> None:
        if len(self.of(role)) >= most:
            raise RelayError("Busy", reason=f"{most} {role} links are open")

    def _link(self, sock: socket.socket, role: str) -> Link:
        desk = self._desks[role]
        greeting = asyncio.Event()
        name = f"hello_{role}"
        hello = desk.requests[name]

        async def greet(link: Link, body: dict[str, Any], fds: list[int]) -> Mapping[str, Any]:
            answer = hello(link, body, fds)
            reply = await answer if isinstance(answer, Awaitable) else answer
            greeting.set()
            return reply

        link = Link(
            sock,
            "broker",
            role,
            requests={**desk.requests, name: greet},
            notices=desk.notices,
            on_close=self._closed,
            limit=FRAMES[role],
        )
        self._greetings[link] = greeting
        return link

    def _closed(self, link: Link, reason: str) -> None:
        greeting = self._greetings.pop(link, None)
        if greeting is not None:
            greeting.set()
        lost = self._desks[link.peer].lost
        if lost is not None:
            lost(link)

    # ---- end -----------------------------------------------------------------------------

    def stop(self) -> None:
        """Accept nothing more and end all links."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock)
            sock.close()
        for task in list(self._tasks):
            task.cancel()
        for link in list(self._greetings):
            link.close("the broker stops")

    async def stopped(self) -> None:
        """Return when none is being admitted any more."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
