"""Spare workers at their hello: given to a connection only while their unit is what it was."""

from __future__ import annotations

from ..wire.errors import RelayError
from .connections import Connection
from .definition import TICK, age
from .peer import Peer
from .state import State


class Outdated(RelayError):
    """A spare that is not used, which is nobody's fault; the front starts another worker."""


def check(state: State, found: Peer, posture: str, connection: Connection, waited: float) -> None:
    """Refuse and record a worker whose unit has changed since it was started.

    One that was started for its ticket is not asked: it is what systemd starts now.

    Args:
        waited: seconds since the ticket was issued.

    Raises:
        Outdated: kind PermissionDenied, with what has changed.
    """
    # Starts are counted in whole ticks, downwards: without the tick, a process that was started at
    # once would look older than its ticket.
    if state.definition is None or age(found.start) - TICK <= waited:
        return
    reason = state.definition.outdated(found.start)
    if not reason:
        return
    state.trail.note(
        event="worker",
        **connection.facts(),
        pid=found.pid,
        unit=found.unit or None,
        posture=posture,
        what="outdated",
        detail=reason,
    )
    raise Outdated("PermissionDenied", reason=f"spare worker not used: {reason}")
