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

Json = dict[str, Any]

ALL = "*"
"""In a connection's tool groups: every group there is."""

FAULTS = 3
"""Faults that one answer names, so that a caller need not find them one by one."""

REASON = 300
"""Characters of a validator's message that are worth reading; it quotes the argument."""


class Catalogue:
    """The registry with validators compiled once and lists rendered once a set of groups."""

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self._tools = dict(tools)
        self.all = frozenset(tool.group for tool in self._tools.values())
        self._validators = {}
        self._shown = {}
        for name, tool in self._tools.items():
            Draft202012Validator.check_schema(tool.input_schema)
            self._validators[name] = Draft202012Validator(tool.input_schema)
            self._shown[name] = _show(tool)
        self._lists: dict[frozenset[str], ListToolsResult] = {}

    def find(self, name: str, groups: Collection[str]) -> Tool | None:
        """The tool, if it is there for a connection with these groups."""
        tool = self._tools.get(name)
        return tool if tool is not None and tool.group in groups else None

    @property
    def names(self) -> list[str]:
        """Every tool's name, in registry order."""
        return list(self._tools)

    def exists(self, name: str) -> bool:
        """Whether there is such a tool for anybody."""
        return name in self._tools

    def groups(self, granted: Collection[str], disabled: Collection[str]) -> frozenset[str]:
        """The tool groups that a connection has: what it was granted without what is off."""
        mine = self.all if ALL in granted else self.all & set(granted)
        return frozenset(mine - set(disabled))

    def list(self, groups: frozenset[str]) -> ListToolsResult:
        """tools/list in registry order: the same groups get the same bytes."""
        shown = self._lists.get(groups)
        if shown is None:
            shown = ListToolsResult(
                tools=[self._shown[n] for n, t in self._tools.items() if t.group in groups]
            )
            self._lists[groups] = shown
        return shown

    def fault(self, tool: Tool, args: Json) -> str | None:
        """Why the arguments do not fit the tool's schema: where, and what; None if they do."""
        errors = list(islice(self._validators[tool.name].iter_errors(args), 4 * FAULTS))
        if not errors:
            return None
        # What is wrong explains what is missing: a misspelt name is both.
        errors = sorted(errors, key=lambda error: error.validator == "required")[:FAULTS]
        # best_match looks below anyOf and oneOf for the branch that was meant.
        return "; ".join(dict.fromkeys(_explain(best_match([error])) for error in errors))


def _explain(error: ValidationError) -> str:
    message = str(error.message)
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
