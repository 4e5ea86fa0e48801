"""Preparation of calls: what is costly to find out of one, before anything is decided.

What is costly to judge is judged in a thread, one call of a principal at a time, so that no agent
holds up the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from ..policy.toolgroups import REACHING
from ..wire.errors import RelayError
from . import arguments
from .arguments import Arguments
from .idempotency import digest_of, key_of
from .judge import Judgement
from .precedents import Precedent
from .principals import Access
from .reach import Machines, meant, names_of, recorded
from .state import State
from .typed import Look, Typed
from .workers import Worker

Body = dict[str, Any]

LARGE_EACH, LARGE_ALL = 4, 32
"""Large calls in preparation at once, of one principal and in all; each may hold
`messages.ARGUMENTS`."""

UNRESOLVED = (
    "judged by the names in the arguments; what they stand for, jump hosts included, is judged "
    "when the call is made"
)

UNGRANTED = "server_info and tools/list show what is granted; an operator grants in access.toml"


class Prepared(NamedTuple):
    """A call with what was found of it."""

    arguments: Arguments
    judgement: Judgement
    reasons: list[str]
    hosts: list[str]
    """As the record names them; see `reach.recorded`."""
    reaches: tuple[str, ...]
    """Every name of every machine, and the hosts that the command names."""
    reason: str | None
    look: Look
    """The arguments as they were judged; see `Typed`."""
    access: Access
    key: str
    """Idempotency key, "" for none."""
    digest: str
    """Of the arguments without the key, where there is one."""


class _Queue:
    """The calls of one principal that want the thread."""

    __slots__ = ("large", "turn", "users")

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.users = self.large = 0


Run = Callable[..., Awaitable[Any]]


class Preparation:
    """Judges calls."""

    def __init__(self, state: State, typed: Typed) -> None:
        self._state = state
        self._typed = typed
        # What is costly to judge leaves the loop to the others.
        self._pool = ThreadPoolExecutor(1, "relay-admission")
        self._queues: dict[str, _Queue] = {}
        self._large = 0

    def close(self) -> None:
        """Stop the thread; what it prepares is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def prepare(self, worker: Worker, body: Body, machines: Machines) -> Prepared:
        """Judge a call, in the thread where that is costly; nothing is taken yet.

        Args:
            machines: what the call reaches, by all names.

        Raises:
            RelayError: kind Busy.
        """
        waiting = self._typed.waiting(worker.id, body["tool"], body["args"])
        waiting += sum(len(name) for names in machines for name in names)
        if waiting + arguments.cost(body["args"], arguments.LIGHT) <= arguments.LIGHT:
            return self._judge(worker, body, machines)
        large = arguments.cost(body["args"], arguments.LARGE) > arguments.LARGE
        async with self.thread(worker.principal, large) as run:
            for _ in range(4):
                prepared: Prepared = await run(self._judge, worker, body, machines)
                # What another call typed meanwhile would complete another line.
                if self._typed.stands(prepared.look):
                    return prepared
            raise RelayError("Busy", reason="the session is being typed into")

    @asynccontextmanager
    async def thread(self, principal: str, large: bool) -> AsyncIterator[Run]:
        """The thread, for one call of a principal at a time: no agent fills its queue."""
        queue = self._queues.setdefault(principal, _Queue())
        if large and (queue.large >= LARGE_EACH or self._large >= LARGE_ALL):
            raise RelayError("Busy", reason="too many large calls at once")
        queue.users += 1
        queue.large += large
        self._large += large
        loop = asyncio.get_running_loop()
        try:
            async with queue.turn:
                yield partial(loop.run_in_executor, self._pool)
        finally:
            queue.users -= 1
            queue.large -= large
            self._large -= large
            if not queue.users:
                self._queues.pop(principal, None)

    async def explain(
        self, worker: Worker, tool: str, args: Body, machines: Machines, shell: str
    ) -> Judgement:
        """The judgement on a call that is not made.

        Args:
            machines: what it would reach; of a tool that reaches some and comes without, it is
                those that its arguments name.
            shell: what reads its text there, "" if not known.
        """
        access = self._state.access_of(worker)
        unresolved = tool in REACHING and not machines
        if unresolved:
            machines = meant(args)
        size = sum(len(name) for names in machines for name in names)
        if size + arguments.cost(args, arguments.LIGHT) <= arguments.LIGHT:
            found = self._decided(tool, args, access, machines, shell)
        else:
            async with self.thread(worker.principal, large=False) as run:
                found = await run(self._decided, tool, args, access, machines, shell)
        return found._replace(reasons=(*found.reasons, UNRESOLVED)) if unresolved else found

    def _decided(
        self,
        tool: str,
        args: Mapping[str, Any],
        access: Access,
        machines: Machines,
        shell: str = "",
    ) -> Judgement:
        judgement = self._state.judge.decide(tool, args, access, names_of(machines), shell)
        refusal = access.refuses(tool, machines, judgement.hosts) if judgement.allowed else ""
        if not refusal:
            return judgement
        return judgement._replace(
            allowed=False, enforcement="none", reasons=(refusal,), hint=UNGRANTED
        )

    def _found(
        self,
        worker: Worker,
        body: Body,
        described: Arguments,
        look: Look,
        access: Access,
        machines: Machines,
    ) -> Precedent:
        """The judgement on a call; a precedent where nothing but the call itself decides."""
        judge, tool, args = self._state.judge, body["tool"], body["args"]
        shell = body.get("shell", "")
        alone = look.args is args and not machines and not shell
        if alone:
            found = judge.precedents.find(worker.principal, tool, described, access)
            if found is not None:
                return found
        judgement = self._decided(tool, look.args, access, machines, shell)
        found = Precedent(access, judgement, judge.told(judgement.reasons))
        if alone and described.shown == args:
            # No secret was found in it.
            judge.precedents.keep(worker.principal, tool, described, found)
        return found

    def _judge(self, worker: Worker, body: Body, machines: Machines) -> Prepared:
        state = self._state
        judge, limit = state.judge, state.settings["evidence.args_bytes"]
        look = self._typed.look(worker.id, body["tool"], body["args"])
        access = state.access_of(worker, body["conn"])
        described = arguments.describe(body["args"], judge.redact, limit)
        found = self._found(worker, body, described, look, access, machines)
        judgement = found.judgement
        reason = body.get("reason")
        key = key_of(body["args"]) if state.settings["limits.replay"] else ""
        return Prepared(
            described,
            judgement,
            found.reasons,
            recorded(machines, judgement.hosts, judge.redact),
            (*names_of(machines), *judgement.hosts),
            str(judge.redact(reason)) if reason else None,
            look,
            access,
            key,
            digest_of(body["args"]) if key else "",
        )
