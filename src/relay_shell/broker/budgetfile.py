"""The budgets' accounts over a restart: whoever ends the broker must not begin with a fresh one.

Within one boot the times in the file are of the monotonic clock, which nobody can set. After the
host has restarted only the wall clock tells how long it was off; where that went backwards, no
time has passed. A file that is damaged says that nothing is known of the last hour, and then none
is admitted that a limit of the last hour would have to allow. One that is missing or empty is
recorded and no more: root alone can take it away, and a host that loses power can leave it so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from ..evidence.moment import boot_id
from . import statefile
from .budgets import HOUR, Budgets, Stored

logger = logging.getLogger(__name__)

FILE = "budgets.json"
DELAY = 1.0
"""Seconds that use waits to be written, unless it is much."""

COARSE = 1024
"""Accounts from which on each hour's use is written as one sum, so that the file stays small."""


class BudgetFile:
    """Keeps the accounts in one file.

    Args:
        path: the file; its directory must belong to the broker alone.
        budgets: filled from the file here, and written to it when they change.
        new: whether no broker has recorded anything yet, so that no file is no loss.
        boot: names this boot of the host.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        path: str,
        budgets: Budgets,
        *,
        new: bool,
        boot: Callable[[], str] = boot_id,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._budgets = budgets
        self._boot = boot
        self._wall = wall
        self._timer: asyncio.TimerHandle | None = None
        self._failing = False
        self.trouble = ""
        """Why nothing, or not all, is known of the last hour."""
        try:
            self._load()
        except FileNotFoundError:
            self.trouble = "" if new else f"{path} is missing"
        except statefile.StateError as error:
            self.trouble = str(error)
            budgets.distrust()
            self._set_aside()
        budgets.changed = self._changed
        self.save()

    def save(self) -> None:
        """Write the accounts; they are kept in memory where that fails."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        budgets = self._budgets
        content = {
            "version": 1,
            "boot": self._boot(),
            "clock": budgets.clock(),
            "wall": self._wall(),
            "distrusted": budgets.distrusted,
            "accounts": budgets.stored(coarse=len(budgets) > COARSE),
        }
        try:
            # A host that goes down without notice is off for longer than is lost here.
            statefile.write(self._path, content, durable=False)
        except OSError as error:
            if not self._failing:
                logger.error("%s: %s; budgets are kept in memory", self._path, error.strerror)
            self._failing = True
        else:
            self._failing = False

    def close(self) -> None:
        """Write what is there, and stop."""
        self._budgets.changed = None
        self.save()

    def _changed(self, much: bool) -> None:
        if much:
            self.save()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self.save)

    def _load(self) -> None:
        if not os.path.getsize(self._path):
            raise FileNotFoundError
        content = statefile.read(self._path)
        try:
            if content["version"] != 1:
                raise ValueError("version")
            clock, wall = _number(content["clock"]), _number(content["wall"])
            distrusted = content["distrusted"]
            distrusted = None if distrusted is None else _number(distrusted)
            accounts = {
                str(name): Stored.parse(row, clock) for name, row in content["accounts"].items()
            }
            same = content["boot"] == self._boot()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise statefile.StateError(f"{self._path} is damaged: {error!r}") from None
        off = 0.0 if same else min(max(0.0, self._wall() - wall), 2 * HOUR)
        now = self._budgets.clock()
        # Of the same boot the clock goes on by itself; one that went back counts as no time.
        shift = max(0.0, clock - now) * -1 if same else now - clock - off
        self._budgets.restore(accounts, shift, distrusted)

    def _set_aside(self) -> None:
        """Keep what was found for whoever looks into it."""
        try:
            os.replace(self._path, f"{self._path}.damaged")
        except OSError:
            return


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ValueError("no number")
    return float(value)
