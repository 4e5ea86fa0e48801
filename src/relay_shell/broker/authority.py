"""What follows when identity or rules change: who is refused, told, disconnected, stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from ..policy.access import Who
from ..wire.errors import RelayError
from .connections import Connection
from .peer import Peer
from .principals import Access, account_groups
from .state import State
from .workers import Worker

NO_GROUP = 2**32 - 1
"""No gid (chown(2))."""

Stop = Callable[[Worker, str], bool]


class Authority:
    """Applies access.toml to connections and workers.

    Args:
        stop: tells a worker to end with all that it started.
    """

    def __init__(self, state: State, stop: Stop) -> None:
        self._state = state
        self._stop = stop

    def check(self, connection: Connection) -> Access:
        """What a connection that begins may do.

        Raises:
            RelayError: kind Denied; its worker of before, if it had one, is stopped.
        """
        access = self._state.access(connection)
        if access.refusal and not access.pending:
            reason = f"{connection.principal.name} has no access: {access.refusal}"
            self._stop_workers(connection, reason)
            raise RelayError("Denied", reason=reason)
        return access

    def reconsider(self, connection: Connection, *, tell_workers: bool = True) -> None:
        """Tell a live connection what it may do now, or end it."""
        try:
            access = self.check(connection)
        except RelayError as error:
            self._state.trail.note(
                event="deny",
                **connection.facts(),
                decision="deny",
                what="connection",
                reasons=[error.message],
            )
            if connection.front is not None:
                body = {"conn": connection.id, "reason": error.message[:4096]}
                with contextlib.suppress(RelayError):
                    connection.front.notify("close", body)
            return
        if connection.front is not None:
            with contextlib.suppress(RelayError):
                connection.front.notify("access", {"conn": connection.id, **access.as_wire()})
        if tell_workers:
            for worker in self._workers(connection):
                self.tell(worker)

    def reconsider_all(self, parked: Mapping[str, Who]) -> None:
        """After a reload: every connection, then the workers that wait for one.

        Args:
            parked: the identity of accounts whose workers have no connection.
        """
        state = self._state
        for connection in state.connections:
            self.reconsider(connection, tell_workers=False)
        for worker in state.workers:
            if any(state.connections.find(conn) is not None for conn in worker.conns):
                continue
            identity = parked.get(worker.user)
            if identity is None or worker.stopping:
                continue
            # Which client comes for it is not known: a rule that might fit lets it wait.
            grant = state.rules.find(identity)
            if grant.refusal and not grant.pending:
                self._stop(worker, f"{worker.principal} has no access: {grant.refusal}")

    def tell(self, worker: Worker) -> None:
        """Tell a worker its settings and what it may do."""
        if worker.link is not None:
            access = self._state.told_worker(worker)
            body = {"settings": self._state.worker_settings(worker), **access}
            with contextlib.suppress(RelayError):
                worker.link.notify("settings", body)

    def _workers(self, connection: Connection) -> list[Worker]:
        return [
            worker
            for worker in self._state.workers
            if connection.id in worker.conns and worker.principal == connection.principal.name
        ]

    def _stop_workers(self, connection: Connection, reason: str) -> None:
        """Stop what serves this connection and no other that has access."""
        state = self._state
        for worker in self._workers(connection):
            if worker.stopping:
                continue
            others = (state.connections.find(c) for c in worker.conns if c != connection.id)
            if not any(other is not None and not state.access(other).refusal for other in others):
                self._stop(worker, reason)


def identities(state: State) -> dict[str, Who]:
    """The identity of each account that has a worker, by its user. Reads NSS: not for the loop."""
    found = {}
    for worker in state.workers:
        if worker.user not in found:
            # No group of the process is known any more, so those of the account count alone.
            peer = Peer(0, worker.uid, NO_GROUP, (), None)
            found[worker.user] = Who(worker.user, account_groups(worker.user, peer) - {NO_GROUP})
    return found
