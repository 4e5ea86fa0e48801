"""What a tool is: one declaration from which lists, checks, docs and dispatch all follow.

The front reads a tool's name, schemas, annotations, route and `render`; the worker runs its
`handler`. A tool module imports neither side's machinery: whatever runs things arrives in the
`Call`, so that importing the registry stays cheap and safe in the front.

The rows are NamedTuples, not dataclasses: a worker imports them at every start, and a frozen
dataclass costs ten times as much to create.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from .services import Services

Json = dict[str, Any]


class Annotations(NamedTuple):
    """Hints to the client (MCP ToolAnnotations); each must be true of what is enforced."""

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool


class Route(NamedTuple):
    """Which of a principal's workers serves a call.

    `own`: the connection's worker. `handle`: the worker that made the handle in argument `name`
    (its text after the last '.' is the worker's id). `gather`: every worker of the principal;
    the arrays in result field `name` are joined.
    """

    kind: str = "own"
    name: str = ""


class Outcome:
    """What the worker reports to the broker when a call ends (the `end` message).

    `status` is ok, error, timeout, cancelled or killed; `bytes` and `sha256` speak of the true
    whole of the output, `truncated` of what the client was shown; `survivors` counts processes
    that could not be ended; `used` is what the processes used, by the names of the record;
    `session` is the one that the call opened.
    """

    __slots__ = (
        "bytes",
        "error",
        "exit",
        "session",
        "sha256",
        "signal",
        "status",
        "survivors",
        "truncated",
        "used",
    )

    def __init__(
        self,
        status: str = "ok",
        *,
        exit: int | None = None,
        signal: str | None = None,
        sha256: str | None = None,
        bytes: int | None = None,
        truncated: bool | None = None,
        survivors: int | None = None,
        error: str | None = None,
        used: Mapping[str, int | str] | None = None,
        session: str | None = None,
    ) -> None:
        self.status = status
        self.exit = exit
        self.signal = signal
        self.sha256 = sha256
        self.bytes = bytes
        self.truncated = truncated
        self.survivors = survivors
        self.error = error
        self.used = used or {}
        self.session = session

    def as_wire(self) -> Json:
        """The fields that are known, by the names of the `end` message."""
        values = ((name, getattr(self, name)) for name in self.__slots__ if name != "used")
        return {name: value for name, value in values if value is not None} | dict(self.used)


class Result:
    """A handler's answer: facts that fit the tool's output schema, and what the record says."""

    __slots__ = ("facts", "is_error", "outcome")

    def __init__(self, facts: Json, is_error: bool = False, outcome: Outcome | None = None) -> None:
        self.facts = facts
        self.is_error = is_error
        self.outcome = Outcome() if outcome is None else outcome


class Call(Protocol):
    """One call as a handler sees it."""

    id: str
    conn: str
    tool: str
    tier: int
    enforcement: str
    """none | readonly: how the broker's verdict says that commands must run."""
    listening: bool
    """Whether the client asked for progress."""
    partial: Any
    """What a cancelled run had produced (relay_shell.shell.completed.Completed), for the record."""
    services: Services
    reached: Any
    """The machines that the call was decided for (relay_shell.ssh.reach.Reached)."""
    remote: list[Json]
    """What the record says of each other machine on which something was to run, in the form of the
    `end` message; a handler adds a row as soon as it is known."""

    def progress(self, message: str) -> None:
        """Tell the client that the call is alive; rate-limited and dropped if nobody listens."""


Handler = Callable[[Call, Mapping[str, Any]], Awaitable[Result]]
Render = Callable[[Json], str]
Reach = Callable[["Services", Mapping[str, Any]], Awaitable[Any]]


class Tool(NamedTuple):
    """One row of the registry."""

    name: str
    title: str
    group: str
    """shell | session | output | ssh | server: what tools.disabled switches off."""
    description: str
    input_schema: Json
    output_schema: Json
    annotations: Annotations
    handler: Handler
    render: Render
    """Facts to the text block of the result (the text grammar, `tools.text`); takes errors too."""
    route: Route = Route()
    reach: Reach | None = None
    """Finds out which other machines a call reaches, before it is decided on; None for no other."""


def arguments(required: tuple[str, ...] = (), /, **properties: Json) -> Json:
    """A closed JSON Schema object (2020-12): unknown arguments are errors, never ignored.

    No oneOf or anyOf at the top: several model APIs refuse a tool whose schema has one.
    """
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
            "retry_after": {"type": "integer"},
        },
        "required": ["kind", "message", "next_step"],
    }
    return {
        "type": "object",
        "properties": {**properties, "replayed": {"type": "boolean"}, "error": error},
        "anyOf": [{"required": list(required)}, {"required": ["error"]}],
    }
