"""Budgets: how much one principal may ask for, whatever the number of its connections.

Calls are rationed by token buckets, which allow a burst; processor time and output, known only
when a call has ended, by what the last hour used. Everything is kept by principal, so that
reconnecting or a second connection gains nothing.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..wire.errors import RelayError

PRINCIPALS = 4096
"""Principals remembered; the one longest unseen is forgotten first."""

HOUR = 3600.0
SLOT = 60.0
"""Seconds that one sum of an hour's use covers."""

MINUTE = 60.0


class Limits(NamedTuple):
    """What a principal may use; 0 is no limit."""

    calls_per_minute: int
    burst: int
    sensitive_per_minute: int
    sensitive_burst: int
    concurrent: int
    cpu_seconds: int
    output_bytes: int

    @classmethod
    def of(cls, settings: Mapping[str, Any], own: Mapping[str, int]) -> Limits:
        """The settings' budgets, but for those that the principal's rule gives."""
        return cls(*(own.get(name, settings[f"budgets.{name}"]) for name in cls._fields))


class _Bucket:
    """A token bucket: `burst` at once, refilled at `rate` a second."""

    __slots__ = ("at", "spent")

    def __init__(self, now: float) -> None:
        self.spent = 0.0
        self.at = now

    def wait(self, now: float, rate: float, burst: int) -> float:
        """Seconds until one token is there; 0 if it is there now."""
        self.spent = max(0.0, self.spent - (now - self.at) * rate)
        self.at = now
        lacking = self.spent + 1 - max(burst, 1)
        # A rounding error of the refill must not refuse the call that waited as told.
        return max(0.0, lacking / rate) if lacking > 1e-6 else 0.0

    def take(self) -> None:
        self.spent += 1


class _Hour:
    """What was used in the last hour, in sums of a minute each."""

    __slots__ = ("slots", "total")

    def __init__(self) -> None:
        self.slots: deque[tuple[float, int]] = deque()
        self.total = 0

    def add(self, now: float, amount: int) -> None:
        slot = now // SLOT * SLOT
        if self.slots and self.slots[-1][0] >= slot:
            at, sum_ = self.slots.pop()
            self.slots.append((at, sum_ + amount))
        else:
            self.slots.append((slot, amount))
        self.total += amount
        self._expire(now)

    def wait(self, now: float, limit: int) -> float:
        """Seconds until less than `limit` was used in the hour before; 0 if that is so now."""
        self._expire(now)
        left = self.total
        for at, amount in self.slots:
            if left < limit:
                break
            left -= amount
            if left < limit:
                return at + SLOT + HOUR - now
        return 0.0

    def _expire(self, now: float) -> None:
        while self.slots and self.slots[0][0] + SLOT + HOUR <= now:
            self.total -= self.slots.popleft()[1]


class _Account:
    """What one principal has used."""

    __slots__ = ("calls", "cpu_ms", "output", "sensitive")

    def __init__(self, now: float) -> None:
        self.calls = _Bucket(now)
        self.sensitive = _Bucket(now)
        self.cpu_ms = _Hour()
        self.output = _Hour()


class Budgets:
    """The accounts of all principals.

    Args:
        now: a clock that never goes back, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, most: int = PRINCIPALS) -> None:
        self._now = now
        self._most = most
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def __len__(self) -> int:
        return len(self._accounts)

    def arrive(self, principal: str, limits: Limits) -> None:
        """Count a call that is asked for; those that are refused later count as well.

        Raises:
            RelayError: kind OverBudget, with `retry_after` in seconds.
        """
        now, account = self._now(), self._account(principal)
        if limits.cpu_seconds:
            wait = account.cpu_ms.wait(now, limits.cpu_seconds * 1000)
            if wait:
                what = f"{limits.cpu_seconds} s of processor time an hour (cpu_seconds)"
                raise over(what, wait)
        if limits.output_bytes:
            wait = account.output.wait(now, limits.output_bytes)
            if wait:
                raise over(f"{limits.output_bytes} bytes of output an hour (output_bytes)", wait)
        if limits.calls_per_minute:
            rate = limits.calls_per_minute / MINUTE
            wait = account.calls.wait(now, rate, limits.burst)
            if wait:
                what = f"{limits.calls_per_minute} calls a minute (calls_per_minute, burst)"
                raise over(what, wait)
            account.calls.take()

    def admit(self, principal: str, limits: Limits, running: int, *, sensitive: bool) -> None:
        """Hold the limits of what is about to run.

        Args:
            running: calls of the principal that run now.
            sensitive: whether the call belongs to the stricter class.

        Raises:
            RelayError: kind OverBudget; Busy, for too many at once.
        """
        if limits.concurrent and running >= limits.concurrent:
            error = RelayError(
                "Busy",
                reason=f"{running} calls of this principal are running (budgets: concurrent)",
            )
            error.retry_after = 1
            raise error
        if sensitive and limits.sensitive_per_minute:
            now, account = self._now(), self._account(principal)
            rate = limits.sensitive_per_minute / MINUTE
            wait = account.sensitive.wait(now, rate, limits.sensitive_burst)
            if wait:
                what = f"{limits.sensitive_per_minute} sensitive calls a minute"
                raise over(f"{what} (sensitive_per_minute, sensitive_burst)", wait)
            account.sensitive.take()

    def charge(self, principal: str, cpu_ms: object = None, output: object = None) -> None:
        """Add what an ended call used; what is no positive number is not known."""
        now, account = self._now(), self._account(principal)
        for hour, amount in ((account.cpu_ms, cpu_ms), (account.output, output)):
            if isinstance(amount, int) and not isinstance(amount, bool) and amount > 0:
                hour.add(now, amount)

    def used(self, principal: str) -> dict[str, int]:
        """What the last hour used: cpu_ms and output_bytes."""
        account, now = self._accounts.get(principal), self._now()
        if account is None:
            return {"cpu_ms": 0, "output_bytes": 0}
        account.cpu_ms.wait(now, 1)
        account.output.wait(now, 1)
        return {"cpu_ms": account.cpu_ms.total, "output_bytes": account.output.total}

    def _account(self, principal: str) -> _Account:
        account = self._accounts.get(principal)
        if account is None:
            account = self._accounts[principal] = _Account(self._now())
            if len(self._accounts) > self._most:
                self._accounts.popitem(last=False)
        else:
            self._accounts.move_to_end(principal)
        return account


def over(what: str, wait: float) -> RelayError:
    """The refusal, with the seconds to wait, rounded up."""
    seconds = max(1, math.ceil(wait))
    error = RelayError("OverBudget", what=what, seconds=seconds)
    error.retry_after = seconds
    return error
