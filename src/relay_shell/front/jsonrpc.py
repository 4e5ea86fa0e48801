"""JSON-RPC 2.0 messages as MCP allows them: one object a line, object parameters, no batches."""

from __future__ import annotations

import hashlib
import math
from typing import Any, NamedTuple

import pydantic_core
from mcp_types import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR

RequestId = int | str
Json = dict[str, Any]

MAX_VALUES = 100_000
"""Values in one message: a Python object costs up to 30 times the octets that denote it."""

MAX_DEPTH = 48
"""Nesting of a message, well inside what frames between our processes may have."""

MAX_ID = 4096
"""Characters of a request's id, which every message about it repeats."""


class Malformed(Exception):
    """A line that is no message. `ident` is the id to answer, None where there is none."""

    def __init__(self, code: int, message: str, ident: RequestId | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.ident = ident


class Message(NamedTuple):
    """A request (with `ident`) or a notification (`ident` is None)."""

    method: str
    params: Json | None
    ident: RequestId | None


def parse(line: bytes) -> Message | None:
    """Read one line; None for a response, which nobody here waits for.

    Raises:
        Malformed: with the JSON-RPC error code that answers it.
    """
    try:
        body = pydantic_core.from_json(line, allow_inf_nan=False)
    except ValueError:
        raise Malformed(PARSE_ERROR, "Parse error: the line is not JSON") from None
    if isinstance(body, list):
        raise Malformed(INVALID_REQUEST, "Invalid request: batches are not supported")
    if not isinstance(body, dict):
        raise Malformed(INVALID_REQUEST, "Invalid request: not an object")
    ident = body.get("id")
    known = ident if is_id(ident) else None
    _bound(body, known)
    if body.get("jsonrpc") != "2.0":
        raise Malformed(INVALID_REQUEST, 'Invalid request: "jsonrpc" is not "2.0"', known)
    method = body.get("method")
    if method is None and ("result" in body or "error" in body):
        return None
    if not isinstance(method, str):
        raise Malformed(INVALID_REQUEST, 'Invalid request: "method" is not a string', known)
    if "id" in body and known is None:
        raise Malformed(INVALID_REQUEST, 'Invalid request: "id" is no string or integer')
    params = body.get("params")
    if params is not None and not isinstance(params, dict):
        raise Malformed(INVALID_PARAMS, 'Invalid params: "params" is not an object', known)
    return Message(method, params, known)


def is_id(value: object) -> bool:
    """Whether MCP takes the value as an id: a string or an integer, never null."""
    if isinstance(value, str):
        return len(value) <= MAX_ID
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _bound(body: Json, ident: RequestId | None) -> None:
    values = 0
    level: list[object] = [body]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, float) and not math.isfinite(value):
                # Decoders disagree on what 1e999 is; none of them may see it.
                raise Malformed(PARSE_ERROR, "Parse error: a number is out of range", ident)
        values += len(level)
        if values + len(below) > MAX_VALUES:
            raise Malformed(INVALID_REQUEST, f"Invalid request: over {MAX_VALUES} values", ident)
        if not below:
            return
        level = below
    raise Malformed(INVALID_REQUEST, f"Invalid request: deeper than {MAX_DEPTH}", ident)


def encode(message: Json) -> bytes:
    """One line, newline included; text that is no valid Unicode is made so."""
    try:
        return pydantic_core.to_json(message, inf_nan_mode="null") + b"\n"
    except pydantic_core.PydanticSerializationError:
        return pydantic_core.to_json(_scrub(message), inf_nan_mode="null") + b"\n"


def digest(data: bytes) -> str:
    """SHA-256, for the record of what was refused."""
    return hashlib.sha256(data).hexdigest()


def _scrub(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_scrub(key): _scrub(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    return value


def result(ident: RequestId, body: Json) -> bytes:
    """The line that answers a request."""
    return encode({"jsonrpc": "2.0", "id": ident, "result": body})


def error(ident: RequestId | None, code: int, message: str, data: Any = None) -> bytes:
    """The line that refuses a request, or a line that is none (id null)."""
    fault: Json = {"code": code, "message": message}
    if data is not None:
        fault["data"] = data
    return encode({"jsonrpc": "2.0", "id": ident, "error": fault})


def notification(method: str, params: Json | None) -> bytes:
    """The line of a notification."""
    body: Json = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        body["params"] = params
    return encode(body)
