"""io.stat of a cgroup: what its processes moved to and from devices."""

from __future__ import annotations

import os
from typing import NamedTuple


class Moved(NamedTuple):
    """What io.stat sums up to: octets and operations."""

    read: int
    write: int
    reads: int
    writes: int


def parse_io(text: bytes) -> Moved:
    """Sum up io.stat (Documentation/admin-guide/cgroup-v2.rst) over the devices.

    A device that carries another one listed (LVM, md, crypt) is left out: the same octets would
    count twice.
    """
    rows: dict[str, dict[bytes, int]] = {}
    for line in text.splitlines():
        number, *pairs = line.split()
        split = (pair.partition(b"=") for pair in pairs)
        rows[number.decode("ascii", "replace")] = {
            name: int(value) for name, _, value in split if value.isdigit()
        }
    if len(rows) > 1:
        for device in [below for upper in list(rows) for below in _carriers(upper)]:
            rows.pop(device, None)
    return Moved(
        *(
            sum(row.get(name, 0) for row in rows.values())
            for name in (b"rbytes", b"wbytes", b"rios", b"wios")
        )
    )


def _carriers(device: str, sysfs: str = "/sys/dev/block", depth: int = 0) -> list[str]:
    """Whole devices that a stacked one lies on, at any depth."""
    found: list[str] = []
    try:
        slaves = os.listdir(f"{sysfs}/{device}/slaves") if depth < 8 else []
    except OSError:
        return found
    for name in slaves:
        path = os.path.realpath(f"{sysfs}/{device}/slaves/{name}")
        if os.path.exists(f"{path}/partition"):
            path = os.path.dirname(path)
        try:
            with open(f"{path}/dev", encoding="ascii") as file:
                below = file.read().strip()
        except OSError:
            continue
        found += [below, *_carriers(below, sysfs, depth + 1)]
    return found
