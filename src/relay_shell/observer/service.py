"""The observer on its loop: the kernel's ring on one side, the broker on the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from ..wire import notify
from ..wire.errors import RelayError
from ..wire.link import Link
from ..wire.messages import VERSION
from .bpf import BpfError
from .btf import BtfError
from .collect import Batch, Collector, groups_below
from .kernel import Kernel, cgroup_id

logger = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between two looks at what waits."""

GATHER = 0.05
"""Seconds from the end of a call to the look into the ring: a busy host ends many in that time, and
each wake costs as much as all that is read at it."""

BACKLOG = 512
"""Batches that wait for a broker that is away; beyond, they are dropped and counted."""

ANSWER = 60.0
"""Seconds that the broker may take for one batch."""

Body = dict[str, Any]


class Observer:
    """Observes while the broker's settings say so.

    Args:
        dial: connects to the broker.
        slice_path: cgroup directory below which the workers' units are.
    """

    def __init__(self, dial: Callable[[], Awaitable[socket.socket]], slice_path: str) -> None:
        self._dial = dial
        self._slice_path = slice_path
        self._slice = 0
        self._kernel: Kernel | None = None
        self._collector: Collector | None = None
        self._waiting: deque[Batch] = deque()
        self._dropped = 0
        self._untracked = 0
        self._more = asyncio.Event()
        self._link: Link | None = None
        self._settings: Body = {}
        self._ended = asyncio.Event()
        self._gathering: asyncio.TimerHandle | None = None
        self._since_retry = 0

    def stop(self) -> None:
        """End; what is there is still handed on."""
        self._ended.set()
        self._more.set()

    async def run(self) -> None:
        """Serve until stopped; a broker that is away is waited for."""
        ticking = asyncio.create_task(self._tick())
        pause = 0.1
        try:
            while not self._ended.is_set():
                try:
                    await self._serve()
                    pause = 0.1
                except (OSError, RelayError) as error:
                    logger.info("no broker: %s", error)
                notify.status("waiting for the broker")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._ended.wait()
                pause = min(pause * 2, 5.0)
        finally:
            ticking.cancel()
            self._unload()

    # ---- the broker ----------------------------------------------------------------------

    async def _serve(self) -> None:
        closed = asyncio.Event()

        def gone(_: Link, reason: str) -> None:
            closed.set()
            self._more.set()

        link = Link(
            await self._dial(),
            "observer",
            "broker",
            notices={"observer_settings": self._changed},
            on_close=gone,
        )
        try:
            reply = await link.request("hello_observer", {"version": VERSION}, timeout=10)
            self._link = link
            self._apply(reply["settings"])
            last = False
            while not closed.is_set():
                if self._ended.is_set() and not last:
                    # Whatever it was about when it was told to end.
                    last = True
                    self._drain()
                    if self._collector is not None:
                        self._collector.flush()
                if last and not self._waiting:
                    break
                await self._hand_on(link)
        finally:
            self._link = None
            link.close()

    async def _hand_on(self, link: Link) -> None:
        if not self._waiting:
            self._more.clear()
            await self._more.wait()
            return
        batch = self._waiting[0]
        try:
            await link.request("observed", batch, timeout=ANSWER)
        except RelayError as error:
            if link.closed:
                return
            # Refused for good: what stays first in the queue would hold up the rest.
            logger.error("the broker refused a batch: %s", error.message)
            self._dropped += len(batch["execs"])
        self._waiting.popleft()

    def _changed(self, link: Link, body: Body) -> None:
        self._apply(body["settings"])

    def _say(self, state: str, reason: str = "", lost: int = 0) -> None:
        link = self._link
        if link is None or link.closed:
            return
        with contextlib.suppress(RelayError):
            link.notify("observing", {"state": state, "reason": reason[:1000], "lost": lost})

    # ---- the kernel ----------------------------------------------------------------------

    def _apply(self, settings: Body) -> None:
        self._settings = settings
        most = int(settings.get("evidence.observe_execs", 256))
        if settings.get("evidence.observe") != "exec":
            self._unload()
            self._say("off")
            notify.status("off (evidence.observe)")
            return
        if self._kernel is None and not self._load(most):
            return
        assert self._kernel is not None and self._collector is not None
        self._kernel.most(most)
        self._collector.most = most
        self._say("on", lost=0)
        notify.status("observing")

    def _load(self, most: int) -> bool:
        self._slice = cgroup_id(self._slice_path)
        try:
            kernel = Kernel(self._slice, most)
        except (BtfError, BpfError) as error:
            log = getattr(error, "log", "")
            reason = f"the kernel cannot observe: {error}"
            logger.error("%s", "\n".join(filter(None, (reason, log))))
            notify.status(reason)
            self._say("failed", reason)
            return False
        self._kernel = kernel
        self._untracked = 0
        self._collector = Collector(kernel, self._slice_path, most, self._deliver)
        self._seed()
        self._listen()
        return True

    def _listen(self) -> None:
        if self._kernel is not None:
            asyncio.get_running_loop().add_reader(self._kernel.ring.fd, self._woken)

    def _woken(self) -> None:
        assert self._kernel is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._kernel.ring.fd)
        self._gathering = loop.call_later(GATHER, self._gathered)

    def _gathered(self) -> None:
        self._drain()
        self._listen()

    def _seed(self) -> None:
        """Observe from now on what runs already; what it executed before is not known."""
        assert self._kernel is not None and self._collector is not None
        for group, unit, name, pids in groups_below(self._slice_path):
            if self._kernel.seed(group, unit, name, pids):
                self._collector.enter(group, unit, name)

    def _unload(self) -> None:
        if self._kernel is None:
            return
        asyncio.get_running_loop().remove_reader(self._kernel.ring.fd)
        if self._gathering is not None:
            self._gathering.cancel()
        self._drain()
        if self._collector is not None:
            self._collector.flush()
        self._kernel.close()
        self._kernel = self._collector = None

    def _drain(self) -> None:
        if self._kernel is None or self._collector is None:
            return
        for record in self._kernel.ring.read():
            self._collector.take(record)

    def _deliver(self, batch: Batch) -> None:
        if len(self._waiting) >= BACKLOG:
            self._dropped += len(batch["execs"])
            return
        self._waiting.append(batch)
        self._more.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            try:
                self._look()
            except Exception:
                logger.exception("a look at the kernel's tables failed")

    def _look(self) -> None:
        kernel, collector = self._kernel, self._collector
        if kernel is None or collector is None:
            if self._settings.get("evidence.observe") == "exec" and self._link is not None:
                # The kernel may be able to later: a module, a lifted lockdown, memory.
                self._retry()
            return
        ident = cgroup_id(self._slice_path)
        if ident != self._slice:
            # All agents end with their slice, so nothing of them is in the new one yet.
            self._slice = ident
            kernel.slice(ident)
            self._seed()
        self._drain()
        collector.tick()
        lost = kernel.untracked() - self._untracked + self._dropped
        if lost and self._link is not None:
            self._untracked = kernel.untracked()
            self._dropped = 0
            self._say("gap", "executions were not observed, or found no room", lost)

    def _retry(self) -> None:
        self._since_retry += 1
        if self._since_retry >= 60:
            self._since_retry = 0
            self._apply(self._settings)


def default_slice() -> str:
    """The slice of the workers' units in the unified hierarchy, also on a hybrid host."""
    root = "/sys/fs/cgroup"
    if not os.path.exists(f"{root}/cgroup.controllers"):
        root = f"{root}/unified"
    return f"{root}/relayshell.slice"
