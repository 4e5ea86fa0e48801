"""Data behind descriptors."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from relay_shell.shell.memfile import anonymous, readable


@pytest.mark.parametrize(("size", "pipe"), [(1, True), (65_536, True), (65_537, False)])
def test_small_data_comes_from_a_pipe_and_large_from_a_file(
    tmp_path: Path, size: int, pipe: bool
) -> None:
    data = os.urandom(size)
    fd = readable(data, str(tmp_path))
    try:
        assert stat.S_ISFIFO(os.fstat(fd).st_mode) == pipe
        with os.fdopen(os.dup(fd), "rb") as file:
            assert file.read() == data
    finally:
        os.close(fd)


def test_file_cannot_be_changed_any_more(tmp_path: Path) -> None:
    fd = anonymous(b"recorded", str(tmp_path))
    try:
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"changed!", 0)
        with pytest.raises(PermissionError):
            os.truncate(fd, 0)
        with pytest.raises(PermissionError):
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0)
        assert os.pread(fd, 100, 0) == b"recorded"
    finally:
        os.close(fd)


def test_pipe_of_a_user_over_the_limit_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = os.pipe2

    def small(flags: int) -> tuple[int, int]:
        source, sink = made(flags)
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, 4096)
        return source, sink

    monkeypatch.setattr(os, "pipe2", small)
    fd = readable(b"x" * 50_000, str(tmp_path))
    try:
        assert stat.S_ISREG(os.fstat(fd).st_mode)
        assert len(os.read(fd, 100_000)) == 50_000
    finally:
        os.close(fd)
