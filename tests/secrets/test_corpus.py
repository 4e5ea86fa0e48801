"""The published corpora: what must go, what must stay.

A line of secrets.jsonl marks its secrets with ⟪ ⟫; blanks such as ⟦A36⟧ are filled with characters
that are nobody's secret (see ``relay_shell.secrets.rules.fill``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_shell.secrets import default
from relay_shell.secrets.rules import fill, shipped

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
SECRET = re.compile("⟪(.*?)⟫", re.S)
FRAMES = (
    "{}",
    "see {} there",
    "line\n{}\nline",
    '{{"a": "x", "b": 1}}\n{}',
    "\x1b[1m{}\x1b[0m",
    "a=1; {}",
)


def rows(name: str) -> Iterator[tuple[str, str]]:
    with (CORPUS / name).open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            row = json.loads(line)
            yield row["kind"], fill(row["text"], f"{row.get('seed', number)} {row['text']}")


def score_positive(keep: bool) -> tuple[int, list[str]]:
    total, missed = 0, []
    for _, text in rows("secrets.jsonl"):
        secrets = SECRET.findall(text)
        plain = text.replace("⟪", "").replace("⟫", "")
        shown = default(keep).text(plain).text
        total += 1
        if any(secret in shown for secret in secrets):
            missed.append(plain)
    return total, missed


def score_negative(keep: bool) -> tuple[int, list[str]]:
    total, wrong = 0, []
    for _, text in rows("secrets-negative.jsonl"):
        total += 1
        if default(keep).text(text).counts:
            wrong.append(text)
    return total, wrong


@pytest.mark.parametrize("keep", [True, False])
def test_recall(keep: bool) -> None:
    total, missed = score_positive(keep)
    assert total >= 400 and len(missed) <= total * 0.01, missed


@pytest.mark.parametrize("keep", [True, False])
def test_false_positives(keep: bool) -> None:
    total, wrong = score_negative(keep)
    assert total >= 400 and len(wrong) <= total * 0.005, wrong


def test_recall_of_every_shape_in_common_surroundings() -> None:
    tried, missed = 0, []
    for rule in shipped():
        for seed, frame in enumerate(FRAMES):
            text = frame.format(fill(rule.example, f"{rule.name} {seed}"))
            tried += 1
            if not default().text(text).counts:
                missed.append(text)
    assert len(missed) <= tried * 0.01, missed


def test_no_text_of_the_corpus_looks_live() -> None:
    for name in ("secrets.jsonl", "secrets-negative.jsonl"):
        text = (CORPUS / name).read_text(encoding="utf-8")
        live = re.compile(
            r"(?:ghp_|glpat-|xoxb-|AKIA|sk_live_|npm_|AIza|SG\.|hf_)[A-Za-z0-9\-]{10}"
        )
        assert live.search(text) is None
