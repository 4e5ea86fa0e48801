"""The last report is kept, and one that cannot be trusted is not known."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from relay_shell.broker import statefile
from relay_shell.broker.verification import COUNTS, Verification

REPORT = {**dict.fromkeys(COUNTS, 7), "kind": "gap", "detail": "record 3"}


def test_a_report_is_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "verified.json")
    first = Verification(path)
    assert first.last is None
    first.take(REPORT, 1_700_000_000.5)
    first.keep()
    assert Verification(path).last == {**REPORT, "at": 1_700_000_000.5}


def test_two_reports_at_once_are_both_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "verified.json")
    both = Verification(path)
    both.take(REPORT, 1_700_000_000.5)
    faults: list[OSError] = []

    def keep() -> None:
        try:
            both.keep()
        except OSError as error:
            faults.append(error)

    other = threading.Thread(target=keep)
    replace = os.replace

    def slow(source: str, target: str) -> None:
        if other.ident is None:
            both.take(REPORT, 1_700_000_001.5)
            other.start()
            # Where nothing holds it up, it is done by now.
            other.join(0.5)
        replace(source, target)

    monkeypatch.setattr(statefile.os, "replace", slow)
    keep()
    other.join(60)
    assert not faults
    assert Verification(path).last == {**REPORT, "at": 1_700_000_001.5}


@pytest.mark.parametrize("text", ['{"at": "x"}', "[]", "no json", '{"at": 1, "exit": 0}'])
def test_a_file_that_holds_no_report_is_not_known(tmp_path: Path, text: str) -> None:
    path = tmp_path / "verified.json"
    path.write_text(text)
    path.chmod(0o600)
    assert Verification(str(path)).last is None
