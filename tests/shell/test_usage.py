"""What a call used, and the source of each figure."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

from relay_shell.shell.cgroup import Groups
from relay_shell.shell.iostat import Moved, _carriers, parse_io
from relay_shell.shell.usage import BLOCK, measure

NOTHING = resource.struct_rusage([0] * 16)
WRITE = "import os; f = open({path!r}, 'wb'); f.write(bytes(1 << 20)); f.flush(); os.fsync(f)"


def spent(path: Path) -> resource.struct_rusage:
    """What a process used that wrote 1 MiB to `path`."""
    child = subprocess.Popen([sys.executable, "-c", WRITE.format(path=str(path))])
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return used


def test_without_a_cgroup_the_main_process_is_asked(tmp_path: Path) -> None:
    used = measure(None, spent(tmp_path / "file"))
    assert used.accounting.startswith("cpu=rusage mem=")
    assert used.accounting.endswith("io=rusage tasks=none")
    assert used.cpu_ms > 0
    if os.stat(tmp_path).st_dev >> 8:
        # tmpfs has no device to write to.
        assert used.io_write >= 1 << 20
    assert (used.io_reads, used.io_writes, used.tasks_peak) == (None, None, None)
    assert "tasks_peak" not in used.facts() and used.facts()["cpu_ms"] == used.cpu_ms


def test_a_cgroup_is_asked_first_and_what_it_lacks_is_said(groups: Groups) -> None:
    group = groups.make("call-k-1")
    used = measure(group, NOTHING)
    assert used.accounting.startswith("cpu=cgroup ")
    tasks = (Path(group.path) / "pids.peak").exists()
    assert used.accounting.endswith(f"tasks={'cgroup' if tasks else 'none'}")
    assert group.remove()


class Fake:
    """A group whose files hold known figures."""

    def cpu_usec(self) -> int:
        return 12_345

    def memory_peak(self) -> int:
        return 1 << 30

    def io(self) -> Moved:
        return Moved(read=4096, write=8192, reads=1, writes=2)

    def tasks_peak(self) -> int:
        return 17


def test_of_blocks_and_devices_the_larger_counts() -> None:
    fields = [0.0] * 16
    fields[9], fields[10] = 2, 1000
    used = measure(Fake(), resource.struct_rusage(fields))  # type: ignore[arg-type]
    assert (used.io_read, used.io_write) == (4096, 1000 * BLOCK)
    assert (used.io_reads, used.io_writes) == (1, 2)
    assert (used.cpu_ms, used.mem_peak, used.tasks_peak) == (12, 1 << 30, 17)
    assert used.accounting == "cpu=cgroup mem=cgroup io=cgroup+rusage tasks=cgroup"


def test_io_stat_is_summed_over_devices() -> None:
    text = (
        b"8:0 rbytes=100 wbytes=10 rios=3 wios=1 dbytes=0 dios=0\n"
        b"259:7 rbytes=5 wbytes=0 rios=1 wios=0 dbytes=9 dios=9\n"
        b"7:0 \n"
    )
    assert parse_io(text) == Moved(105, 10, 4, 1)
    assert parse_io(b"") == Moved(0, 0, 0, 0)


def test_what_lies_below_a_stacked_device_is_known(tmp_path: Path) -> None:
    """sysfs as the kernel lays it out: dm-1 on dm-0 on a partition of sda."""
    for name, dev in (("sda", "8:0"), ("sda/sda1", "8:1"), ("dm-0", "254:0"), ("dm-1", "254:1")):
        (tmp_path / name / "slaves").mkdir(parents=True)
        (tmp_path / name / "dev").write_text(dev + "\n")
        (tmp_path / dev).symlink_to(tmp_path / name)
    (tmp_path / "sda/sda1/partition").write_text("1\n")
    (tmp_path / "dm-0/slaves/sda1").symlink_to(tmp_path / "sda/sda1")
    (tmp_path / "dm-1/slaves/dm-0").symlink_to(tmp_path / "dm-0")
    assert _carriers("254:1", str(tmp_path)) == ["254:0", "8:0"]
    assert _carriers("8:0", str(tmp_path)) == []
    assert _carriers("1:1", str(tmp_path)) == []


def test_controllers_are_switched_on_where_they_are_there(groups: Groups) -> None:
    have = set(Path(groups.base, "cgroup.controllers").read_text().split())
    groups.account()
    on = set(Path(groups.base, "cgroup.subtree_control").read_text().split())
    assert on == have & {"memory", "io", "pids"}


def test_a_subtree_that_takes_no_controllers_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("memory\n")
    (tmp_path / "cgroup.subtree_control").mkdir()
    Groups(str(tmp_path)).account()
