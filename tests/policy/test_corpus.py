"""The published corpus of commands against the targets of the classifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relay_shell.policy import classify_command

CORPUS = Path(__file__).parent.parent / "corpus"


def commands(name: str) -> list[dict[str, Any]]:
    lines = (CORPUS / f"commands-{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_reading_commands_are_tier_0() -> None:
    given = commands("readonly")
    wrong = [c["cmd"] for c in given if classify_command(c["cmd"]).tier != 0]
    assert len(wrong) <= 0.02 * len(given), wrong


def test_no_changing_command_is_tier_0() -> None:
    wrong = [
        c["cmd"] for c in commands("changing") if classify_command(c["cmd"]).tier < c["tier_min"]
    ]
    assert wrong == []


def test_irreversible_commands_are_tier_3() -> None:
    given = commands("irreversible")
    wrong = [c["cmd"] for c in given if classify_command(c["cmd"]).tier != 3]
    assert len(wrong) <= 0.02 * len(given), wrong


@pytest.mark.parametrize(("name", "tiers"), [("readonly", {0}), ("irreversible", {3})])
def test_obscure_forms_are_judged_alike(name: str, tiers: set[int]) -> None:
    given = commands(f"{name}-forms")
    assert [c["cmd"] for c in given if classify_command(c["cmd"]).tier not in tiers] == []


def test_no_obscure_form_of_a_change_is_tier_0() -> None:
    given = commands("changing-forms")
    assert [c["cmd"] for c in given if classify_command(c["cmd"]).tier < c["tier_min"]] == []


def test_every_verdict_gives_its_reasons() -> None:
    for name in ("readonly", "changing", "irreversible"):
        for command in commands(name):
            assert all(classify_command(command["cmd"]).reasons)
