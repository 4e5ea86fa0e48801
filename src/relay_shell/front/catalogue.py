"""The tools as the protocol shows them, and the check of a call's arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from mcp_types import ListToolsResult, ToolAnnotations
from mcp_types import Tool as McpTool

from ..tools.base import Tool
from .accept import compile_schema

Json = dict[str, Any]

ALL = "*"
"""In what a connection was granted: every tool there is."""

LISTS = 256
"""Different lists kept rendered."""

FAULTS = 3
"""Faults that one answer names, so that a caller need not find them one by one."""

REASON = 300
"""Characters of a validator's message that are worth reading; it quotes the argument."""


class Catalogue:
    """The registry with validators compiled once and lists rendered once a set of tools."""

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self._tools = dict(tools)
        self.all = frozenset(self._tools)
        self._validators = {}
        self._accepts = {}
        self._optional = {}
        self._shown = {}
        for name, tool in self._tools.items():
            Draft202012Validator.check_schema(tool.input_schema)
            self._validators[name] = Draft202012Validator(tool.input_schema)
            self._accepts[name] = compile_schema(tool.input_schema)
            required = tool.input_schema.get("required", ())
            self._optional[name] = tool.input_schema["properties"].keys() - set(required)
            self._shown[name] = _show(tool)
        self._lists: dict[frozenset[str], ListToolsResult] = {}

    def find(self, name: str, visible: Collection[str]) -> Tool | None:
        """The tool, if it is there for a connection that sees these."""
        return self._tools.get(name) if name in visible else None

    @property
    def names(self) -> list[str]:
        """Every tool's name, in registry order."""
        return list(self._tools)

    def exists(self, name: str) -> bool:
        """Whether there is such a tool for anybody."""
        return name in self._tools

    def visible(self, granted: Collection[str], disabled: Collection[str]) -> frozenset[str]:
        """The names of a connection's tools: what it was granted, a group or a tool, without the
        groups that are off."""
        return frozenset(
            name
            for name, tool in self._tools.items()
            if tool.group not in disabled and not {ALL, tool.group, name}.isdisjoint(granted)
        )

    def list(self, visible: frozenset[str]) -> ListToolsResult:
        """tools/list in registry order: who sees the same tools gets the same bytes."""
        shown = self._lists.get(visible)
        if shown is None:
            shown = ListToolsResult(tools=[self._shown[n] for n in self._tools if n in visible])
            if len(self._lists) >= LISTS:
                self._lists.clear()
            self._lists[visible] = shown
        return shown

    def given(self, tool: Tool, args: Json) -> Json:
        """The arguments without those that are null and may be absent: models and clients write
        null for what they leave out. So the same call has the same arguments, and the same hash,
        however it was written; null in any other place stays, and does not fit the schema."""
        if None not in args.values():
            return args
        optional = self._optional[tool.name]
        return {
            name: value for name, value in args.items() if value is not None or name not in optional
        }

    def fault(self, tool: Tool, args: Json) -> str | None:
        """Why the arguments do not fit the tool's schema: where, and what; None if they do."""
        accepts = self._accepts[tool.name]
        if accepts is not None and accepts(args):
            return None
        errors = list(islice(self._validators[tool.name].iter_errors(args), 4 * FAULTS))
        if not errors:
            return None
        # What is wrong explains what is missing: a misspelt name is both.
        errors = sorted(errors, key=lambda error: error.validator == "required")[:FAULTS]
        # best_match looks below anyOf and oneOf for the branch that was meant.
        return "; ".join(dict.fromkeys(_explain(best_match([error])) for error in errors))


def _explain(error: ValidationError) -> str:
    message = str(error.message)
    if error.instance is None and message.startswith("None "):
        message = f"null {message[5:]}"
    if len(message) > REASON:
        message = f"{message[: REASON // 2]} ... {message[-REASON // 2 :]}"
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.path)
    return f"{path[:REASON].lstrip('.') or 'arguments'}: {message}"


def _show(tool: Tool) -> McpTool:
    hints = tool.annotations
    return McpTool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        annotations=ToolAnnotations(
            title=tool.title,
            read_only_hint=hints.read_only,
            destructive_hint=hints.destructive,
            idempotent_hint=hints.idempotent,
            open_world_hint=hints.open_world,
        ),
    )
