"""The published schema, and every kind of event that the code can write."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import jsonschema

from relay_shell.evidence.events import EVENTS
from relay_shell.evidence.generate import json_schema

ROOT = Path(__file__).resolve().parents[2]
JOURNAL_ALONE = {"trouble", "journal-lost"}


def written() -> set[str]:
    """The events that the source names where it makes a record: event="x" or {"event": "x"}."""
    found = set()
    for package in ("broker", "evidence"):
        for path in (ROOT / "src/relay_shell" / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                values: list[ast.expr] = []
                if isinstance(node, ast.keyword) and node.arg == "event":
                    values = [node.value]
                elif isinstance(node, ast.Dict):
                    values = [
                        value
                        for key, value in zip(node.keys, node.values, strict=True)
                        if isinstance(key, ast.Constant) and key.value == "event"
                    ]
                for value in values:
                    choices = (
                        [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                    )
                    found |= {c.value for c in choices if isinstance(c, ast.Constant)}
    return found


def test_every_event_of_the_source_is_in_the_schema() -> None:
    schema = json.loads((ROOT / "docs/schema/record.json").read_text())
    assert schema == json.loads(json.dumps(json_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert written() <= set(schema["properties"]["event"]["enum"]) == set(EVENTS)


def test_every_event_of_the_table_is_written_somewhere() -> None:
    assert set(EVENTS) - JOURNAL_ALONE <= written()
