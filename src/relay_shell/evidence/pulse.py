"""What the record says without being asked: checkpoints in time, and a sign of life in silence."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from .errors import EvidenceError

if TYPE_CHECKING:
    from .writer import Writer

WATCH = 5.0
"""Seconds between looks at the file while nothing is recorded."""

logger = logging.getLogger(__name__)


class Pulse:
    """Looks after the file. Seals what is new every `checkpoint` seconds, and writes a heartbeat
    after `heartbeat` seconds without any record, 0 for never. Runs on the current loop until
    `stop`."""

    def __init__(self, writer: Writer, checkpoint: float, heartbeat: float) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._seal: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._checkpoint = self._heartbeat = 0.0
        self._look: asyncio.TimerHandle = self._loop.call_later(WATCH, self._look_due)
        self._loading: asyncio.Task[None] | None = None
        self.configure(checkpoint, heartbeat)
        if writer.seals.signer is not None:
            self._loading = self._loop.create_task(self._first())

    def configure(self, checkpoint: float, heartbeat: float) -> None:
        """Take the settings evidence.checkpoint_seconds and evidence.heartbeat_seconds."""
        if (checkpoint, heartbeat) == (self._checkpoint, self._heartbeat):
            return
        self._cancel()
        self._checkpoint, self._heartbeat = checkpoint, heartbeat
        self._seal = self._loop.call_later(checkpoint, self._seal_due)
        if heartbeat:
            self._beat = self._loop.call_later(heartbeat, self._beat_due)

    async def _first(self) -> None:
        # The library takes longer to load than the broker may take to be ready, so in a thread.
        signer = self._writer.seals.signer
        assert signer is not None
        with contextlib.suppress(ValueError):
            await asyncio.to_thread(signer.load)
        self._writer.checkpoint("start")
        if self._writer.seals.fault:
            logger.error("checkpoints are not signed: %s", self._writer.seals.fault)

    def _look_due(self) -> None:
        self._look = self._loop.call_later(WATCH, self._look_due)
        self._writer.watch()

    def _seal_due(self) -> None:
        self._seal = self._loop.call_later(self._checkpoint, self._seal_due)
        self._writer.checkpoint("time")

    def _beat_due(self) -> None:
        silent = time.monotonic() - self._writer.last
        wait = self._heartbeat - silent
        if wait <= 0:
            wait = self._heartbeat
            facts = {"event": "heartbeat", "facts": {"seconds": int(self._heartbeat)}}
            with contextlib.suppress(EvidenceError):
                self._writer.append_now(facts)
        self._beat = self._loop.call_later(wait, self._beat_due)

    def _cancel(self) -> None:
        for timer in (self._seal, self._beat):
            if timer is not None:
                timer.cancel()

    def stop(self) -> None:
        """Write nothing more."""
        self._cancel()
        self._look.cancel()
        if self._loading is not None:
            self._loading.cancel()
