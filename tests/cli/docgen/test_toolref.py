from __future__ import annotations

import pytest

from relay_shell.cli.docgen.toolref import kind, reference
from relay_shell.tools.registry import TOOLS


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_every_tool_and_argument_is_described(tool):
    section = reference().split(f"\n## {tool.name}\n")[1].split("\n## ")[0]
    assert tool.description in section
    for name in tool.input_schema["properties"]:
        assert f"`{name}`" in section
    for name in tool.input_schema["required"]:
        assert f"**`{name}`**" in section
    assert ("Reads only" in section) == tool.annotations.read_only
    assert ("may destroy" in section) == tool.annotations.destructive


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"type": "array", "items": {"type": "integer"}}, "array of integer"),
        ({"enum": ["a", "b"]}, "one of `a`, `b`"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "string or integer"),
        ({}, "any"),
    ],
)
def test_kinds(schema, text):
    assert kind(schema) == text
