from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from relay_shell.worker import attempts


def test_a_file_is_made_where_it_may_be_and_leaves_no_name(tmp_path: Path) -> None:
    made = attempts.create_in(str(tmp_path / "nonexistent"), str(tmp_path))
    assert made() == f"created a file in {tmp_path}"
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        attempts.create_in("/proc")()
    with pytest.raises(FileNotFoundError):
        attempts.create_in(str(tmp_path / "absent"))()


def test_reading_and_connecting_say_what_they_reached(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing is there to see"):
        attempts.read(str(tmp_path))()
    (tmp_path / "file").write_text("12345")
    assert attempts.read(str(tmp_path))() == f"1 names in {tmp_path}"
    assert attempts.read(str(tmp_path / "file"))().startswith("5 bytes")
    path = str(tmp_path / "sock")
    with pytest.raises(FileNotFoundError):
        attempts.connect_to(path, socket.SOCK_STREAM)()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert attempts.connect_to(path, socket.SOCK_STREAM)() == f"connected to {path}"


def test_opening_for_writing_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("as it was")
    attempts.open_for_writing(str(path))()
    assert path.read_text() == "as it was"


def test_a_limit_is_told_from_none(tmp_path: Path) -> None:
    limit = tmp_path / "pids.max"
    limit.write_text("max\n")
    assert attempts.exceed(str(limit))() == f"{limit} is max"
    limit.write_text("1024\n")
    with pytest.raises(OSError, match="limited to 1024"):
        attempts.exceed(str(limit))()


def test_own_processes_may_be_signalled() -> None:
    assert attempts.signal_to(os.getpid())() == f"may signal {os.getpid()}"
    with pytest.raises(ProcessLookupError):
        attempts.signal_to(2**22 + 1)()
