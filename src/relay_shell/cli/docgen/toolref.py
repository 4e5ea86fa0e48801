"""The tool reference: docs/tools.md out of the registry."""

from __future__ import annotations

from typing import Any

from ...tools.base import Tool
from ...tools.registry import TOOLS

HEAD = """\
# Tools

Generated from the registry by `python -m relay_shell.cli.gendocs`; do not edit.

These are the tools that an agent may call. Unknown arguments are errors; null for one that may be
left out counts as left out. A result carries the facts below as `structuredContent`, and the same
facts as text that begins with `[exit N]`, `[TIMEOUT after Ns]`, `[DENIED tier N (NAME): reason]` or
`[ERROR: Kind: message]`; an error has its next step on a line of its own. Every call is decided and
recorded before it runs.

The hints are those of MCP's ToolAnnotations. *Reads only* and *idempotent* are promises that the
server keeps; *may destroy* says that the tool can run what destroys, subject to policy.
"""


def reference() -> str:
    """The page, every tool in the order of tools/list."""
    parts = [HEAD.rstrip(), _index()]
    parts.extend(_tool(tool) for tool in TOOLS.values())
    return "\n\n".join(parts) + "\n"


def _index() -> str:
    lines = ["| tool | group | what |", "| --- | --- | --- |"]
    for tool in TOOLS.values():
        lines.append(f"| [{tool.name}](#{tool.name}) | {tool.group} | {tool.title} |")
    return "\n".join(lines)


def _tool(tool: Tool) -> str:
    parts = [f"## {tool.name}", f"**{tool.title}** (group `{tool.group}`). {tool.description}"]
    hints = tool.annotations
    parts.append(
        ", ".join(
            (
                "Reads only" if hints.read_only else "Changes state",
                "may destroy" if hints.destructive else "does not destroy",
                "idempotent" if hints.idempotent else "not idempotent",
                "reaches outside" if hints.open_world else "stays on this host",
            )
        )
        + "."
    )
    parts.append(_properties("Argument", tool.input_schema))
    parts.append(_properties("Result", tool.output_schema))
    return "\n\n".join(parts)


def _properties(what: str, schema: dict[str, Any]) -> str:
    properties = {n: v for n, v in schema.get("properties", {}).items() if n != "error"}
    if not properties:
        return f"{what}s: none."
    required = set(schema.get("required", ()))
    for choice in schema.get("anyOf", ()):
        names = choice.get("required", ())
        if "error" not in names and what == "Result":
            required.update(names)
    lines = [f"| {what.lower()} | type | |", "| --- | --- | --- |"]
    for name, value in properties.items():
        mark = "**" if name in required else ""
        lines.append(f"| {mark}`{name}`{mark} | {kind(value)} | {_cell(_notes(value))} |")
    return "\n".join(lines)


def kind(schema: dict[str, Any]) -> str:
    """The type of a property in a word or two."""
    if "enum" in schema:
        return "one of " + ", ".join(f"`{item}`" for item in schema["enum"])
    for joined in ("anyOf", "oneOf"):
        if joined in schema:
            return " or ".join(kind(item) for item in schema[joined])
    name = schema.get("type", "any")
    if isinstance(name, list):
        return " or ".join(name)
    if name == "array" and isinstance(schema.get("items"), dict):
        return f"array of {kind(schema['items'])}"
    return str(name)


def _notes(schema: dict[str, Any]) -> str:
    words = [schema["description"]] if "description" in schema else []
    for low, high, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        bounds = (schema.get(low), schema.get(high))
        if bounds[1] is not None:
            least = f"{bounds[0]} to " if bounds[0] is not None else "at most "
            words.append(f"{least}{bounds[1]}{unit}.")
        elif bounds[0] is not None and low != "minLength" and low != "minItems":
            words.append(f"At least {bounds[0]}.")
    if "default" in schema:
        words.append(f"Default `{schema['default']}`.")
    return " ".join(words)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
