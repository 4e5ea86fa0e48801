"""What the observer tells: executions, joined here to the calls whose processes they were of.

The observer knows cgroups; whose they are is known here alone. A group counts as a call's only in
the unit of that call's worker, so that no worker can have its executions taken for another's.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from typing import Any

from ..wire.errors import RelayError
from ..wire.link import Link, RequestHandler
from ..wire.messages import VERSION
from .arguments import LIGHT, TAIL
from .state import State

Body = dict[str, Any]

ABSENT = 15.0
"""Seconds after the broker's start within which an observer says hello."""

STATES = frozenset({"on", "off", "failed"})

_WHO = ("call_id", "conn", "principal", "pid", "unit", "posture", "worker", "tool")
_NUMBERS = ("n", "pid", "ppid", "uid", "euid", "cut")
_FLAGS = ("moved", "unreadable")


class ObserverDesk:
    """Handlers of the observer's messages."""

    def __init__(self, state: State, *, local: bool = False) -> None:
        self._state = state
        self._local = local
        self._link: Link | None = None
        self.requests: dict[str, RequestHandler] = {
            "hello_observer": self.hello,
            "observed": self.observed,
        }
        self.notices = {"observing": self.observing}

    def expect(self) -> None:
        """Look at the settings: is an observer wanted, and is there one after a while?"""
        observation = self._state.observation
        # Where no service manager started us, there is no observer either.
        served = self._state.accounts.check_units and not self._local
        wanted = served and self._state.settings["evidence.observe"] == "exec"
        if wanted and not observation.wanted:
            asyncio.get_running_loop().call_later(ABSENT, self._missed)
        observation.wanted = wanted

    def _missed(self) -> None:
        observation = self._state.observation
        if observation.wanted and self._link is None and not self._state.closing:
            self._note("absent", "relay-shell-observer.service has not said hello")

    def hello(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Greet; a newer link of the observer takes the place of an older one."""
        if body["version"] != VERSION:
            raise RelayError("VersionMismatch", theirs=body["version"], ours=VERSION)
        stale, self._link = self._link, link
        if stale is not None:
            stale.close("replaced by a newer link of the observer")
        state = self._state
        return {"instance": state.instance, "settings": state.settings.subset("observer")}

    def tell(self) -> None:
        """Hand on settings that a reload changed."""
        self.expect()
        if self._link is not None and self._link.greeted:
            settings = self._state.settings.subset("observer")
            self._link.notify("observer_settings", {"settings": settings})

    def lost(self, link: Link) -> None:
        """The observer's link ended."""
        if link is self._link:
            self._link = None
            if not self._state.closing and self._state.observation.set("absent", "its link ended"):
                self._note("lost", "its link ended")

    def observing(self, link: Link, body: Body) -> None:
        """Record that it observes, that it cannot, or that it missed something."""
        observation = self._state.observation
        state, reason, lost = body["state"], body["reason"], body["lost"]
        if link is not self._link:
            return
        if state == "gap":
            observation.gap(lost)
            self._note("gap", reason, lost)
        elif state in STATES and observation.set(state, reason):
            self._note(state, reason)

    def _note(self, what: str, reason: str, lost: int = 0) -> None:
        self._state.floods.record(
            "observer",
            event="observer",
            what=what,
            detail=reason or None,
            facts={"lost": lost} if lost else None,
        )
        self._state.changed()

    async def observed(self, link: Link, body: Body, fds: list[int]) -> Body:
        """Record what the processes of a call or session executed."""
        state = self._state
        rows = [row for row in body["execs"] if isinstance(row, dict)]
        who = self._who(body["unit"], body["group"])
        told = {name: body[name] for name in ("total", "recorded", "processes", "ended")}
        if body["lost"]:
            told["lost"] = body["lost"]
        if body.get("late"):
            # It ran before the observer did.
            told["late"] = True
        execs = await self._shown(rows)
        state.trail.note(event="exec", **who, execs=execs, facts=told)
        return {}

    def _who(self, unit: str, group: str) -> Body:
        """Whose a group is, as far as the unit bears it out."""
        state = self._state
        kind, _, ident = group.partition("-")
        if kind == "call":
            call = state.calls.known(ident)
            if call is not None and call.facts.get("unit") == unit:
                return _identity(call.facts)
        worker = next((row for row in state.workers if row.unit == unit), None)
        worker = worker or state.workers.recent(unit)
        if worker is None:
            return {"unit": unit, "what": "unknown", "detail": group}
        facts = {"principal": worker.principal, **worker.facts()}
        if kind == "session" and ident.rpartition(".")[2] == worker.id:
            return {
                **facts,
                "call_id": state.observation.call_of(ident),
                "what": "session",
                "detail": ident,
            }
        return {**facts, "what": "unknown", "detail": group}

    async def _shown(self, rows: list[Body]) -> list[Body]:
        """The executions as they are recorded: commands redacted, then bounded."""
        texts = [_text(row) for row in rows]
        redact = self._state.judge.redact

        def one_by_one() -> list[str]:
            # What one command says must not decide what is hidden of the next.
            return [str(redact(text)) for text in texts]

        light = sum(map(len, texts)) <= LIGHT
        redacted = one_by_one() if light else await asyncio.to_thread(one_by_one)
        limit = self._state.settings["evidence.args_bytes"]
        return [_row(row, text, limit) for row, text in zip(rows, redacted, strict=True)]


def _identity(facts: Mapping[str, Any]) -> Body:
    return {name: facts[name] for name in _WHO if name in facts}


def _text(row: Body) -> str:
    """The arguments as one shell command: what redaction knows best, and a reader too."""
    argv = row.get("argv")
    if not isinstance(argv, list):
        return ""
    return shlex.join([word for word in argv if isinstance(word, str)])


def _row(row: Body, text: str, limit: int) -> Body:
    shown: Body = {"at": str(row.get("at", ""))[:40]}
    for name in _NUMBERS:
        value = row.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            shown[name] = value
    shown["path"] = str(row.get("path", ""))[:512]
    if "cut" in shown:
        # A secret that the cut split looks like none.
        text = text[: max(0, len(text) - TAIL)] + "…"
    if len(text.encode("utf-8", "surrogatepass")) > limit:
        text = text.encode("utf-8", "replace")[: limit - 3].decode("utf-8", "ignore") + "…"
    shown["command"] = text
    for name in _FLAGS:
        if row.get(name) is True:
            shown[name] = True
    return shown
