"""The catalog in the package says what the table of events says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent.parent


def test_the_catalog_is_that_of_the_table_of_events() -> None:
    made = subprocess.run(
        [sys.executable, TREE / "packaging/catalog.py"], check=True, capture_output=True, text=True
    ).stdout
    assert (TREE / "deploy/systemd/catalog/relay-shell.catalog").read_text() == made
