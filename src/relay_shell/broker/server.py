"""The broker: its parts put together, and its life from the first record to the last."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from ..evidence.errors import EvidenceError
from ..evidence.pulse import Pulse
from ..evidence.writer import Writer
from ..policy.access import FILE, AccessRules
from ..wire.errors import RelayError
from .admission import Admission
from .authority import Authority, identities
from .budgetfile import FILE as BUDGETS
from .budgetfile import BudgetFile
from .floods import Floods
from .freeze import Freezer
from .front_desk import FrontDesk
from .history import History
from .judge import Judge, redactor
from .keys import signer
from .listeners import Desk, Listeners
from .observer_desk import ObserverDesk
from .operator import Operators
from .principals import Accounts
from .recording_desk import RecordingDesk
from .state import State
from .statefile import StateError, check_directory
from .trail import Trail
from .verification import Verification
from .worker_desk import WorkerDesk
from .workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ..config.settings import Settings
    from ..evidence.journal import Journal
    from ..policy.access import Who
    from ..wire.link import Link
    from .handshake import Origin

logger = logging.getLogger(__name__)


class Broker:
    """One broker, on the running loop.

    Args:
        settings: as loaded.
        redact: replaces the secrets in a JSON value; the product's own if None.
        accounts: who our own processes are; this very process if None.
        journal: where records go beside the file; None for nowhere.
        local: whether front and worker are in this very process.
        rules: those of access.toml; none if None.

    Raises:
        RelayError: kind Config, if it cannot work with these settings and directories.
        EvidenceError: cause locked, if another process writes the record.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        redact: Callable[[Any], Any] | None = None,
        accounts: Accounts | None = None,
        journal: Journal | None = None,
        local: bool = False,
        rules: AccessRules | None = None,
    ) -> None:
        judge = Judge(settings, redact or redactor())
        state_dir, runtime = Path(settings["paths.state"]), settings["paths.runtime"]
        try:
            check_directory(str(state_dir))
            check_directory(runtime)
        except StateError as error:
            raise RelayError("Config", reason=str(error)) from None
        self._local = local
        freezer = Freezer(str(state_dir / "freeze.json"))
        if freezer.trouble:
            logger.error("%s; everything is frozen", freezer.trouble)
        new = not _written(settings["paths.audit"])
        writer = Writer(
            settings["paths.audit"],
            journal=journal,
            lock=state_dir / "audit.lock",
            on_state=self._evidence,
            signer=signer(state_dir, Path(settings["paths.audit"]), os.environ, local=local),
            every=settings["evidence.checkpoint_records"],
        )
        trail = Trail(writer, settings)
        if journal is not None:
            journal.on_state = lambda facts: trail.note(**facts)
        self.state = State(
            settings=settings,
            accounts=accounts or Accounts.local(),
            trail=trail,
            freezer=freezer,
            workers=Workers(runtime),
            judge=judge,
            floods=Floods(trail.note),
            verification=Verification(str(state_dir / "verified.json")),
            rules=rules or AccessRules(),
        )
        self._budgets = BudgetFile(str(state_dir / BUDGETS), self.state.budgets, new=new)
        self._admission = Admission(self.state)
        self._history = History(settings["paths.audit"])
        self._recordings = RecordingDesk(self.state)
        self.state.recordings = self._recordings.status
        self._worker = WorkerDesk(
            self.state, self._admission, self._history, self._recordings, local=local
        )
        self._authority = Authority(self.state, self._worker.stop)
        self._front = FrontDesk(self.state, self._authority, local=local)
        self._operators = Operators(self.state, self._worker, self._history)
        self._observer = ObserverDesk(self.state, local=local)
        self.listeners = Listeners(
            self.state,
            {
                "front": Desk(self._front.requests, self._front.notices, self._front.lost),
                "worker": Desk(self._worker.requests, self._worker.notices, self._worker.lost),
                "observer": Desk(
                    self._observer.requests, self._observer.notices, self._observer.lost
                ),
                "operator": Desk(self._operators.requests, {}),
            },
        )
        self._restored = False
        self._start()

    def _start(self) -> None:
        state, writer = self.state, self.state.trail.writer
        state.trail.note(
            event="start",
            pid=os.getpid(),
            uid=os.getuid(),
            mode=state.settings["policy.mode"],
            detail=f"instance {state.instance}",
            facts={
                "config_sha256": state.config_hash(),
                "access_sha256": state.rules.sha256,
                "access_rules": len(state.rules),
            },
        )
        if self._budgets.trouble:
            logger.error("%s; what was used in the last hour is not known", self._budgets.trouble)
            state.trail.note(event="budgets", error=self._budgets.trouble)
        self._restored = writer.trouble is None
        self._worker.restore(writer.unfinished)
        self._recordings.restore()
        if state.rules:
            self._authority.reconsider_all(identities(state))
        self._observer.expect()
        self._pulse = Pulse(writer, *self._rhythm())

    def _rhythm(self) -> tuple[int, int]:
        settings = self.state.settings
        return settings["evidence.checkpoint_seconds"], settings["evidence.heartbeat_seconds"]

    def _evidence(self, trouble: EvidenceError | None) -> None:
        """The record cannot be written, or can be again."""
        if trouble is not None:
            logger.error("%s", trouble.message)
        if not hasattr(self, "state"):
            return
        if trouble is None:
            self.state.trail.recovered()
            if not self._restored:
                # Only now is it known which calls the last broker left open.
                self._restored = True
                asyncio.get_running_loop().call_soon(
                    self._worker.restore_calls, self.state.trail.writer.unfinished
                )
        self.state.changed()

    def listen(self, sock: socket.socket, listener: str) -> None:
        """Accept links of a listening SOCK_SEQPACKET socket, named broker or operator."""
        self.listeners.listen(sock, listener)

    async def serve(self, sock: socket.socket, origin: Origin) -> Link:
        """Serve one connected socket; see `Listeners.serve`."""
        return await self.listeners.serve(sock, origin)

    # ---- reload, end ---------------------------------------------------------------------

    def reload(
        self,
        settings: Settings,
        judge: Judge,
        rules: AccessRules | None = None,
        parked: Mapping[str, Who] | None = None,
    ) -> None:
        """Put validated settings and rules in force and tell every peer what changed for it.

        Args:
            rules: those of access.toml; the ones in force stay if None.
            parked: see `Authority.reconsider_all`.
        """
        state = self.state
        ruled = rules is not None and rules.rules != state.rules.rules
        if rules is not None:
            state.rules = rules
        applied, waiting = state.settings.changed(settings)
        state.settings = state.settings.reloaded(settings)
        state.judge = judge
        state.reload_error, state.needs_restart = "", waiting
        journal = state.trail.writer.journal
        if journal is not None:
            journal.configure(
                state.settings["evidence.journal"], state.settings["evidence.spool_bytes"]
            )
        state.trail.configure(state.settings)
        state.trail.writer.seals.every = state.settings["evidence.checkpoint_records"]
        self._pulse.configure(*self._rhythm())
        state.trail.note(
            event="config",
            what="reload",
            mode=state.settings["policy.mode"],
            facts={
                "config_sha256": state.config_hash(),
                "access_sha256": state.rules.sha256,
                "access_rules": len(state.rules),
                "changed": [*applied, FILE] if ruled else applied,
                "needs_restart": waiting,
            },
        )
        if applied or ruled:
            self._push(parked or {})
        state.changed()

    def refuse_reload(self, reason: str) -> None:
        """Keep the settings in force, and say why the new ones are not."""
        state = self.state
        state.reload_error = reason
        logger.error("reload refused, the settings in force stay: %s", reason)
        state.trail.note(
            event="config", what="refused", error=str(state.judge.redact(reason))[:4096]
        )
        state.changed()

    def reopen(self) -> None:
        """Go on in the file that paths.audit names now (after a rotation)."""
        try:
            self.state.trail.writer.reopen()
        except EvidenceError as error:
            logger.error("%s", error.message)

    def _push(self, parked: Mapping[str, Who]) -> None:
        state = self.state
        for worker in state.workers:
            self._authority.tell(worker)
        for link in self.listeners.of("front"):
            if link.greeted:
                with contextlib.suppress(RelayError):
                    link.notify("front_settings", {"settings": state.settings.subset("front")})
        self._observer.tell()
        self._authority.reconsider_all(parked)

    async def close(self, reason: str = "stopped") -> None:
        """End all links, record the stop, and make the record durable. Idempotent.

        Workers live on: those that the next broker knows by their files claim their calls.
        """
        state = self.state
        if state.closing:
            return
        if self._local:
            for worker in state.workers:
                self._worker.gone(worker, "the program ended")
        state.closing = True
        loop = asyncio.get_running_loop()
        self.listeners.stop()
        for worker in state.workers:
            if worker.pidfd >= 0:
                loop.remove_reader(worker.pidfd)
        # Handlers that were admitting calls finish or fail here, while there is a record.
        await self.listeners.stopped()
        await state.remote.close()
        await asyncio.sleep(0)
        self._admission.close()
        await self._recordings.close()
        self._budgets.close()
        self._history.close()
        self._pulse.stop()
        state.floods.close()
        state.trail.note(
            event="stop",
            pid=os.getpid(),
            detail=reason,
            facts={"calls": len(state.calls), "workers": len(state.workers)},
        )
        try:
            state.trail.writer.close()
        except EvidenceError as error:
            logger.error("the last records may not be on the disk: %s", error.message)
        if len(state.trail) or state.trail.lost:
            lost = len(state.trail) + state.trail.lost
            logger.error("%d records could not be written before the stop", lost)


def _written(path: str) -> bool:
    """Whether a record was begun there."""
    with contextlib.suppress(OSError):
        return os.path.getsize(path) > 0
    return False
