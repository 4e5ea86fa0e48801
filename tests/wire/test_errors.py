"""The vocabulary is closed and survives the wire."""

from __future__ import annotations

import string

import pytest

from relay_shell.wire.errors import KINDS, RelayError


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_round_trip(kind: str) -> None:
    """Kind and message arrive; next step and exit status follow from the kind."""
    names = [f for _, f, _, _ in string.Formatter().parse(KINDS[kind].message) if f]
    sent = RelayError(kind, **{name: f"a {name}" for name in names})
    got = RelayError.from_wire(sent.as_wire())
    assert (got.kind, got.message, str(got)) == (kind, sent.message, str(sent))
    assert got.next_step == KINDS[kind].next_step
    assert got.exit_status == KINDS[kind].exit_status != 0


def test_missing_field_does_not_hide_the_failure() -> None:
    """An error that is raised carelessly still says what it is."""
    assert RelayError("Timeout").message == "no end within <seconds> s"


@pytest.mark.parametrize("sent", [None, {}, {"kind": "Nonsense", "message": "x"}, {"kind": 1}])
def test_foreign_error(sent: object) -> None:
    """A peer cannot introduce kinds of its own."""
    assert RelayError.from_wire(sent).kind == "Protocol"


def test_seconds_to_wait_travel_with_the_error() -> None:
    error = RelayError("OverBudget", what="6 calls a minute", seconds=9)
    assert "retry_after" not in error.as_wire()
    error.retry_after = 9
    assert RelayError.from_wire(error.as_wire()).retry_after == 9
    for odd in (-1, True, "9", 1.5, 2**40):
        wire = error.as_wire() | {"retry_after": odd}
        assert RelayError.from_wire(wire).retry_after is None
