"""What `relay-shell status` says beside the broker's answer."""

from __future__ import annotations

from pathlib import Path

from relay_shell.cli.status import render, spares
from relay_shell.cli.term import Style


def test_worker_units_that_are_nobodys_are_counted_as_spares(tmp_path: Path) -> None:
    for name in ("relay-shell-worker@1-2-3.service", "relay-shell-worker@2-2-3.service", "x.scope"):
        (tmp_path / name).mkdir()
    (tmp_path / "cgroup.procs").touch()
    agent = {"unit": "relay-shell-worker@1-2-3.service", "worker": "abcdefgh"}
    assert spares({"workers": [agent]}, str(tmp_path)) == 1
    assert spares({}, str(tmp_path)) == 2
    assert spares({}, str(tmp_path / "none")) == 0


def test_a_spare_is_told(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "relay-shell-worker@1-2-3.service").mkdir()
    monkeypatch.setattr("relay_shell.cli.status.SLICE", str(tmp_path))
    assert render({}, "relay-shell 1", Style()).endswith("1 spare worker for the next connections")
