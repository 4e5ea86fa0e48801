"""What every declaration of a tool must keep to."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from relay_shell.tools.base import Tool
from relay_shell.tools.registry import TOOLS
from relay_shell.tools.text import error_facts
from relay_shell.wire.errors import KINDS, RelayError

NAMES = """shell_read shell_exec shell_script shell_spawn session_send session_recv session_screen
session_resize session_kill session_list output_read ssh_hosts ssh_exec ssh_fanout ssh_check
ssh_keyscan server_info audit_tail policy_explain""".split()

ALL = pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)


def test_tools_and_their_order() -> None:
    assert list(TOOLS) == NAMES
    assert [tool.name for tool in TOOLS.values()] == NAMES


@ALL
def test_schemas_are_valid_closed_and_fit_for_model_apis(tool: Tool) -> None:
    Draft202012Validator.check_schema(tool.input_schema)
    Draft202012Validator.check_schema(tool.output_schema)
    assert tool.input_schema["type"] == "object"
    assert tool.input_schema["additionalProperties"] is False
    assert not {"oneOf", "anyOf", "allOf"} & tool.input_schema.keys()
    assert set(tool.input_schema["required"]) <= tool.input_schema["properties"].keys()
    with pytest.raises(Exception, match="additional"):
        Draft202012Validator(tool.input_schema).validate({"no_such_argument": 1})


@ALL
def test_input_schemas_keep_to_what_every_model_api_takes(tool: Tool) -> None:
    """Clients hand these to APIs that refuse a request over one keyword they do not know."""

    def keywords(schema: dict[str, Any]) -> set[str]:
        found = set(schema)
        below = [*schema.get("properties", {}).values()]
        if "items" in schema:
            below.append(schema["items"])
        for part in below:
            found |= keywords(part)
        return found

    assert keywords(tool.input_schema) <= set(
        "type description properties required items enum additionalProperties minimum maximum "
        "minLength maxLength minItems maxItems maxProperties".split()
    )


@ALL
def test_names_and_texts_are_plain(tool: Tool) -> None:
    assert set(tool.name) <= set(string.ascii_lowercase + "_")
    assert len(tool.name) <= 64
    assert tool.description.endswith(".")
    assert len(tool.description) <= 400
    assert tool.description.isascii()
    assert 0 < len(tool.title) <= 40


def test_list_is_small() -> None:
    listed = [
        {"name": t.name, "description": t.description, "inputSchema": t.input_schema}
        for t in TOOLS.values()
    ]
    # Four characters a token: about 3000 tokens, and 700 for the ssh tools (tools.disabled).
    assert len(json.dumps(listed)) < 15_200


@ALL
def test_hints_agree_with_each_other(tool: Tool) -> None:
    hints = tool.annotations
    assert not (hints.read_only and hints.destructive)
    runs = tool.name.startswith("shell_")
    runs = runs or tool.name in ("session_send", "ssh_exec", "ssh_fanout")
    assert hints.open_world == (runs or tool.reach is not None)
    if tool.name == "shell_read":
        # The kernel refuses every change; the network may be opened by a setting.
        assert hints.read_only and hints.idempotent
    elif runs:
        assert hints.destructive
        assert not hints.read_only
        assert not hints.idempotent


@ALL
def test_route_names_a_field_that_exists(tool: Tool) -> None:
    if tool.route.kind == "handle":
        assert tool.route.name in tool.input_schema["required"]
    elif tool.route.kind == "gather":
        assert tool.output_schema["properties"][tool.route.name]["type"] == "array"
    else:
        assert tool.route.kind == "own"


@ALL
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_error_is_a_result_that_fits_and_reads(tool: Tool, kind: str) -> None:
    error = RelayError(kind, reason="why", tool="t", seconds=5, program="p", theirs=1, ours=2)
    facts = error_facts(error, tier=2)
    Draft202012Validator(tool.output_schema).validate(facts)
    text = tool.render(facts)
    head, next_step = text.split("\n")
    assert next_step == error.next_step
    if kind == "Denied":
        assert head == "[DENIED tier 2 (STATEFUL): why]"
    else:
        assert head == f"[ERROR: {kind}: {error.message}]"


@pytest.mark.parametrize(
    ("name", "facts", "text"),
    [
        (
            "shell_exec",
            {"exit": 0, "stdout": "hi\n", "duration_ms": 1, "bytes": 3, "truncated": False},
            "[exit 0]\nhi",
        ),
        (
            "shell_exec",
            {
                "exit": 137,
                "signal": "SIGKILL",
                "stdout": "a",
                "stderr": "b\n",
                "output": "o1.w",
                "killed": 2,
            },
            "[exit 137] ended by SIGKILL\na\n[stderr]\nb\n"
            "[kept as o1.w: page or search it with output_read]\n"
            "[killed 2 background process(es) the command left]",
        ),
        ("shell_spawn", {"session": "s1.w", "pid": 7}, "[session s1.w started, pid 7]"),
        ("session_send", {"session": "s1.w"}, "[sent to s1.w]"),
        (
            "session_recv",
            {
                "session": "s1.w",
                "output": "x\n",
                "offset": 5,
                "next_offset": 7,
                "reason": "exit",
                "running": False,
                "exit": 3,
                "missed": 5,
            },
            "[s1.w exit 3: ended; bytes 5 to 7]\n"
            "[5 bytes left the buffer before they were read]\nx",
        ),
        (
            "session_screen",
            {"session": "s1.w", "rows": 2, "columns": 9, "cursor": [0, 1], "lines": ["a", "b"]},
            "[s1.w 2x9, cursor 0,1]\na\nb",
        ),
        ("session_list", {"sessions": []}, "[no sessions]"),
        (
            "session_kill",
            {"session": "s1.w", "killed": 2, "signal": "SIGHUP", "exit": 129},
            "[s1.w ended, SIGHUP; 2 process(es) killed]",
        ),
        (
            "output_read",
            {
                "output": "o1.w",
                "stream": "stdout",
                "size": 99,
                "matches": [
                    {
                        "line": 2,
                        "offset": 3,
                        "lines": [{"line": 1, "text": "a"}, {"line": 2, "text": "b"}],
                    }
                ],
            },
            "[o1.w stdout, 99 bytes, 1 match(es)]\n1-a\n2:b",
        ),
        (
            "output_read",
            {
                "output": "o1.w",
                "stream": "stdout",
                "size": 99,
                "text": "a\n",
                "offset": 0,
                "next_offset": 2,
                "more": True,
            },
            "[o1.w stdout, 99 bytes, bytes 0 to 2]\na\n[more: offset=2]",
        ),
        (
            "policy_explain",
            {"decision": "deny", "tier": 3, "mode": "guarded", "reasons": ["rm -r"], "hint": ""},
            "[deny] tier 3 (IRREVERSIBLE), mode guarded\n- rm -r",
        ),
        ("audit_tail", {"records": []}, "[no records]"),
    ],
)
def test_text_has_the_facts(name: str, facts: dict[str, Any], text: str) -> None:
    Draft202012Validator(TOOLS[name].output_schema).validate(facts)
    assert TOOLS[name].render(facts) == text
