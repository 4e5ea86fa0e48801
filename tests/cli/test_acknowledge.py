"""What the uploader has got answered for, passed on to the broker."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

from relay_shell.cli import acknowledge

STATE = "# This is private data. Do not parse.\nLAST_CURSOR=s=1;i=2\n"


def test_the_cursor_is_read_from_the_uploaders_state(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert acknowledge.cursor(path) == ""
    path.write_text("# nothing yet\n")
    assert acknowledge.cursor(path) == ""
    path.write_text(STATE)
    assert acknowledge.cursor(path) == "s=1;i=2"


def test_a_record_is_what_the_broker_wrote() -> None:
    assert acknowledge.record({"RELAY_SEQ": "7", "RELAY_TS": "2026"}) == (7, "2026")
    assert acknowledge.record({"MESSAGE": "relay-shell.service: Started"}) is None
    assert acknowledge.record({"RELAY_SEQ": "seven", "RELAY_TS": "2026"}) is None


def test_what_is_held_is_published_whole(tmp_path: Path) -> None:
    state, target = tmp_path / "state", tmp_path / "acknowledged"
    acknowledge.publish(state, target, lambda place: (7, place))
    assert not target.exists()
    state.write_text(STATE)
    acknowledge.publish(state, target, lambda place: None)
    assert not target.exists()
    acknowledge.publish(state, target, lambda place: (7, place))
    assert json.loads(target.read_text()) == {"seq": 7, "ts": "s=1;i=2"}
    assert target.stat().st_mode & 0o777 == 0o644


def test_each_replacement_of_the_state_is_noticed(tmp_path: Path) -> None:
    seen = threading.Semaphore(0)

    def watch() -> None:
        for n, _ in enumerate(acknowledge.changes(tmp_path)):
            seen.release()
            if n == 2:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    assert seen.acquire(timeout=60)
    for n in range(2):
        (tmp_path / "new").write_text(str(n))
        (tmp_path / "new").replace(tmp_path / "state")
        assert seen.acquire(timeout=60)
    thread.join(60)
    assert not thread.is_alive()


def test_it_says_that_it_is_for_the_service() -> None:
    argv = [sys.executable, "-m", "relay_shell.cli", "forward", "watch"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 69 and "relay-shell-ack.service" in done.stderr
