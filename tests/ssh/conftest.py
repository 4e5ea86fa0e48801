"""Machines to reach for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ssh.machines import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Machines on loopback, known and with a key that lets in."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    made = Site(tmp_path)
    try:
        yield made
    finally:
        made.close()
