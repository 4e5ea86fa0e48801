"""Budgets: how much one principal may ask for, whatever the number of its connections.

Calls are rationed by token buckets, which allow a burst; processor time and output, known only
when a call has ended, by what the last hour used. Everything is kept by principal, so that
reconnecting or a second connection gains nothing; `budgetfile` keeps it over a restart.
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

MUCH, MUCH_CPU, MUCH_OUTPUT = 0.1, 100_000, 128 * 1024 * 1024
"""The share of a burst that is not left unwritten; milliseconds of processor time and bytes of
output that count as a whole one."""


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

    def take(self, count: int = 1) -> None:
        self.spent += count


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

    def stored(self, coarse: bool) -> tuple[tuple[float, int], ...]:
        """The sums; `coarse`: as one, of the latest time."""
        if coarse and self.slots:
            return ((self.slots[-1][0], self.total),)
        return tuple(self.slots)

    def _expire(self, now: float) -> None:
        while self.slots and self.slots[0][0] + SLOT + HOUR <= now:
            self.total -= self.slots.popleft()[1]


class Stored(NamedTuple):
    """An account as the file has it; times are of the clock that it names."""

    calls: tuple[float, float]
    """Tokens that were spent, and when that was so."""
    sensitive: tuple[float, float]
    cpu_ms: tuple[tuple[float, int], ...]
    """Sums, each with its time."""
    output: tuple[tuple[float, int], ...]

    @classmethod
    def parse(cls, row: Any, clock: float) -> Stored:
        """An account from JSON.

        Raises:
            ValueError, TypeError: it is none, or of a time to come.
        """
        calls, sensitive, cpu_ms, output = row
        pairs = [(*calls,), (*sensitive,), *map(tuple, cpu_ms), *map(tuple, output)]
        for pair in pairs:
            first, second = pair
            for number in (first, second):
                if isinstance(number, bool) or not isinstance(number, int | float):
                    raise ValueError("an account holds what is no number")
                if not math.isfinite(number):
                    raise ValueError("an account holds a number without bound")
        if calls[0] < 0 or sensitive[0] < 0 or any(amount < 0 for _, amount in pairs[2:]):
            raise ValueError("an account holds a negative sum")
        if any(at > clock for at in (calls[1], sensitive[1], *(at for at, _ in pairs[2:]))):
            raise ValueError("an account is of a time to come")
        return cls(
            (float(calls[0]), float(calls[1])),
            (float(sensitive[0]), float(sensitive[1])),
            tuple(sorted((float(at), int(amount)) for at, amount in cpu_ms)),
            tuple(sorted((float(at), int(amount)) for at, amount in output)),
        )


class _Account:
    """What one principal has used."""

    __slots__ = ("calls", "cpu_ms", "output", "sensitive")

    def __init__(self, now: float) -> None:
        self.calls = _Bucket(now)
        self.sensitive = _Bucket(now)
        self.cpu_ms = _Hour()
        self.output = _Hour()

    def stored(self, coarse: bool) -> Stored:
        return Stored(
            (self.calls.spent, self.calls.at),
            (self.sensitive.spent, self.sensitive.at),
            self.cpu_ms.stored(coarse),
            self.output.stored(coarse),
        )

    def restore(self, stored: Stored, shift: float) -> None:
        for bucket, (spent, at) in ((self.calls, stored.calls), (self.sensitive, stored.sensitive)):
            bucket.spent, bucket.at = spent, at + shift
        for hour, sums in ((self.cpu_ms, stored.cpu_ms), (self.output, stored.output)):
            hour.slots = deque((at + shift, amount) for at, amount in sums)
            hour.total = sum(amount for _, amount in sums)


class Budgets:
    """The accounts of all principals.

    Args:
        now: a clock that never goes back, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, most: int = PRINCIPALS) -> None:
        self._now = now
        self._most = most
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._unsaved = 0.0
        self.distrusted: float | None = None
        """When it turned out that nothing is known of the hour before."""
        self.changed: Callable[[bool], None] | None = None
        """Called when something was used; True if it was much since it was called so."""

    def __len__(self) -> int:
        return len(self._accounts)

    def clock(self) -> float:
        """The time by which accounts are kept."""
        return self._now()

    def distrust(self) -> None:
        """Nothing is known of the last hour: its limits count as reached until it has passed."""
        self.distrusted = self._now()

    def stored(self, *, coarse: bool) -> dict[str, Stored]:
        """The accounts, for the file."""
        return {name: account.stored(coarse) for name, account in self._accounts.items()}

    def restore(
        self, accounts: Mapping[str, Stored], shift: float, distrusted: float | None
    ) -> None:
        """Take over what a former broker kept.

        Args:
            shift: seconds from its clock to this one.
        """
        for name, stored in list(accounts.items())[-self._most :]:
            account = self._accounts[name] = _Account(self._now())
            account.restore(stored, shift)
        self.distrusted = None if distrusted is None else distrusted + shift

    def _used(self, share: float) -> None:
        """Note use: the share of what may come at once."""
        self._unsaved += share
        if self.changed is not None:
            much = self._unsaved > MUCH - 1e-9
            if much:
                self._unsaved = 0.0
            self.changed(much)

    def _unknown(self, now: float) -> float:
        """Seconds until something is known of the last hour."""
        if self.distrusted is None:
            return 0.0
        left = self.distrusted + HOUR - now
        if left <= 0:
            self.distrusted = None
        return max(0.0, left)

    def arrive(self, principal: str, limits: Limits) -> None:
        """Count a call that is asked for; those that are refused later count as well.

        Raises:
            RelayError: kind OverBudget, with `retry_after` in seconds.
        """
        now, account = self._now(), self._account(principal)
        if self.distrusted is not None and (limits.cpu_seconds or limits.output_bytes):
            wait = self._unknown(now)
            if wait:
                raise over("what the last hour used, which is not known: its state was lost", wait)
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
            self._used(1 / max(limits.burst, 1))

    def admit(
        self, principal: str, limits: Limits, running: int, *, sensitive: bool, count: int = 1
    ) -> None:
        """Hold the limits of what is about to run.

        Args:
            running: calls of the principal that run now.
            sensitive: whether the call belongs to the stricter class.
            count: as how many calls it counts. One that has come in needs no more room than
                another: what is more than one is owed, and holds up those that follow.

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
            self._used(1 / max(limits.sensitive_burst, 1))
        if count > 1 and limits.calls_per_minute:
            self._account(principal).calls.take(count - 1)
            self._used((count - 1) / max(limits.burst, 1))

    def charge(self, principal: str, cpu_ms: object = None, output: object = None) -> None:
        """Add what an ended call used; what is no positive number is not known."""
        now, account = self._now(), self._account(principal)
        share = 0.0
        for hour, amount, whole in (
            (account.cpu_ms, cpu_ms, MUCH_CPU),
            (account.output, output, MUCH_OUTPUT),
        ):
            if isinstance(amount, int) and not isinstance(amount, bool) and amount > 0:
                hour.add(now, amount)
                share += amount / whole
        if share:
            self._used(share)

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
