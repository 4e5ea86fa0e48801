"""State files are replaced whole and trusted only as far as they can be checked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay_shell.broker import statefile
from relay_shell.broker.statefile import StateError


def test_a_value_comes_back(tmp_path: Path) -> None:
    path = str(tmp_path / "x.json")
    statefile.write(path, {"a": [1, "é"]}, durable=True)
    statefile.write(path, {"a": [2, "é"]}, durable=False)
    assert statefile.read(path) == {"a": [2, "é"]}
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    path = str(tmp_path / "x.json")
    statefile.write(path, 1, durable=False)
    (tmp_path / "x.json.new").mkdir()
    with pytest.raises(OSError):
        statefile.write(path, 2, durable=False)
    assert statefile.read(path) == 1


def test_a_missing_file_is_told_from_a_bad_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        statefile.read(str(tmp_path / "none"))


@pytest.mark.parametrize("spoil", ["mode", "link", "fifo", "garbage", "huge", "deep"])
def test_what_cannot_be_trusted_is_refused(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "x.json"
    statefile.write(str(path), {"a": 1}, durable=False)
    if spoil == "mode":
        path.chmod(0o640)
    elif spoil == "link":
        path.rename(tmp_path / "y.json")
        path.symlink_to("y.json")
    elif spoil == "fifo":
        path.unlink()
        os.mkfifo(path, 0o600)
    elif spoil == "garbage":
        path.write_bytes(b"\xff{")
    elif spoil == "huge":
        path.write_bytes(b" " * (statefile.LIMIT + 1))
    else:
        path.write_bytes(b"[" * 100_000)
    with pytest.raises(StateError):
        statefile.read(str(path))


def test_a_directory_that_others_write_to_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    with pytest.raises(StateError, match="No such file"):
        statefile.check_directory(str(directory))
    directory.mkdir(mode=0o700)
    statefile.check_directory(str(directory))
    directory.chmod(0o770)
    with pytest.raises(StateError, match="writable by others"):
        statefile.check_directory(str(directory))
    file = tmp_path / "f"
    file.touch()
    with pytest.raises(StateError, match="not a directory"):
        statefile.check_directory(str(file))
