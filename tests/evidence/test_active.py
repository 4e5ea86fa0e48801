"""The active file on disks that fail, and in directories that change under it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relay_shell.evidence.active import Active
from relay_shell.evidence.errors import EvidenceError

TMPFS = 'mount -t tmpfs -o size=256k,mode=700 tmpfs "$DISK"'
EXT4 = 'mount -o loop "$DISK.img" "$DISK"'


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    directory = tmp_path / "disk"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def ext4(disk: Path) -> Path:
    image = disk.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(4 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    return disk


def test_a_full_disk_cuts_a_line_off_and_the_next_record_names_it(scenario, disk) -> None:
    scenario("full", TMPFS, disk)


def test_a_full_ext4(scenario, ext4) -> None:
    # The journal and the tables take most of 4 MiB; what is left is filled first.
    fill = 'dd if=/dev/zero of="$DISK/fill" bs=1k count=100000 2>/dev/null || true'
    free = 'truncate -s -256k "$DISK/fill"'
    scenario("full", f"{EXT4}; {fill}; {free}", ext4)


def test_an_aborted_ext4(scenario, ext4) -> None:
    scenario("aborted", EXT4, ext4)


def test_the_writer_tries_again_by_itself(scenario, disk) -> None:
    scenario("recovers_alone", TMPFS, disk)


def test_a_disk_that_is_read_only_at_the_start(scenario, disk) -> None:
    scenario("read_only_at_start", TMPFS, disk)


def test_an_append_only_file_is_repaired_by_appending(scenario, ext4) -> None:
    scenario("append_only", EXT4, ext4)


def test_an_immutable_file_refuses(scenario, ext4) -> None:
    scenario("attribute_immutable", EXT4, ext4)


def cause(path: Path, lock: Path | None = None) -> str:
    with pytest.raises(EvidenceError) as caught:
        Active(path, lock)
    return caught.value.cause


def test_a_second_writer_is_refused_in_this_process_and_in_another(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    first = Active(path)
    assert cause(path) == "locked"
    script = f"""
from pathlib import Path
from relay_shell.evidence.active import Active
from relay_shell.evidence.errors import EvidenceError
try:
    Active(Path({str(path)!r}))
except EvidenceError as error:
    print(error.cause)
"""
    other = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout == "locked\n"
    first.close()
    Active(path).close()


def test_a_lock_of_its_own_keeps_readers_from_blocking_the_writer(tmp_path: Path) -> None:
    import fcntl

    path, lock = tmp_path / "audit.jsonl", tmp_path / "lock"
    path.touch(0o640)
    with path.open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        assert cause(path) == "locked"
        first = Active(path, lock)
        assert cause(path, lock) == "locked"
        first.close()


@pytest.mark.parametrize("locked", ["the record itself", "a file of its own"])
def test_of_writers_that_begin_at_once_one_wins_and_the_rest_find_it_locked(
    tmp_path: Path, locked: str
) -> None:
    """None of them may take another's making of the file for a fault of the disk."""
    contenders = 8
    begin = threading.Barrier(contenders)

    def contend(directory: Path) -> Active | EvidenceError:
        lock = None if locked == "the record itself" else directory / "lock"
        begin.wait()
        try:
            return Active(directory / "audit.jsonl", lock)
        except EvidenceError as error:
            return error

    with ThreadPoolExecutor(contenders) as threads:
        for number in range(200):
            directory = tmp_path / str(number)
            directory.mkdir()
            outcomes = list(threads.map(contend, [directory] * contenders))
            winners = [outcome for outcome in outcomes if isinstance(outcome, Active)]
            losers = [outcome.cause for outcome in outcomes if isinstance(outcome, EvidenceError)]
            for winner in winners:
                winner.close()
            assert (len(winners), losers) == (1, ["locked"] * (contenders - 1))


def test_files_that_others_control_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch()
    path.chmod(0o660)
    assert cause(path) == "untrusted"
    path.chmod(0o640)
    (tmp_path / "second").hardlink_to(path)
    assert cause(path) == "untrusted"
    path.unlink()
    path.symlink_to(tmp_path / "second")
    assert cause(path) == "untrusted"
    path.unlink()
    os.mkfifo(path, 0o600)
    assert cause(path) == "untrusted"
    path.unlink()
    path.mkdir()
    assert cause(path) == "untrusted"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch(0o640)
    os.chown(path, 12345, 0)
    assert cause(path) == "untrusted"


def test_a_missing_directory(tmp_path: Path) -> None:
    assert cause(tmp_path / "gone" / "audit.jsonl") == "lost"


def test_the_attribute_is_lost_and_set_again(scenario, ext4) -> None:
    scenario("attribute_lost", EXT4, ext4)


def test_the_next_file_is_to_have_the_attribute(scenario, ext4) -> None:
    scenario("attribute_of_the_next_file", EXT4, ext4)


def test_calls_go_on_with_a_full_disk_where_a_setting_says_so(scenario, disk) -> None:
    scenario("full_and_calls_go_on", TMPFS, disk)


def test_a_file_is_steady_until_its_path_names_another(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = Active(path)
    assert file.steady() and not file.replaced()
    path.rename(tmp_path / "audit.jsonl.1")
    assert not file.steady() and not file.replaced()
    # Back again, but for a moment it was astray: the slower look forgets that.
    (tmp_path / "audit.jsonl.1").rename(path)
    assert not file.steady()
    assert not file.replaced() and file.steady()
    path.unlink()
    assert not file.steady() and file.replaced()
    path.touch(0o640)
    assert not file.steady() and file.replaced()
    old = file.switch()
    assert old is not None and file.steady()
    os.close(old)
    file.close()
