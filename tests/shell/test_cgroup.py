"""Groups of a real cgroup2 subtree."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from relay_shell.shell.cgroup import Group, Groups, _delegated


def _put(group: Group, pid: int, below: str = "") -> None:
    # Spawning into a group needs glibc 2.39; a test may move a process in the old way.
    Path(group.path, below, "cgroup.procs").write_text(str(pid))


@pytest.fixture
def sleeper() -> Any:
    process = subprocess.Popen(["sleep", "98821"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_group_names_its_processes_and_goes_when_empty(groups: Groups, sleeper: Any) -> None:
    group = groups.make("call-k-1")
    assert group.pids() == []
    _put(group, sleeper.pid)
    assert group.pids() == [sleeper.pid]
    assert groups.group_of(sleeper.pid) == "call-k-1"
    assert not group.remove()
    assert group.kill_at_once()
    sleeper.wait()
    assert group.pids() == []
    assert (group.cpu_usec() or 0) >= 0
    assert group.remove()
    assert not os.path.exists(group.path)
    assert group.fd == -1


def test_processes_in_nested_groups_are_found(groups: Groups, sleeper: Any) -> None:
    group = groups.make("call-k-2")
    deep = "/".join("abcdef")
    os.makedirs(f"{group.path}/{deep}")
    _put(group, sleeper.pid, deep)
    assert group.pids() == [sleeper.pid]
    assert groups.group_of(sleeper.pid) == "call-k-2"
    sleeper.kill()
    sleeper.wait()
    assert group.remove()


def test_hiding_in_endless_groups_is_bounded(groups: Groups) -> None:
    group = groups.make("call-k-3")
    for n in range(400):
        os.mkdir(f"{group.path}/{n}")
    before = len(os.listdir("/proc/self/fd"))
    assert group.pids() == []
    assert len(os.listdir("/proc/self/fd")) == before
    group.remove()
    assert group.remove()


def test_name_in_use_is_refused(groups: Groups) -> None:
    group = groups.make("call-k-4")
    with pytest.raises(FileExistsError):
        groups.make("call-k-4")
    assert group.remove()


@pytest.mark.parametrize("name", ["call-../x", "../x", "x", "call-", "call-a/b", "call-a\n"])
def test_name_that_is_none_is_refused(groups: Groups, name: str) -> None:
    with pytest.raises(OSError, match="no name"):
        groups.make(name)
    assert [entry.name for entry in os.scandir(groups.base) if entry.is_dir()] == []


def test_processes_outside_have_no_group_here(groups: Groups) -> None:
    assert groups.group_of(os.getpid()) is None
    assert groups.group_of(2**22 + 1) is None


def test_groups_are_looked_for_only_where_systemd_delegates(tmp_path: Path) -> None:
    # An ordinary directory, however writable, carries no mark of delegation.
    assert not _delegated(str(tmp_path))
    os.setxattr(tmp_path, "user.delegate", b"1")
    assert _delegated(str(tmp_path))
