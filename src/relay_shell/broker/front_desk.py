"""What a front may ask: it brings clients, wants tickets for workers, and says what it refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from typing import Any

from ..wire.errors import RelayError
from ..wire.link import Link
from ..wire.messages import VERSION
from .authority import Authority
from .connections import Connection
from .peer import Peer
from .principals import account_groups, principal_of
from .state import State

Body = dict[str, Any]

RETURN = 15.0
"""Seconds that a connection may be without a front, while that restarts."""

TRANSPORTS = frozenset({"unix", "stdio"})
"""How a client's socket can be had; what has none brings no identity that the kernel attests."""

_HEX = re.compile(r"[0-9a-f]{64}")


class FrontDesk:
    """Handlers of a front's messages.

    Args:
        local: whether the front is in this very process, where there is no client's socket.
    """

    def __init__(self, state: State, authority: Authority, *, local: bool = False) -> None:
        self._state = state
        self._authority = authority
        self._local = local
        self.requests = {
            "hello_front": self.hello,
            "connect": self.connect,
            "ticket": self.ticket,
            "workers": self.workers,
            "adopt": self.adopt,
            "rejected": self.rejected,
            "observe": self.observe,
            "disconnect": self.disconnect,
        }
        self.notices = {"client": self.client}

    async def hello(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Greet."""
        if body["version"] != VERSION:
            raise RelayError("VersionMismatch", theirs=body["version"], ours=VERSION)
        state = self._state
        return {"instance": state.instance, "settings": state.settings.subset("front")}

    async def connect(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Identify a client by its own socket and enter its connection."""
        state = self._state
        if body["transport"] not in TRANSPORTS:
            raise self._refuse(None, f"transport {body['transport']!r} is not supported")
        peer = self._client(fds[0])
        # Names come from NSS, which may ask a network service.
        principal = await asyncio.to_thread(principal_of, peer.uid)
        groups = await asyncio.to_thread(account_groups, principal.user, peer)
        posture = await asyncio.to_thread(state.accounts.posture)
        if link.closed:
            # `lost` has been told already, and nothing would take the connection out again.
            raise RelayError("Cancelled", reason="the front is gone")
        wanted = body.get("conn", "")
        known = state.connections.find(wanted) if wanted else None
        if known is not None:
            if (known.peer.pid, known.peer.start, known.peer.uid) != (
                peer.pid,
                peer.start,
                peer.uid,
            ):
                raise self._refuse(peer, "the connection belongs to another process")
            known.front = link
            return self._reply(known)
        try:
            state.connections.check_room(
                principal,
                state.settings["limits.connections"],
                state.settings["limits.connections_per_user"],
            )
        except RelayError as error:
            raise self._refuse(peer, error.message, error) from None
        ident = state.connections.new_id(wanted)
        if wanted and any(
            wanted in worker.conns and worker.principal != principal.name
            for worker in state.workers
        ):
            raise self._refuse(peer, "the connection belongs to another principal")
        connection = Connection(
            id=ident,
            principal=principal,
            peer=peer,
            transport=body["transport"],
            address=body.get("address", ""),
            posture=posture,
            groups=groups,
            front=link,
        )
        try:
            access = self._authority.check(connection)
        except RelayError as error:
            raise self._refuse(peer, error.message, error) from None
        state.connections.add(connection)
        self._look()
        state.trail.note(
            event="connect",
            **connection.facts(),
            loginuid=peer.loginuid,
            pid=peer.pid,
            transport=connection.transport,
            address=connection.address or None,
            posture=connection.posture,
            what="resumed" if wanted else None,
            detail=f"unit {peer.unit}" if peer.unit else None,
            reasons=[access.rule] if access.rule else None,
        )
        state.changed()
        if wanted and state.rules:
            # Its worker, which was here before it, gets to know what it may do.
            self._authority.reconsider(connection)
        return self._reply(connection)

    def _look(self) -> None:
        """Date changes of the workers' unit closely: a spare may be started from now on."""
        if self._state.definition is not None:
            self._state.definition.since()

    def _client(self, fd: int) -> Peer:
        if self._local:
            return Peer(os.getpid(), os.getuid(), os.getgid(), (), None)
        sock = socket.socket(fileno=os.dup(fd))
        try:
            path = self._state.settings["paths.socket"]
            return self._state.accounts.client_peer(sock, path)
        except RelayError as error:
            raise self._refuse(None, error.message, error) from None
        finally:
            sock.close()

    def _refuse(
        self, peer: Peer | None, reason: str, error: RelayError | None = None
    ) -> RelayError:
        self._state.refused += 1
        self._state.floods.record(
            f"client {peer.uid if peer else 'unknown'}",
            event="refused",
            what="client",
            uid=peer.uid if peer else None,
            pid=peer.pid if peer else None,
            loginuid=peer.loginuid if peer else None,
            error=reason,
        )
        return error or RelayError("PermissionDenied", reason=reason)

    def _reply(self, connection: Connection) -> Body:
        principal = connection.principal
        return {
            "conn": connection.id,
            "principal": principal.name,
            "user": principal.user,
            "posture": connection.posture,
            **self._state.access(connection).as_wire(),
        }

    def _mine(self, link: Link, conn: str) -> Connection:
        """A connection that this front holds; another's is not told from none."""
        connection = self._state.connections.get(conn)
        if connection.front is not link:
            raise RelayError("NotFound", reason=f"no connection {conn[:32]!r}")
        return connection

    def client(self, link: Link, body: Body) -> None:
        """Note what the client calls itself."""
        try:
            connection = self._mine(link, body["conn"])
        except RelayError:
            return
        connection.claimed = body["name"]
        connection.client = " ".join(filter(None, (body["name"], body["version"])))[:256]
        connection.protocol = body["protocol"]
        self._state.floods.record(
            f"conn {connection.id}",
            event="client",
            **connection.facts(),
            detail=f"protocol {connection.protocol}",
        )
        if self._state.rules:
            self._authority.reconsider(connection)

    async def ticket(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Give a ticket with which a new worker speaks for a connection."""
        state = self._state
        connection = self._mine(link, body["conn"])
        self._look()
        return {"ticket": state.tickets.issue(connection.id)}

    async def workers(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Say whose the live workers are."""
        rows = []
        for worker in self._state.workers:
            row = worker.as_status()
            row["conn"] = worker.conns[-1] if worker.conns else ""
            rows.append(row)
        return {"workers": rows}

    async def adopt(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Let a worker that its client left serve another connection of the same principal."""
        state = self._state
        connection = self._mine(link, body["conn"])
        worker = state.workers.get(body["worker"])
        if worker.principal != connection.principal.name or worker.link is None or worker.stopping:
            raise RelayError("NotFound", reason=f"no worker {body['worker'][:32]!r}")
        worker.conns = [conn for conn in worker.conns if state.connections.find(conn) is not None]
        if connection.id not in worker.conns:
            worker.conns.append(connection.id)
        with contextlib.suppress(OSError):
            state.workers.keep(worker)
        connection.posture = worker.posture
        # Before it can serve the connection: what may be shown to one need not be to another.
        self._authority.tell(worker)
        state.trail.note(event="worker", **(connection.facts() | worker.facts()), what="adopted")
        return {}

    async def rejected(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Record what a client sent and the front refused."""
        connection = self._mine(link, body["conn"])
        redact = self._state.judge.redact
        digest = body.get("sha256", "")
        self._state.floods.record(
            f"conn {connection.id}",
            event="rejected",
            **connection.facts(),
            tool=redact(body["tool"]) if body.get("tool") else None,
            args_sha256=digest if _HEX.fullmatch(digest) else None,
            args_bytes=body.get("length"),
            what=body["what"],
            detail=redact(body["detail"]) if body.get("detail") else None,
        )
        return {}

    async def observe(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Decide on and record the reading of a resource or prompt: Tier 0, but it discloses."""
        state = self._state
        connection = self._mine(link, body["conn"])
        principal = connection.principal.name
        frozen = state.freezer.find(principal, "", 0)
        access = state.access(connection)
        facts = connection.facts() | {
            "tier": 0,
            "mode": access.mode,
            "what": body["what"],
            "detail": str(state.judge.redact(body["name"])),
        }
        if frozen is not None:
            reason = f"frozen: {frozen.reason}"
            state.trail.note(event="observe", **facts, decision="deny", reasons=[reason])
            return {"allowed": False, "reason": reason[:4096]}
        if access.refusal:
            state.trail.note(event="observe", **facts, decision="deny", reasons=[access.refusal])
            return {"allowed": False, "reason": access.refusal[:4096]}
        await state.trail.commit(event="observe", **facts, decision="allow")
        return {"allowed": True, "reason": ""}

    async def disconnect(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Take a connection out."""
        self.forget(self._mine(link, body["conn"]), body["reason"])
        return {}

    def forget(self, connection: Connection, reason: str) -> None:
        """Record the end of a connection; its worker parks or ends by itself."""
        state = self._state
        if state.connections.remove(connection.id) is None:
            return
        state.tickets.revoke(connection.id)
        for worker in state.workers:
            if connection.id in worker.conns:
                worker.conns.remove(connection.id)
                with contextlib.suppress(OSError):
                    state.workers.keep(worker)
        state.floods.end(f"conn {connection.id}")
        state.trail.note(
            event="disconnect",
            **connection.facts(),
            pid=connection.peer.pid,
            detail=str(state.judge.redact(reason)),
        )
        state.changed()

    def lost(self, link: Link) -> None:
        """The front's link ended: its connections wait for it to come back."""
        held = self._state.connections.of_front(link)
        for connection in held:
            connection.front = None
        if held and not self._state.closing:
            loop = asyncio.get_running_loop()
            loop.call_later(0 if self._local else RETURN, self._give_up, held)

    def _give_up(self, held: list[Connection]) -> None:
        for connection in held:
            if connection.front is None:
                self.forget(connection, "the front ended")
