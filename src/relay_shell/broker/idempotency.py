"""Idempotency keys: a call that is repeated under its key is answered, not executed again.

For each key the broker keeps which call used it first, on which arguments, and how that ended; the
result itself stays in the worker. Each entry has a small file in the runtime directory, so that a
broker that is restarted between a call and its repetition still knows. A key whose call never ran
is free again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..evidence import canonical
from ..wire.errors import RelayError
from . import statefile

logger = logging.getLogger(__name__)

ARGUMENT = "idempotency_key"
LENGTH = 128
"""Characters of a key."""

EACH, ALL = 256, 8192
"""Keys kept, of one principal and in all; beyond, the oldest make room, its own first."""

_FILE = re.compile(r"replay-[0-9a-f]{64}\.json")

Body = dict[str, Any]


@dataclass(slots=True)
class Entry:
    """The first call under one key."""

    principal: str
    digest: str
    """SHA-256 of the arguments without the key."""
    call: str
    worker: str
    at: float
    """Seconds since the epoch; the window counts from here, then from the call's end."""
    outcome: Body | None = None
    """status and figures, as the record has them; None while the call runs."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def stored(self) -> Body:
        return {name: getattr(self, name) for name in _KEPT}


_KEPT: Mapping[str, tuple[type, ...]] = {
    "principal": (str,),
    "digest": (str,),
    "call": (str,),
    "worker": (str,),
    "at": (float, int),
    "outcome": (dict, type(None)),
}


def key_of(args: Mapping[str, Any]) -> str:
    """The key that a call's arguments hold, "" for none.

    Raises:
        RelayError: kind InvalidArguments.
    """
    key = args.get(ARGUMENT)
    if key is None:
        return ""
    if not isinstance(key, str) or not 1 <= len(key) <= LENGTH:
        raise RelayError(
            "InvalidArguments", reason=f"{ARGUMENT} is a text of 1 to {LENGTH} characters"
        )
    return key


def digest_of(args: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical arguments, the key left out."""
    bare = {name: value for name, value in args.items() if name != ARGUMENT}
    return hashlib.sha256(canonical.encode(bare)).hexdigest()


class Replays:
    """The keys that were used.

    Args:
        directory: the broker's runtime directory.
        now: the time in seconds since the epoch.
    """

    def __init__(self, directory: str, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now = now
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._calls: dict[str, str] = {}
        self._each: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, principal: str, tool: str, key: str, digest: str, window: float) -> Entry | None:
        """The entry of a key that was used within the window.

        Raises:
            RelayError: kind InvalidArguments, if it was used with other arguments.
        """
        ident = _ident(principal, tool, key)
        entry = self._entries.get(ident)
        if entry is not None and entry.outcome is not None and self._old(entry, window):
            self._forget(ident)
            entry = None
        if entry is not None and entry.digest != digest:
            raise RelayError(
                "InvalidArguments",
                reason=f"this {ARGUMENT} was used with other arguments, by call {entry.call}",
            )
        return entry

    def begin(
        self,
        principal: str,
        tool: str,
        key: str,
        digest: str,
        call: str,
        worker: str,
        window: float,
    ) -> None:
        """Enter the first call under a key, before it may run.

        Raises:
            RelayError: kind Busy, if all keys of the principal belong to running calls;
                EvidenceUnavailable, if the key cannot be kept.
        """
        self._expire(window)
        self._room(principal)
        ident = _ident(principal, tool, key)
        entry = Entry(principal, digest, call, worker, self._now())
        try:
            self._keep(ident, entry)
        except OSError as error:
            reason = f"the idempotency key cannot be kept: {error.strerror}"
            raise RelayError("EvidenceUnavailable", reason=reason) from None
        self._entries[ident] = entry
        self._calls[call] = ident
        self._each[principal] += 1

    def ended(self, call: str, outcome: Mapping[str, Any]) -> None:
        """Keep how a call ended; one without a key is none of ours."""
        ident = self._calls.pop(call, None)
        entry = self._entries.get(ident) if ident is not None else None
        if ident is None or entry is None:
            return
        entry.outcome = {name: value for name, value in outcome.items() if value is not None}
        entry.at = self._now()
        self._entries.move_to_end(ident)
        entry.ended.set()
        try:
            self._keep(ident, entry)
        except OSError as error:
            # Its file still says that it ran, so that no later broker runs it again.
            logger.error("idempotency key of %s: %s", call, error.strerror)

    def never_ran(self, call: str) -> None:
        """Free the key of a call that did not run after all."""
        ident = self._calls.pop(call, None)
        if ident is not None:
            entry = self._entries.get(ident)
            self._forget(ident)
            if entry is not None:
                entry.ended.set()

    def restore(self, running: Iterable[str], window: float) -> None:
        """Read the files that a former broker left.

        Args:
            running: the calls that may still be running.
        """
        live = set(running)
        found: list[tuple[str, Entry]] = []
        for name in os.listdir(self._directory):
            if not _FILE.fullmatch(name):
                continue
            path = os.path.join(self._directory, name)
            try:
                entry = _parse(statefile.read(path))
            except (statefile.StateError, OSError) as error:
                logger.error("%s: %s; dropped", name, error)
                with contextlib.suppress(OSError):
                    os.unlink(path)
                continue
            found.append((name[len("replay-") : -len(".json")], entry))
        for ident, entry in sorted(found, key=lambda pair: pair[1].at):
            self._entries[ident] = entry
            self._each[entry.principal] += 1
            if entry.outcome is not None:
                entry.ended.set()
            elif entry.call in live:
                self._calls[entry.call] = ident
            else:
                entry.outcome = {"status": "interrupted"}
                entry.ended.set()
        self._expire(window)

    # ---- bounds --------------------------------------------------------------------------

    def _old(self, entry: Entry, window: float) -> bool:
        # A clock that was set back a little must not free a key, nor one set back far keep it.
        return abs(self._now() - entry.at) >= window

    def _expire(self, window: float) -> None:
        """Forget what is too old, from the end where it is."""
        for ident, entry in list(self._entries.items()):
            if entry.outcome is None:
                continue
            if not self._old(entry, window):
                return
            self._forget(ident)

    def _room(self, principal: str) -> None:
        full = self._each[principal] >= EACH
        if not full and len(self._entries) < ALL:
            return
        ended = [(i, entry) for i, entry in self._entries.items() if entry.outcome is not None]
        own = [ident for ident, entry in ended if entry.principal == principal]
        oldest = own or ([] if full else [ident for ident, _ in ended])
        if oldest:
            self._forget(oldest[0])
            return
        raise RelayError("Busy", reason="too many calls with an idempotency key are running")

    def _forget(self, ident: str) -> None:
        entry = self._entries.pop(ident, None)
        if entry is None:
            return
        self._calls.pop(entry.call, None)
        self._each[entry.principal] -= 1
        if not self._each[entry.principal]:
            del self._each[entry.principal]
        with contextlib.suppress(OSError):
            os.unlink(self._path(ident))

    def _keep(self, ident: str, entry: Entry) -> None:
        content = {"version": 1, "replay": entry.stored()}
        # /run is memory: a host that went down has no worker and no client left to repeat.
        statefile.write(self._path(ident), content, durable=False)

    def _path(self, ident: str) -> str:
        return os.path.join(self._directory, f"replay-{ident}.json")


def _ident(principal: str, tool: str, key: str) -> str:
    """What names a key, and its file: a digest, for a key may hold anything."""
    return hashlib.sha256(canonical.encode([principal, tool, key])).hexdigest()


def _parse(content: Any) -> Entry:
    row = content.get("replay") if isinstance(content, dict) else None
    if not isinstance(row, dict) or row.keys() != _KEPT.keys():
        raise statefile.StateError("damaged")
    for name, kinds in _KEPT.items():
        if not isinstance(row[name], kinds) or isinstance(row[name], bool):
            raise statefile.StateError(f"damaged at {name!r}")
    return Entry(**row)
