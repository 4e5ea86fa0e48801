"""Machines to reach for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_shell.ssh import command
from ssh.machines import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Machines on loopback, known and with a key that lets in."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    # However slow this host is now, a server of ours confirms that it killed.
    monkeypatch.setattr(command, "KILL", 60)
    made = Site(tmp_path)
    try:
        yield made
    finally:
        made.close()
