"""The record beside its copy: the journal of this host, or journal files received on another.

The copy is read by journalctl(1), and only entries of the broker's own unit count: journald takes
`_SYSTEMD_UNIT` from the kernel, so that nobody else can add to it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .files import lines, open_file, segments
from .verify import Finding

UNIT = "relay-shell.service"
FIELDS = "_MACHINE_ID,RELAY_SEQ,RELAY_CHAIN,RELAY_PREV"
SHOWN = 20
"""Ranges of numbers that are named one by one."""

_PLACE = re.compile(rb'^\{"v":[0-9]+,"seq":([0-9]{1,18}),.*"chain":"([0-9a-f]{64})"\}$')


class CopyFault(ValueError):
    """The copy cannot be read, or not told from another's."""


class Copy(NamedTuple):
    """What a copy holds."""

    chains: dict[int, str]
    """Chain value by number of the record."""
    forked: list[int]
    """Numbers of which it holds two different records, or whose predecessor is another's."""
    machine: str
    """The host that it is of, as in machine-id(5)."""


def read(directory: str | None = None, machine: str = "") -> Copy:
    """Read the journal of this host, or the journal files in a directory.

    Args:
        machine: the host that wrote the record; by default this one if it is in there, or the
            only one that is.

    Raises:
        CopyFault: journalctl fails, or there are several hosts to choose from.
    """
    if directory is None:
        _run(["journalctl", "--sync"], required=False)
    elif not os.path.isdir(directory):
        raise CopyFault(f"{directory} is no directory")
    argv = ["journalctl", "--quiet", "--no-pager", "--output=json", f"--output-fields={FIELDS}"]
    if directory is not None:
        argv.append(f"--directory={directory}")
    argv += [f"_SYSTEMD_UNIT={UNIT}", "SYSLOG_IDENTIFIER=relay-shell"]
    found: dict[str, dict[int, dict[str, str]]] = {}
    for line in _run(argv).splitlines():
        entry = json.loads(line)
        try:
            seq, chain = int(entry["RELAY_SEQ"]), str(entry["RELAY_CHAIN"])
        except (KeyError, TypeError, ValueError):
            continue
        of_host = found.setdefault(str(entry.get("_MACHINE_ID", "")), {})
        of_host.setdefault(seq, {})[chain] = str(entry.get("RELAY_PREV", ""))
    host = _choose(found, machine)
    entries = found.get(host, {})
    chains = {seq: next(iter(values)) for seq, values in entries.items()}
    forked = [seq for seq, values in entries.items() if len(values) > 1]
    forked += [
        seq
        for seq, values in entries.items()
        if seq - 1 in chains and len(values) == 1 and chains[seq - 1] not in values.values()
    ]
    return Copy(chains, sorted(set(forked)), host)


def _choose(found: dict[str, dict[int, dict[str, str]]], machine: str) -> str:
    if machine or not found:
        return machine
    try:
        own = Path("/etc/machine-id").read_text().strip()
    except OSError:
        own = ""
    if own in found:
        return own
    if len(found) > 1:
        raise CopyFault(f"it holds {len(found)} hosts, name one: {' '.join(sorted(found))}")
    return next(iter(found))


def _run(argv: Sequence[str], required: bool = True) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        if required:
            raise CopyFault(f"{argv[0]}: {error.strerror}") from None
        return ""
    # journalctl --quiet ends with 1 where nothing matches.
    said = done.stderr.decode(errors="replace").strip()
    if required and done.returncode and said:
        raise CopyFault(f"journalctl: {said.splitlines()[0]}")
    return done.stdout.decode(errors="replace")


def compare(
    path: Path, read_copy: Callable[[], Copy], *, rotated: bool = True, complete: bool = False
) -> list[Finding]:
    """What the record at `path` and its copy differ in.

    Args:
        read_copy: reads the copy; called after the record was read, so that what is written
            meanwhile is in the copy rather than missing there.
        rotated: False compares the one file.
        complete: the copy must hold the last records too, as the local journal does; otherwise
            they may be on their way.
    """
    place = str(path)
    try:
        here = dict(_numbers(path, rotated))
    except OSError as error:
        return [Finding("unreadable", place, 0, 0, error.strerror or str(error))]
    try:
        copy = read_copy()
    except CopyFault as error:
        return [Finding("copy", place, 0, 0, str(error))]
    if not copy.chains:
        of_host = f" of host {copy.machine}" if copy.machine else ""
        return [Finding("copy", place, 0, 0, f"it holds no record of {UNIT}{of_host}")]
    first, last = min(copy.chains), max(copy.chains)
    # Records before the first one here have expired, or were cut off: the chain's `head` says so.
    start = min(here, default=0)
    end = max(here, default=0)
    within = [n for n in here if first < n < last and n not in copy.chains]
    beyond = [n for n in here if n > last]
    missing = [n for n in copy.chains if n not in here and n > start and (rotated or n < end)]
    found = {
        "forked": copy.forked,
        "differs": [n for n, chain in here.items() if copy.chains.get(n, chain) != chain],
        "removed": missing,
        "absent": within + beyond if complete else within,
        "pending": [] if complete else beyond,
    }
    return [
        Finding(kind, place, 0, numbers[0], _ranges(numbers))
        for kind, numbers in ((kind, sorted(set(numbers))) for kind, numbers in found.items())
        if numbers
    ]


def _numbers(path: Path, rotated: bool) -> Iterator[tuple[int, str]]:
    for file in segments(path) if rotated else [path]:
        with open_file(file) as stream:
            for line in lines(stream):
                if place := _PLACE.match(line):
                    yield int(place[1]), place[2].decode()


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers in words: record 3, 5 to 90."""
    out: list[str] = []
    start = last = numbers[0]
    for number in [*numbers[1:], -1]:
        if number == last + 1:
            last = number
            continue
        out.append(f"{start}" if start == last else f"{start} to {last}")
        start = last = number
    more = f" and {len(out) - SHOWN} more ranges" if len(out) > SHOWN else ""
    return f"record {', '.join(out[:SHOWN])}{more}"
