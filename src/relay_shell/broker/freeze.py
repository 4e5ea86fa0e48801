"""Freeze: the operator's brake. It survives every restart, and an unreadable brake holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..policy.access import host_allowed, pattern_trouble
from ..policy.hosts import canonical_pattern
from ..wire.errors import RelayError
from . import statefile

SCOPES = ("all", "principal", "worker", "tier", "host")
LIMIT = 4096
"""Freezes that may stand at once."""


class Freeze(NamedTuple):
    """One freeze that stands."""

    scope: str
    value: str
    reason: str
    since: str
    """RFC 3339, UTC."""
    by: str

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()

    def holds(self, hosts: Iterable[str]) -> bool:
        """Whether it is a freeze of one of these hosts."""
        return self.scope == "host" and any(host_allowed(host, (self.value,)) for host in hosts)

    def __str__(self) -> str:
        return f"{self.scope} {self.value}".rstrip()


class Freezer:
    """The freezes in force, kept in one file.

    Args:
        path: the file; its directory must belong to the broker alone.
        now: the time, aware.
    """

    def __init__(self, path: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self._now = now
        self._standing: dict[tuple[str, str], Freeze] = {}
        self.trouble = ""
        """Why the file could not be used; everything is frozen while this is set."""
        self._load()

    def standing(self) -> list[Freeze]:
        """All freezes, the oldest first."""
        return list(self._standing.values())

    def find(
        self, principal: str, worker: str, tier: int | None = None, hosts: Sequence[str] = ()
    ) -> Freeze | None:
        """The freeze that holds this, if one does; without a tier, no freeze of a tier counts.

        Args:
            hosts: what the call reaches, by all names.
        """
        if not self._standing:
            return None
        for key in (("all", ""), ("principal", principal), ("worker", worker)):
            if key in self._standing:
                return self._standing[key]
        if tier is not None:
            for level in range(tier, -1, -1):
                if ("tier", str(level)) in self._standing:
                    return self._standing["tier", str(level)]
        return self._of_host(hosts) if hosts else None

    def _of_host(self, hosts: Sequence[str]) -> Freeze | None:
        frozen = {value: row for (scope, value), row in self._standing.items() if scope == "host"}
        if not frozen or not any(host_allowed(host, tuple(frozen)) for host in hosts):
            return None
        return next(row for row in frozen.values() if row.holds(hosts))

    def add(self, scope: str, value: str, reason: str, by: str) -> Freeze:
        """Freeze at once; `keep` makes it last.

        Raises:
            RelayError: kind InvalidArguments, for a scope or value that means nothing.
        """
        key = self._key(scope, value)
        if key not in self._standing and len(self._standing) >= LIMIT:
            raise RelayError("InvalidArguments", reason=f"more than {LIMIT} freezes; freeze all")
        freeze = Freeze(*key, reason or "no reason given", self._stamp(), by)
        self._standing[key] = freeze
        return freeze

    def get(self, scope: str, value: str) -> Freeze:
        """Return a freeze that stands.

        Raises:
            RelayError: kind NotFound or InvalidArguments.
        """
        found = self._standing.get(self._key(scope, value))
        if found is None:
            raise RelayError("NotFound", reason=f"no freeze of {scope} {value}".rstrip())
        return found

    def drop(self, freeze: Freeze) -> None:
        """Lift a freeze that `keep` left out of the file."""
        self._standing.pop((freeze.scope, freeze.value), None)
        self.trouble = ""

    def keep(self, without: Freeze | None = None) -> None:
        """Write the file; may run in a thread.

        Raises:
            OSError: the file says what it said before.
        """
        rows = [freeze.as_dict() for freeze in self.standing() if freeze != without]
        statefile.write(self._path, {"version": 1, "freezes": rows}, durable=True)

    def _key(self, scope: str, value: str) -> tuple[str, str]:
        if scope not in SCOPES:
            raise RelayError("InvalidArguments", reason=f"a freeze's scope is one of {SCOPES}")
        if scope == "all":
            return "all", ""
        if not value or (scope == "tier" and value not in ("0", "1", "2", "3")):
            raise RelayError("InvalidArguments", reason=f"freeze {scope}: bad value {value!r}")
        if scope == "host":
            reason = pattern_trouble(value)
            if reason:
                raise RelayError("InvalidArguments", reason=f"freeze host {value!r}: {reason}")
            return scope, canonical_pattern(value)
        return scope, value

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="seconds").replace("+00:00", "Z")

    def _load(self) -> None:
        try:
            statefile.check_directory(os.path.dirname(self._path))
            content = statefile.read(self._path)
            for row in content["freezes"]:
                freeze = Freeze(**row)
                if not all(isinstance(field, str) for field in freeze):
                    raise TypeError("a field is no text")
                self._standing[self._key(freeze.scope, freeze.value)] = freeze
        except FileNotFoundError:
            return
        except (statefile.StateError, RelayError, TypeError, KeyError) as error:
            # What stood before cannot be known, so everything stands still.
            self.trouble = f"freeze state cannot be used: {error}"
            self._standing[("all", "")] = Freeze("all", "", self.trouble, self._stamp(), "broker")
