"""What root's enforced commands may open for reading."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from relay_shell.shell import readable

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes device nodes")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("etc", "proc", "dev/pts", "dev/shm", "dev/input"):
        (tmp_path / name).mkdir(parents=True)
    for name, kind in (("sda", stat.S_IFBLK), ("watchdog", stat.S_IFCHR), ("tty1", stat.S_IFCHR)):
        os.mknod(tmp_path / "dev" / name, kind | 0o600, os.makedev(1, 3))
    (tmp_path / "dev/cdrom").symlink_to("sda")
    return tmp_path


def test_all_files_and_disks_but_no_device_that_acts(root: Path) -> None:
    found = {path.removeprefix(f"{root}/") for path in readable.paths(f"{root}/")}
    assert {"etc", "proc", "dev/sda", "dev/shm", "dev/kmsg"} <= found
    assert not found & {"dev", "dev/watchdog", "dev/tty1", "dev/pts", "dev/input", "dev/cdrom"}


def test_the_calls_own_terminal_is_readable(root: Path) -> None:
    assert "/dev/pts/7" in readable.paths(f"{root}/", "/dev/pts/7")
    assert "/dev/pts/7" not in readable.paths(f"{root}/")


def test_number_is_bounded_and_disks_come_last(root: Path) -> None:
    for number in range(readable.MOST):
        os.mknod(root / f"dev/loop{number}", stat.S_IFBLK | 0o600, os.makedev(7, number))
    found = readable.paths(f"{root}/", "/dev/pts/7")
    assert len(found) == readable.MOST
    assert {f"{root}/etc", "/dev/pts/7", f"{root}/dev/null"} <= set(found)


def test_disk_that_is_plugged_in_is_readable(root: Path) -> None:
    # As if it had been looked at some time ago: times of files are no finer than a tick.
    os.utime(root / "dev", (1, 1))
    before = readable.paths(f"{root}/")
    os.mknod(root / "dev/sdb", stat.S_IFBLK | 0o600, os.makedev(1, 3))
    after = readable.paths(f"{root}/")
    assert set(after) - set(before) == {f"{root}/dev/sdb"}
