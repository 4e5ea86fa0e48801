from __future__ import annotations

import os
import stat

import pytest

from relay_shell.cli.install import replace


def test_the_file_is_there_with_its_mode_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        replace(tmp_path / "new.d/file", b"content")
    finally:
        os.umask(before)
    status = (tmp_path / "new.d/file").stat()
    assert (tmp_path / "new.d/file").read_bytes() == b"content"
    assert stat.S_IMODE(status.st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "new.d").stat().st_mode) == 0o755


def test_a_reader_of_the_old_file_keeps_it(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        replace(target, b"new")
        assert reader.read() == b"old"
    assert target.read_bytes() == b"new"


def test_a_link_is_replaced_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"precious")
    (tmp_path / "file").symlink_to("elsewhere")
    replace(tmp_path / "file", b"new")
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"
    assert not (tmp_path / "file").is_symlink()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        replace(tmp_path / "file", b"new")
    assert os.listdir(tmp_path) == ["file"]
