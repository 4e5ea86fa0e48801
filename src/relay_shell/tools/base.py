"""What a tool is: one declaration from which lists, checks, docs and dispatch all follow.

The front reads a tool's name, schemas, annotations, route and `render`; the worker runs its
`handler`. A tool module imports neither side's machinery: whatever runs things arrives in the
`Call`, so that importing the registry stays cheap and safe in the front.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .services import Services

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Annotations:
    """Hints to the client (MCP ToolAnnotations); each must be true of what is enforced."""

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool


@dataclass(frozen=True, slots=True)
class Route:
    """Which of a principal's workers serves a call.

    `own`: the connection's worker. `handle`: the worker that made the handle in argument `name`
    (its text after the last '.' is the worker's id). `gather`: every worker of the principal;
    the arrays in result field `name` are joined.
    """

    kind: str = "own"
    name: str = ""


@dataclass(slots=True)
class Outcome:
    """What the worker reports to the broker when a call ends (the `end` message)."""

    status: str = "ok"
    """ok | error | timeout | cancelled | killed"""
    exit: int | None = None
    signal: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    truncated: bool | None = None
    cpu_ms: int | None = None
    mem_peak: int | None = None
    survivors: int | None = None
    error: str | None = None


@dataclass(slots=True)
class Result:
    """A handler's answer: facts that fit the tool's output schema, and what the record says."""

    facts: Json
    is_error: bool = False
    outcome: Outcome = field(default_factory=Outcome)


class Call(Protocol):
    """One call as a handler sees it."""

    id: str
    tool: str
    tier: int
    enforcement: str
    """none | readonly: how the broker's verdict says that commands must run."""
    services: Services

    def progress(self, message: str) -> None:
        """Tell the client that the call is alive; rate-limited and dropped if nobody listens."""


Handler = Callable[[Call, Mapping[str, Any]], Awaitable[Result]]
Render = Callable[[Json], str]


@dataclass(frozen=True, slots=True)
class Tool:
    """One row of the registry."""

    name: str
    title: str
    group: str
    description: str
    input_schema: Json
    output_schema: Json
    annotations: Annotations
    handler: Handler
    render: Render
    """Facts to the text block of the result (design section 6, the text grammar)."""
    route: Route = Route()


def arguments(required: tuple[str, ...] = (), /, **properties: Json) -> Json:
    """A closed JSON Schema object (2020-12): unknown arguments are errors, never ignored."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def facts(required: tuple[str, ...] = (), /, **properties: Json) -> Json:
    """An output schema: an error result carries `error` in place of the required facts."""
    error = {
        "type": "object",
        "properties": {
            "kind": {"type": "string"},
            "message": {"type": "string"},
            "next_step": {"type": "string"},
            "tier": {"type": "integer"},
        },
        "required": ["kind", "message", "next_step"],
    }
    return {
        "type": "object",
        "properties": {**properties, "error": error},
        "anyOf": [{"required": list(required)}, {"required": ["error"]}],
    }
