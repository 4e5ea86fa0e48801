"""A disk that forgets at a power cut what was not flushed, below a real ext4.

A FUSE file system of one file is the disk; a loop device over it carries ext4. The kernel's loop
driver turns a write to the disk into FUSE_WRITE and a cache flush (which fdatasync(2) ends in) into
FUSE_FSYNC. So the program that serves the file knows, as a disk with a volatile cache does, what
must survive and what need not: at the cut, each sector written since the last flush is kept or lost
by the throw of a die.

Needs root, /dev/fuse and loop devices; no module of the kernel beyond these.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from crash.fuse import CUT, FILE

SIZE = 32 * 1024 * 1024
LABEL = "-q -F -b 4096 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard".split()


def usable() -> str:
    """Why this machine cannot have such a disk; empty if it can."""
    if os.geteuid():
        return "a disk of its own needs root"
    missing = [name for name in ("/dev/fuse", "/dev/loop-control") if not os.path.exists(name)]
    return f"not here: {' '.join(missing)}" if missing else ""


def formatted(path: Path) -> Path:
    """A file that holds an empty ext4."""
    with path.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", *LABEL, str(path)], check=True, capture_output=True)
    return path


@contextlib.contextmanager
def mounted(image: Path, place: Path) -> Iterator[None]:
    """The file system in a file, mounted; the journal is replayed."""
    place.mkdir(exist_ok=True)
    device = _attach(image)
    try:
        subprocess.run(["mount", "-t", "ext4", device, str(place)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", str(place)], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def _attach(path: Path) -> str:
    argv = ["losetup", "--find", "--show", str(path)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


class Disk:
    """An ext4 at `place` on a disk whose power can be cut.

    Args:
        image: what the disk holds at first; is not changed.
        home: directory for the disk's own files.
    """

    def __init__(self, image: Path, home: Path) -> None:
        self._front, self.place, self.left = home / "fuse", home / "disk", home / "left.img"
        for directory in (self._front, self.place):
            directory.mkdir()
        program = Path(__file__).with_name("fuse.py")
        self._server = subprocess.Popen(
            [sys.executable, str(program), str(image), str(self._front), str(self.left)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._device = ""
        self._mounted = False
        assert self._server.stdout is not None
        try:
            assert self._server.stdout.readline() == "ready\n", "the disk did not start"
            self._device = _attach(self._front / FILE)
            subprocess.run(["mount", "-t", "ext4", self._device, str(self.place)], check=True)
            self._mounted = True
        except BaseException:
            self.close()
            raise

    def cut(self, seed: int) -> str:
        """Cut the power within the next writes: then every access fails, and `left` is what the
        disk holds. Blocks until then.

        Returns what became of the writes that were not flushed.
        """
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(f"{CUT} {seed}\n")
        self._server.stdin.flush()
        return self._server.stdout.readline().strip()

    def close(self) -> None:
        """Let go of everything; nobody may use the file system any more."""
        if self._mounted:
            # After a cut it fails to write what it still holds, which is the point.
            subprocess.run(["umount", str(self.place)], check=False, capture_output=True)
        if self._device:
            subprocess.run(["losetup", "--detach", self._device], check=False, capture_output=True)
        subprocess.run(["umount", "--lazy", str(self._front)], check=False, capture_output=True)
        with contextlib.suppress(BrokenPipeError):
            self._server.communicate(timeout=30)
