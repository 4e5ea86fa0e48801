"""Budgets by principal, on a clock that the test turns."""

from __future__ import annotations

import pytest

from relay_shell.broker.budgets import PRINCIPALS, Budgets, Limits
from relay_shell.config import TABLE
from relay_shell.policy.access import BUDGETS
from relay_shell.wire.errors import RelayError

NONE = Limits(0, 0, 0, 0, 0, 0, 0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refused(budgets: Budgets, limits: Limits, principal: str = "unix:a") -> int | None:
    """Seconds that the next call must wait; None if it is taken."""
    try:
        budgets.arrive(principal, limits)
    except RelayError as error:
        assert error.kind == "OverBudget" and f"retry after {error.retry_after} s" in str(error)
        return error.retry_after
    return None


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    budgets, limits = Budgets(clock), NONE._replace(calls_per_minute=30, burst=3)
    assert [refused(budgets, limits) for _ in range(4)] == [None, None, None, 2]
    clock.now += 1
    assert refused(budgets, limits) == 1
    clock.now += 1
    assert refused(budgets, limits) is None and refused(budgets, limits) == 2
    # Waiting long fills no more than the burst.
    clock.now += 10_000
    assert [refused(budgets, limits) for _ in range(4)] == [None, None, None, 2]


def test_waiting_as_told_is_enough() -> None:
    clock = Clock()
    budgets, limits = Budgets(clock), NONE._replace(calls_per_minute=7, burst=1)
    for _ in range(50):
        assert refused(budgets, limits) is None
        wait = refused(budgets, limits)
        assert wait is not None
        clock.now += wait


def test_principals_have_accounts_of_their_own() -> None:
    budgets, limits = Budgets(Clock()), NONE._replace(calls_per_minute=1, burst=1)
    assert refused(budgets, limits) is None and refused(budgets, limits) == 60
    assert refused(budgets, limits, "unix:b") is None


def test_the_sensitive_class_is_counted_apart() -> None:
    clock = Clock()
    budgets = Budgets(clock)
    limits = NONE._replace(sensitive_per_minute=6, sensitive_burst=1)
    budgets.admit("unix:a", limits, 0, sensitive=True)
    budgets.admit("unix:a", limits, 0, sensitive=False)
    with pytest.raises(RelayError) as caught:
        budgets.admit("unix:a", limits, 0, sensitive=True)
    assert caught.value.kind == "OverBudget" and caught.value.retry_after == 10
    clock.now += 10
    budgets.admit("unix:a", limits, 0, sensitive=True)


def test_a_call_on_many_machines_counts_as_many() -> None:
    clock = Clock()
    budgets, limits = Budgets(clock), NONE._replace(calls_per_minute=60, burst=5)
    assert refused(budgets, limits) is None
    # It needs no more room than another, and what follows waits for all of it.
    budgets.admit("unix:a", limits, 0, sensitive=True, count=100)
    assert refused(budgets, limits) == 96
    clock.now += 96
    assert refused(budgets, limits) is None and refused(budgets, limits) == 1
    budgets.admit("unix:b", NONE, 0, sensitive=True, count=100)
    assert refused(budgets, NONE, "unix:b") is None


def test_calls_at_once() -> None:
    limits = NONE._replace(concurrent=2)
    Budgets(Clock()).admit("unix:a", limits, 1, sensitive=True)
    with pytest.raises(RelayError) as caught:
        Budgets(Clock()).admit("unix:a", limits, 2, sensitive=True)
    assert caught.value.kind == "Busy" and caught.value.retry_after


@pytest.mark.parametrize("what", ["cpu_seconds", "output_bytes"])
def test_an_hours_use(what: str) -> None:
    clock = Clock()
    clock.now = 7200.0
    budgets, limits = Budgets(clock), NONE._replace(**{what: 10})

    def use(amount: int) -> None:
        if what == "cpu_seconds":
            budgets.charge("unix:a", cpu_ms=amount * 1000)
        else:
            budgets.charge("unix:a", output=amount)

    use(4)
    clock.now += 600
    use(5)
    assert refused(budgets, limits) is None
    use(1)
    # The first 4 leave the hour a minute's sum after it is over.
    assert refused(budgets, limits) == 3600 + 60 - 600
    clock.now += 3600 + 60 - 600
    assert refused(budgets, limits) is None
    use(100)
    assert refused(budgets, limits) == 3660
    clock.now += 3660
    assert refused(budgets, limits) is None
    assert budgets.used("unix:a") == {"cpu_ms": 0, "output_bytes": 0}


def test_what_is_no_amount_is_not_charged() -> None:
    budgets = Budgets(Clock())
    for odd in (None, -5, True, "9", 1.5):
        budgets.charge("unix:a", odd, odd)
    assert budgets.used("unix:a") == {"cpu_ms": 0, "output_bytes": 0}


def test_an_hour_is_bounded_in_memory() -> None:
    clock = Clock()
    budgets = Budgets(clock)
    for _ in range(100_000):
        clock.now += 7
        budgets.charge("unix:a", output=1)
    hour = budgets._accounts["unix:a"].output
    assert len(hour.slots) <= 62 and hour.total == sum(amount for _, amount in hour.slots)


def test_memory_is_bounded() -> None:
    budgets, limits = Budgets(Clock()), NONE._replace(calls_per_minute=1, burst=1)
    for n in range(PRINCIPALS):
        refused(budgets, limits, f"unix:{n}")
    assert refused(budgets, limits, "unix:0") == 60
    assert refused(budgets, limits, "unix:new") is None and len(budgets) == PRINCIPALS
    # The longest unseen made room; one that is in use did not.
    assert refused(budgets, limits, "unix:0") == 60
    assert refused(budgets, limits, "unix:1") is None


def test_the_settings_and_the_rules_speak_of_the_same_budgets() -> None:
    assert tuple(BUDGETS) == Limits._fields
    settings = {name: row.default for name, row in TABLE.items()}
    defaults = Limits.of(settings, {})
    assert Limits.of(settings, {"burst": 5}) == defaults._replace(burst=5)
    for name, most in BUDGETS.items():
        assert TABLE[f"budgets.{name}"].high == most and TABLE[f"budgets.{name}"].reload
