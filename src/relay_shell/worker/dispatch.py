"""The way of every call: begin, verdict, handler, end. Nothing else runs a handler."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..tools.base import Outcome, Result, Tool
from ..tools.registry import TOOLS
from ..tools.services import Services
from ..tools.text import error_facts
from ..wire.errors import RelayError
from .broker import BrokerLink
from .results import Results

logger = logging.getLogger(__name__)

Body = dict[str, Any]

PROGRESS = 0.5
"""Seconds between two progress notices of one call."""

HEARTBEAT = 5.0
"""Seconds after which a silent call says that it is alive."""

MESSAGE = 1000

BEGINNING, RUNNING, ENDING = range(3)


class LiveCall:
    """One call from its arrival to its answer (`tools.base.Call`)."""

    def __init__(self, body: Body, services: Services, say: Callable[[Body], None] | None) -> None:
        self.id: str = body["call"]
        self.conn: str = body["conn"]
        self.tool: str = body["tool"]
        self.tier = 0
        self.enforcement = "none"
        self.listening = say is not None
        self.partial: Any = None
        self.reached: Any = None
        self.remote: list[Body] = []
        self.services = services
        self.phase = BEGINNING
        self.ended_by: tuple[str, str] | None = None
        """(status, reason) once somebody wanted it ended: cancelled or killed."""
        self._say = say
        self._task = asyncio.current_task()
        self._began = self._said = time.monotonic()
        self._beat: asyncio.TimerHandle | None = None
        if say is not None:
            self._alive()

    def progress(self, message: str) -> None:
        """Tell the client; an empty message is a heartbeat."""
        now = time.monotonic()
        if self._say is None or now - self._said < (PROGRESS if message else HEARTBEAT):
            return
        self._said = now
        elapsed = round(now - self._began, 1)
        clean = "".join(c if c >= " " or c == "\n" else " " for c in message)[-MESSAGE:]
        self._say(
            {
                "call": self.id,
                "progress": elapsed,
                "message": clean.strip() or f"running for {elapsed:.0f} s",
            }
        )

    def _alive(self) -> None:
        self.progress("")
        self._beat = asyncio.get_running_loop().call_later(HEARTBEAT, self._alive)

    def close(self) -> None:
        """Say no more."""
        if self._beat is not None:
            self._beat.cancel()
        self._say = None

    def end(self, status: str, reason: str) -> None:
        """Have the call ended; before its verdict nothing will run, at its end nothing changes."""
        if self.ended_by is None and self.phase != ENDING:
            self.ended_by = (status, reason)
            if self.phase == RUNNING and self._task is not None:
                self._task.cancel()


class Dispatch:
    """Serves `call` requests.

    Args:
        services: what handlers get.
        settings: limits.calls is read at each call.
        say: sends a progress notice.
        changed: called when a call begins or ends.
        released: called when a result that was kept for a repetition is let go.
    """

    def __init__(
        self,
        broker: BrokerLink,
        services: Services,
        settings: Mapping[str, Any],
        say: Callable[[Body], None],
        changed: Callable[[], None],
        tools: Mapping[str, Tool] = TOOLS,
        released: Callable[[], None] = lambda: None,
    ) -> None:
        self._broker = broker
        self._services = services
        self._settings = settings
        self._say = say
        self._changed = changed
        self._tools = tools
        self._refusing: str | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.live: dict[str, LiveCall] = {}
        self.results = Results(lambda: float(settings.get("limits.replay", 0)), released)

    async def call(self, body: Body) -> Body:
        """Serve one call; every failure is a result."""
        if body["call"] in self.live:
            return _failed(RelayError("Protocol", reason="this call is already running"))
        tool = self._tools.get(body["tool"])
        if tool is None:
            return _failed(RelayError("UnknownTool", tool=body["tool"][:256]))
        if self._refusing is not None:
            return _failed(RelayError("Cancelled", reason=self._refusing))
        most = self._settings.get("limits.calls", 32)
        if len(self.live) >= most:
            return _failed(RelayError("Busy", reason=f"{most} calls are running (limits.calls)"))
        live = LiveCall(body, self._services, self._say if body["progress"] else None)
        self.live[live.id] = live
        self._idle.clear()
        self._changed()
        try:
            return await self._serve(live, tool, body)
        finally:
            live.close()
            del self.live[live.id]
            if not self.live:
                self._idle.set()
            self._changed()

    def cancel(self, call: str, status: str, reason: str) -> None:
        """End one call."""
        live = self.live.get(call)
        if live is not None:
            live.end(status, reason)

    def cancel_conn(self, conn: str | None, status: str, reason: str) -> None:
        """End the calls of a connection, or all."""
        for live in list(self.live.values()):
            if conn is None or live.conn == conn:
                live.end(status, reason)

    def refuse(self, reason: str) -> None:
        """Take no more calls."""
        self._refusing = reason

    async def idle(self) -> None:
        """Return when no call is left."""
        await self._idle.wait()

    def running(self) -> list[str]:
        """Calls that have their verdict and whose end is not recorded."""
        return [call.id for call in self.live.values() if call.phase != BEGINNING]

    async def _serve(self, live: LiveCall, tool: Tool, body: Body) -> Body:
        asked = {key: body[key] for key in ("call", "conn", "tool", "args")}
        if "request_id" in body:
            asked["request_id"] = body["request_id"]
        if tool.reach is not None:
            try:
                live.reached = await tool.reach(self._services, body["args"])
                asked["hosts"] = live.reached.names()
                if live.reached.shell:
                    asked["shell"] = live.reached.shell
            except Exception as error:
                logger.exception("%s %s failed", tool.name, live.id)
                return _failed(RelayError("Internal", reason=type(error).__name__))
        try:
            verdict = await self._broker.request("begin", asked)
        except RelayError as error:
            return _failed(error)
        if verdict["decision"] == "replay" and "replay" in verdict:
            return self.results.answer(tool, verdict["replay"])
        live.tier = verdict["tier"]
        if verdict["decision"] != "allow":
            return _denied(verdict)
        live.enforcement = verdict["enforcement"]
        live.phase = RUNNING
        began = time.monotonic()
        result = await self._handle(live, tool, body["args"])
        live.phase = ENDING
        outcome = result.outcome
        end = {
            "call": live.id,
            "duration_ms": round((time.monotonic() - began) * 1000),
            **outcome.as_wire(),
        }
        if live.remote:
            end["remote"] = live.remote
        if not await self._broker.end(end):
            result.facts["record"] = "its outcome is not recorded yet: the broker is away"
        self.results.keep(live.id, body["args"], result.facts, result.is_error)
        return {"result": result.facts, "is_error": result.is_error}

    async def _handle(self, live: LiveCall, tool: Tool, args: Mapping[str, Any]) -> Result:
        if live.ended_by is not None:
            return _ended(live)
        try:
            return await tool.handler(live, args)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if live.ended_by is None or task is None:
                raise
            task.uncancel()
            return _ended(live)
        except RelayError as error:
            return _error(error)
        except Exception as error:
            logger.exception("%s %s failed", tool.name, live.id)
            return _error(RelayError("Internal", reason=type(error).__name__))


def _failed(error: RelayError) -> Body:
    return {"result": error_facts(error), "is_error": True}


def _denied(verdict: Body) -> Body:
    reasons = "; ".join(str(reason) for reason in verdict["reasons"]) or "not allowed"
    error = RelayError("Denied", reason=reasons[:2000])
    if verdict["hint"]:
        error.next_step = verdict["hint"]
    return {"result": error_facts(error, verdict["tier"]), "is_error": True}


def _error(error: RelayError) -> Result:
    outcome = Outcome("error", error=f"{error.kind}: {error.message}"[:4000])
    return Result(error_facts(error), True, outcome)


def _ended(live: LiveCall) -> Result:
    assert live.ended_by is not None
    status, reason = live.ended_by
    outcome = Outcome(status, error=reason[:4000])
    done = live.partial
    if done is not None:
        outcome.sha256, outcome.bytes = done.sha256, done.bytes
        outcome.truncated, outcome.survivors = done.truncated, done.survivors
        outcome.used = done.used.facts()
        outcome.exit, outcome.signal = done.exit, done.signal
    return Result(error_facts(RelayError("Cancelled", reason=reason)), True, outcome)
