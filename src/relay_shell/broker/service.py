"""The broker as a service: listeners, signals, status lines and the watchdog."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..config.errors import ConfigError, Problem
from ..policy.access import AccessRules, Who
from ..wire import notify
from ..wire.errors import RelayError
from .authority import identities
from .judge import Judge
from .server import Broker

if TYPE_CHECKING:
    from ..config.settings import Settings

logger = logging.getLogger(__name__)

TICK = 2.0
"""Seconds between status lines while calls run; without calls, only changes are told."""

Load = Callable[[], "Settings"]


class Service:
    """Runs a broker until SIGTERM or SIGINT; SIGHUP reloads, and so does an operator's request,
    which is told the outcome.

    Args:
        load: reads the settings anew; raises ConfigError.
        load_access: reads access.toml anew; raises ConfigError.
    """

    def __init__(
        self, broker: Broker, load: Load, load_access: Callable[[], AccessRules] = AccessRules
    ) -> None:
        self._broker = broker
        self._load = load
        self._load_access = load_access
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._reason = ""
        self._reloads = 0
        self._reloading: asyncio.Task[None] | None = None
        self._told = ""
        self._due: asyncio.TimerHandle | None = None

    async def run(self, listeners: Sequence[tuple[str, socket.socket]]) -> None:
        """Serve until told to stop."""
        broker = self._broker
        broker.state.changed = self._changed
        broker.state.reload = self.reload
        for name, sock in listeners:
            broker.listen(sock, name)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop, signal.Signals(number).name)
        self._loop.add_signal_handler(signal.SIGHUP, self._hangup)
        notify.keep_alive(self._loop)
        self._told = broker.state.summary()
        notify.ready(self._told)
        await self._stopped.wait()
        notify.stopping("recording the stop")
        if self._reloading is not None:
            self._reloading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reloading
        await broker.close(self._reason)
        if self._due is not None:
            self._due.cancel()

    def _stop(self, name: str) -> None:
        self._reason = self._reason or name
        self._stopped.set()

    # ---- reload --------------------------------------------------------------------------

    def _hangup(self) -> None:
        self._reloads += 1
        if self._reloading is None:
            self._reloading = self._loop.create_task(self._reload())

    async def reload(self) -> None:
        """Read everything anew, and return when it is in force or refused.

        Raises:
            RelayError: Busy, if the broker stops meanwhile.
        """
        self._hangup()
        reloading = self._reloading
        assert reloading is not None
        await asyncio.wait([reloading])
        if reloading.cancelled():
            raise RelayError("Busy", reason="the broker stops")

    async def _reload(self) -> None:
        """Reload once for all signals that came: systemd waits for the READY=1 of the last."""
        try:
            while self._reloads:
                self._reloads = 0
                notify.reloading()
                try:
                    await self._reload_once()
                finally:
                    self._told = self._broker.state.summary()
                    notify.ready(self._told)
        finally:
            self._reloading = None

    async def _reload_once(self) -> None:
        broker = self._broker
        # logrotate reloads so that the record goes on in the new file, whatever the settings say.
        broker.reopen()
        try:
            found = await asyncio.to_thread(self._read)
        except (ConfigError, RelayError) as error:
            reason = error.message if isinstance(error, RelayError) else str(error)
            broker.refuse_reload(reason)
        except Exception as error:
            logger.exception("reload failed")
            broker.refuse_reload(f"{type(error).__name__}: {error}")
        else:
            broker.reload(*found)

    def _read(self) -> tuple[Settings, Judge, AccessRules, dict[str, Who]]:
        problems: list[Problem] = []
        settings, rules = None, None
        try:
            settings = self._load()
        except ConfigError as error:
            problems += error.problems
        try:
            rules = self._load_access()
        except ConfigError as error:
            problems += error.problems
        if settings is None or rules is None:
            raise ConfigError(problems)
        state = self._broker.state
        judge = Judge(settings, state.judge.redact)
        return settings, judge, rules, identities(state) if rules else {}

    # ---- telling the manager -------------------------------------------------------------

    def _changed(self) -> None:
        if self._due is None:
            self._due = self._loop.call_later(0.2, self._tell)

    def _tell(self) -> None:
        self._due = None
        text = self._broker.state.summary()
        if text != self._told and notify.status(text):
            self._told = text
        if len(self._broker.state.calls):
            self._due = self._loop.call_later(TICK, self._tell)
