"""tools/call: from the request to the worker that runs it, and back to a result."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from ..tools.base import Tool
from ..tools.text import error_facts, error_text, join
from ..wire.errors import RelayError
from .session import Exchange, where
from .workers import Worker

if TYPE_CHECKING:
    from .client import Client

logger = logging.getLogger(__name__)

Json = dict[str, Any]

PROGRESS_INTERVAL = 0.1
"""Seconds between two progress notifications of a call."""

REPLAYED = "[REPLAYED: the answer of the first call with this key; nothing was run again]"

_SHORT = 256


class Progress:
    """A call's progress notifications: strictly increasing, at most one an interval.

    What comes faster replaces what waits, so that the last lines are always shown in the end.
    """

    def __init__(self, exchange: Exchange, interval: float = PROGRESS_INTERVAL) -> None:
        self._exchange = exchange
        self._interval = interval
        self._sent = -1.0
        self._at = -interval
        self._waiting: tuple[float, str] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, value: float, message: str) -> None:
        if self._waiting is None and value <= self._sent:
            return
        if self._waiting is not None and value < self._waiting[0]:
            return
        self._waiting = (value, message)
        if self._timer is None:
            left = self._at + self._interval - time.monotonic()
            if left <= 0:
                self._send()
            else:
                self._timer = asyncio.get_running_loop().call_later(left, self._send)

    def _send(self) -> None:
        self._timer = None
        if self._waiting is not None:
            value, message = self._waiting
            self._waiting = None
            self._sent, self._at = value, time.monotonic()
            self._exchange.report(value, message)

    def close(self) -> None:
        """Nothing more is sent: the call has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting = None


async def call_tool(client: Client, exchange: Exchange, name: str, args: Json) -> Json:
    """Serve one tools/call and return the CallToolResult as a mapping.

    Raises:
        MCPError: -32602 for a tool that is not there; every other failure is a result.
    """
    catalogue = client.catalogue
    tool = catalogue.find(name, client.tools)
    if tool is None and client.admitted.is_set():
        what = "tool not granted" if catalogue.exists(name) else "unknown tool"
        await _record(client, what, name, what, args)
        error = RelayError("UnknownTool", tool=name[:_SHORT])
        raise MCPError(
            code=INVALID_PARAMS,
            message=f"{error.kind}: {error.message}",
            data={"kind": error.kind, "nextStep": error.next_step},
        )
    try:
        # Without the broker's word on this connection there are no groups, and nothing may run.
        await client.ready()
        if tool is None:
            return await call_tool(client, exchange, name, args)
        sent, args = args, catalogue.given(tool, args)
        fault = catalogue.fault(tool, args)
        if fault is not None:
            await client.reject("invalid arguments", name, fault, sent)
            raise RelayError("InvalidArguments", reason=fault)
        facts, is_error = await _run(client, exchange, tool, args)
    except RelayError as error:
        return failure(error)
    return shape(tool, facts, is_error)


async def _record(client: Client, what: str, tool: str, detail: str, args: Json) -> None:
    # The answer to an unknown tool is the same with and without a broker: nothing could run.
    with contextlib.suppress(RelayError):
        await client.reject(what, tool, detail, args)


async def _run(client: Client, exchange: Exchange, tool: Tool, args: Json) -> tuple[Json, bool]:
    worker = await _route(client, tool, args)
    if tool.route.kind != "gather":
        return await _call(client, exchange, worker, tool.name, args)
    others = [w for w in client.pool.of(client.principal) if w is not worker]
    answers = await asyncio.gather(
        _call(client, exchange, worker, tool.name, args),
        *(_call(client, None, other, tool.name, args) for other in others),
        return_exceptions=True,
    )
    if isinstance(answers[0], BaseException):
        raise answers[0]
    facts, is_error = answers[0]
    for answer in answers[1:]:
        # A worker that has just ended has nothing to list.
        if not isinstance(answer, BaseException) and not answer[1]:
            facts.setdefault(tool.route.name, []).extend(answer[0].get(tool.route.name, []))
    return facts, is_error


async def _route(client: Client, tool: Tool, args: Json) -> Worker:
    """The worker that holds the handle, else the connection's own, which answers NotFound."""
    if tool.route.kind == "handle":
        holder = client.pool.holder(client.principal, args.get(tool.route.name))
        if holder is not None and holder.parked and client.pool.serving(client.conn) is None:
            # It needs a worker anyhow, and one that serves a connection does not end under a call.
            await client.pool.obtain(client, holder)
        if holder is not None and holder.alive:
            return holder
    return await client.pool.obtain(client)


async def _call(
    client: Client, exchange: Exchange | None, worker: Worker, tool: str, args: Json
) -> tuple[Json, bool]:
    body: Json = {
        "call": "k-" + secrets.token_hex(8),
        "conn": client.conn,
        "tool": tool,
        "args": args,
        "progress": exchange is not None and exchange.token is not None,
    }
    if exchange is not None:
        body["request_id"] = str(exchange.ident)[:_SHORT]
    progress = Progress(exchange) if exchange is not None and body["progress"] else None
    try:
        reply = await worker.call(body, progress)
    finally:
        if progress is not None:
            progress.close()
    return reply["result"], reply["is_error"]


def shape(tool: Tool, facts: Json, is_error: bool) -> Json:
    """A CallToolResult with the facts as structure and as text."""
    try:
        text = tool.render(facts)
    except Exception as error:
        logger.error("%s: cannot render the result: %s", tool.name, where(error))
        text = json.dumps(facts, ensure_ascii=False)
    if facts.get("replayed"):
        text = join((text, REPLAYED))
    return _result(text, facts, is_error)


def failure(error: RelayError) -> Json:
    """A CallToolResult for a call that did not run, or whose end is unknown."""
    facts = error_facts(error)
    return _result(error_text(facts), facts, True)


def _result(text: str, facts: Mapping[str, Any], is_error: bool) -> Json:
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": facts,
        "isError": is_error,
        "resultType": "complete",
    }
