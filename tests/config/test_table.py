"""The table is consistent in itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay_shell.config.check import fit, from_env
from relay_shell.config.generate import toml
from relay_shell.config.relations import AT_MOST, broken
from relay_shell.config.settings import Settings
from relay_shell.config.table import RESERVED, SECTIONS, TABLE, TOOL_GROUPS, env_name
from relay_shell.tools.registry import TOOLS

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.mark.parametrize("row", TABLE.values(), ids=str)
def test_a_row(row) -> None:
    assert fit(row, row.default) == row.default
    assert row.section in SECTIONS and row.key.isidentifier()
    assert row.help.endswith(".") and row.audience
    text = row.default if row.kind in ("str", "path", "choice") else toml(row.default)
    assert from_env(row, str(text)) == row.default
    assert (row.kind in ("choice", "names")) == bool(row.choices)


def test_the_tool_groups_are_those_of_the_registry() -> None:
    assert set(TOOL_GROUPS) == {tool.group for tool in TOOLS.values()}


def test_the_environment_names_are_distinct() -> None:
    names = {env_name(name) for name in TABLE}
    assert len(names) == len(TABLE) and not names & RESERVED


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_what_the_programs_set_and_read_the_loader_takes(path: Path) -> None:
    """A command of a worker may be `relay-shell`: what it is told must not refuse its start."""
    text = path.read_text().replace("RELAY_SHELL_*", "")
    found = set(re.findall(r"RELAY_SHELL_[A-Z][A-Z_]*[A-Z]\b", text))
    assert found <= {env_name(name) for name in TABLE} | RESERVED


def test_the_defaults_agree_with_each_other() -> None:
    assert list(broken(Settings())) == []
    assert all(low in TABLE and high in TABLE for low, high in AT_MOST)
