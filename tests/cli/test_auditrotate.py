"""The step of a rotation, on a file system with attributes; the rest is tested in a machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.process import poll
from relay_shell.cli import auditrotate
from relay_shell.cli.auditrotate import APPEND, IMMUTABLE, _clear, _flags, _set, rotate
from relay_shell.evidence.verify import verify_chain


@pytest.fixture
def path(tmp_path: Path):
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"one\n")
    path.chmod(0o640)
    if os.geteuid() or attributes(path) is None:
        pytest.skip("needs root and a file system with attributes")
    with path.open("rb") as file:
        _set(file.fileno(), APPEND)
    yield path
    for file in tmp_path.iterdir():
        with file.open("rb") as handle:
            _clear(handle.fileno(), APPEND | IMMUTABLE)


def attributes(path: Path) -> int | None:
    with path.open("rb") as file:
        return _flags(file.fileno())


def test_the_record_goes_on_in_an_empty_file(path):
    with path.open("ab") as writer:
        rotated = rotate(path)
        assert rotated is not None and rotated.name.startswith("audit.jsonl-")
        writer.write(b"two\n")
    assert (rotated.read_bytes(), path.read_bytes()) == (b"one\ntwo\n", b"")
    assert path.stat().st_mode & 0o777 == 0o640
    assert attributes(path) & APPEND and attributes(rotated) & APPEND
    assert rotate(path) is None


def test_a_name_that_exists_is_not_taken(path, monkeypatch):
    monkeypatch.setattr(auditrotate.time, "time", lambda: 1767225600.0)
    taken = path.with_name("audit.jsonl-20260101-1767225600")
    taken.write_bytes(b"mine")
    assert rotate(path) == path.with_name("audit.jsonl-20260101-1767225600-1")
    assert taken.read_bytes() == b"mine"


def test_a_step_that_fails_leaves_all_as_it_was(path, monkeypatch):
    def fail(path: Path, target: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(auditrotate, "_swap", fail)
    with pytest.raises(OSError, match="Input/output"):
        rotate(path)
    assert [p.name for p in path.parent.iterdir()] == ["audit.jsonl"]
    assert attributes(path) & APPEND


@pytest.mark.parametrize("whom", ["os.kill(os.getpid(), 9)", "os.killpg(0, 9)"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_leaves_the_attribute_on(path, moment, whom):
    """SIGKILL to the rotating process or its group, just before and just after the exchange.

    timeout(1) kills the group; the guard may be slow to leave it.
    """
    program = f"""
import os, signal, sys, time
leave = os.setsid
os.setsid = lambda: (time.sleep(0.3), leave())
from pathlib import Path
from relay_shell.cli import auditrotate
swap = auditrotate._swap
def killed(path, target):
    if {moment == "after"}:
        swap(path, target)
    {whom}
auditrotate._swap = killed
auditrotate.rotate(Path(sys.argv[1]))
"""
    # The guard holds standard error until it has ended, so this waits for it.
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        stderr=subprocess.PIPE,
        check=False,
        start_new_session=True,
    )
    assert done.returncode == -9
    files = sorted(path.parent.iterdir())
    assert len(files) == (2 if moment == "after" else 1)
    assert all(attributes(file) & APPEND for file in files)


def test_no_record_falls_between_the_files_of_a_busy_writer(path):
    """A writer at full speed, and ten rotations; it stops when its standard input ends."""
    with path.open("rb") as file:
        _clear(file.fileno(), APPEND)
    path.write_bytes(b"")
    program = """
import select, sys
from relay_shell.evidence.writer import Writer
writer = Writer(sys.argv[1])
print(flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(50):
        writer.append_now({"event": "note", "what": "load"})
print(writer.seq, writer.inode)
writer.close()
"""
    argv = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin and writer.stdout
        writer.stdout.readline()
        for _ in range(10):
            before = path.stat().st_ino
            poll(lambda: path.stat().st_size > 100_000, 30, "the writer goes on in the new file")
            assert rotate(path) is not None
            assert path.stat().st_ino != before
        poll(lambda: path.stat().st_size, 30, "the writer goes on in the last file")
        writer.stdin.close()
        last, inode = map(int, writer.stdout.read().split())
    assert inode == path.stat().st_ino
    report = verify_chain(path)
    assert report.whole and not report.findings, report.findings
    assert (report.first, report.last, report.records) == (1, last, last)
    assert len(report.files) == 11 and all(attributes(Path(f)) & APPEND for f in report.files)


def test_where_names_cannot_be_exchanged(path, monkeypatch):
    rename = auditrotate._rename

    def without_exchange(source: Path, target: Path, flags: int) -> None:
        if flags == 2:
            raise OSError(22, "Invalid argument")
        rename(source, target, flags)

    monkeypatch.setattr(auditrotate, "_rename", without_exchange)
    rotated = rotate(path)
    assert (rotated.read_bytes(), path.read_bytes()) == (b"one\n", b"")
    assert attributes(path) & APPEND and attributes(rotated) & APPEND


def test_a_link_is_not_followed(path):
    other = path.with_name("other")
    other.symlink_to(path)
    with pytest.raises(OSError):
        rotate(other)
