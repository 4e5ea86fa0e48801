"""The lists that clients see and the check of arguments, against the registry."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from relay_shell.front.catalogue import Catalogue
from relay_shell.tools.registry import TOOLS


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(TOOLS)


def test_groups_and_single_tools(catalogue: Catalogue) -> None:
    everything = frozenset(TOOLS)
    shell = {name for name, tool in TOOLS.items() if tool.group == "shell"}
    assert catalogue.visible(["*"], []) == everything == catalogue.all
    assert catalogue.visible(["shell", "no such group"], []) == shell
    assert catalogue.visible(["*"], ["shell"]) == everything - shell
    assert catalogue.visible(["server", "shell_exec"], ["server"]) == {"shell_exec"}
    assert catalogue.visible(["shell_exec", "session_list"], []) == {"shell_exec", "session_list"}
    assert catalogue.visible([], []) == frozenset()


def test_list_follows_what_is_visible_in_registry_order(catalogue: Catalogue) -> None:
    shown = [tool.name for tool in catalogue.list(catalogue.all).tools]
    assert shown == list(TOOLS)
    visible = catalogue.visible(["session", "server_info"], [])
    part = [tool.name for tool in catalogue.list(visible).tools]
    assert part == [name for name in TOOLS if name in visible] and "server_info" in part
    assert catalogue.list(visible) is catalogue.list(frozenset(visible))
    assert catalogue.find("shell_exec", visible) is None
    assert catalogue.exists("shell_exec")
    assert not catalogue.exists("nope")


@pytest.mark.parametrize("name", list(TOOLS))
def test_schemas_hold_for_clients(catalogue: Catalogue, name: str) -> None:
    tool = TOOLS[name]
    Draft202012Validator.check_schema(tool.output_schema)
    # Clients limit names, and drop a tool whose schema they cannot read.
    assert len(name) <= 48
    assert name.replace("_", "").isalnum()
    text = json.dumps([tool.input_schema, tool.output_schema])
    assert "$ref" not in text
    fault = catalogue.fault(tool, {"no_such_argument": 1})
    assert fault is not None
    assert "no_such_argument" in fault


def test_reason_is_short_and_says_where(catalogue: Catalogue) -> None:
    tool = TOOLS["shell_exec"]
    assert catalogue.fault(tool, {"command": "true"}) is None
    fault = catalogue.fault(tool, {"argv": ["x", {"y": "z" * 100_000}]})
    assert fault is not None
    assert fault.startswith("argv[1]: ")
    assert len(fault) < 500
    both = catalogue.fault(tool, {"command": 7, "timeout": "x"})
    assert both is not None
    assert "command: 7 is not of type 'string'" in both
    assert "timeout: 'x' is not of type 'number'" in both
