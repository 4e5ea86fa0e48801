"""A file that others can change is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay_shell.config import load
from relay_shell.config.trust import read

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


def refusal(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write(write, problems, mode) -> None:
    path = write('[policy]\nmode = "open"\n')
    path.chmod(mode)
    assert problems() == [
        f"relay-shell.toml: {path} can be changed by others (mode {mode:04o}); "
        f"run 'chmod go-w {path}'"
    ]


def test_a_directory_that_others_can_write(root, write, problems) -> None:
    write("")
    root.chmod(0o777)
    said = problems()
    assert len(said) == 2 and all(f"{root} can be changed by others" in line for line in said)


def test_a_drop_in_directory_to_which_others_can_add(root, problems) -> None:
    # Sticky or not: what counts is that names can be added.
    (root / "relay-shell.d").chmod(0o1777)
    (said,) = problems()
    assert said.startswith(f"relay-shell.d: {root}/relay-shell.d can be changed by others")


def test_a_directory_above(root, write) -> None:
    path = write("")
    root.parent.chmod(0o772)
    assert f"{root.parent} can be changed" in refusal(path)
    root.parent.chmod(0o1777)
    assert read(path) == b""


@root_only
def test_a_file_or_directory_of_another_user(root, write) -> None:
    path = write("")
    os.chown(path, 12345, 0)
    assert refusal(path) == f"{path} belongs to uid 12345; make root its owner"
    os.chown(path, 0, 0)
    os.chown(root, 12345, 0)
    assert refusal(path) == f"{root} belongs to uid 12345; make root its owner"


def test_a_link_is_judged_by_where_it_leads(root, write, problems, tmp_path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "x.toml").write_text("[limits]\ncalls = 5\n")
    (root / "relay-shell.toml").symlink_to(real / "x.toml")
    assert load(root, {})["limits.calls"] == 5
    real.chmod(0o777)
    assert f"{real} can be changed by others" in problems()[0]


def test_a_link_to_nowhere_and_what_is_no_file(root, problems) -> None:
    path = root / "relay-shell.toml"
    path.symlink_to(root / "gone")
    assert problems() == ["relay-shell.toml: is a link to a file that does not exist"]
    path.unlink()
    path.symlink_to(path)
    assert "cannot be read" in problems()[0]
    path.unlink()
    os.mkfifo(path, 0o600)
    assert problems() == ["relay-shell.toml: is not a regular file"]
    path.unlink()
    path.mkdir()
    assert problems() == ["relay-shell.toml: is not a regular file"]
