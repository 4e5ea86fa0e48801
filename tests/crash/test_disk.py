"""The disk of the trials: what was flushed outlives a cut, and what was not may not."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from crash.disk import Disk, formatted, mounted, usable
from crash.fuse import SECTOR, Cache


def test_a_cut_takes_sectors_that_were_not_flushed_and_no_others() -> None:
    fates = set()
    for seed in range(40):
        cache = Cache(bytes(8 * SECTOR))
        cache.write(0, b"a" * 4 * SECTOR)
        cache.flush()
        cache.write(2 * SECTOR, b"b" * 4 * SECTOR)
        assert cache.now == b"a" * 2 * SECTOR + b"b" * 4 * SECTOR + bytes(2 * SECTOR)
        cache.cut(random.Random(seed))
        sectors = [bytes(cache.kept[at : at + SECTOR]) for at in range(0, 8 * SECTOR, SECTOR)]
        assert sectors[:2] == [b"a" * SECTOR] * 2 and sectors[6:] == [bytes(SECTOR)] * 2
        assert all(s in (b"b" * SECTOR, b"a" * SECTOR) for s in sectors[2:4])
        assert all(s in (b"b" * SECTOR, bytes(SECTOR)) for s in sectors[4:6])
        fates.add(b"".join(s[:1] for s in sectors[2:6]))
    # All, none, and some in between.
    assert {b"bbbb", b"aa\0\0"} < fates


@pytest.mark.slow
@pytest.mark.skipif(bool(usable()), reason=usable() or "none")
def test_a_file_system_keeps_what_fdatasync_answered_for(tmp_path: Path) -> None:
    disk = Disk(formatted(tmp_path / "empty.img"), tmp_path)
    try:
        with open(disk.place / "synced", "wb", buffering=0) as file:
            file.write(b"x" * 10_000)
            os.fdatasync(file.fileno())
        disk.cut(1)
        with pytest.raises(OSError), open(disk.place / "synced", "ab", buffering=0) as file:
            file.write(b"z" * 10_000)
            os.fdatasync(file.fileno())
    finally:
        disk.close()
    with mounted(disk.left, tmp_path / "again"):
        assert (tmp_path / "again/synced").read_bytes() == b"x" * 10_000
