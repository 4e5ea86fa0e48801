"""Tickets work once, soon, and for one connection."""

from __future__ import annotations

import pytest

from relay_shell.broker.tickets import LIFE, PER_CONNECTION, Tickets
from relay_shell.wire.errors import RelayError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_ticket_works_once() -> None:
    tickets = Tickets()
    ticket = tickets.issue("c-1")
    assert len(ticket) == 43
    assert tickets.redeem(ticket) == "c-1"
    with pytest.raises(RelayError, match="unknown, used or expired"):
        tickets.redeem(ticket)


def test_an_unknown_ticket_is_refused() -> None:
    with pytest.raises(RelayError, match="unknown, used or expired"):
        Tickets().redeem("x" * 43)
    with pytest.raises(RelayError):
        Tickets().redeem("\ud800")


def test_a_ticket_expires_and_is_used_up_even_so() -> None:
    clock = Clock()
    tickets = Tickets(clock)
    ticket = tickets.issue("c-1")
    clock.now += LIFE + 0.1
    with pytest.raises(RelayError):
        tickets.redeem(ticket)
    clock.now -= LIFE
    with pytest.raises(RelayError):
        tickets.redeem(ticket)


def test_outstanding_tickets_are_bounded_and_expire() -> None:
    clock = Clock()
    tickets = Tickets(clock)
    for _ in range(PER_CONNECTION):
        tickets.issue("c-1")
    with pytest.raises(RelayError, match="too many workers"):
        tickets.issue("c-1")
    tickets.issue("c-2")
    clock.now += LIFE + 1
    tickets.issue("c-1")
    assert len(tickets) == 1


def test_the_tickets_of_a_connection_end_with_it() -> None:
    tickets = Tickets()
    ticket, other = tickets.issue("c-1"), tickets.issue("c-2")
    tickets.revoke("c-1")
    with pytest.raises(RelayError):
        tickets.redeem(ticket)
    assert tickets.redeem(other) == "c-2"


def test_no_secret_is_kept() -> None:
    tickets = Tickets()
    ticket = tickets.issue("c-1")
    assert ticket not in repr(vars(tickets))


def test_a_ticket_knows_when_it_was_issued() -> None:
    clock = Clock()
    tickets = Tickets(clock)
    ticket = tickets.issue("c-1")
    clock.now += 2.5
    assert tickets.take(ticket) == ("c-1", 2.5)
