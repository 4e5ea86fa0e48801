"""The record beside its copy: the journal of this host, or journal files received on another.

The copy is read by journalctl(1), and only entries of the broker's own unit count: journald takes
`_SYSTEMD_UNIT` from the kernel, so that nobody else can add to it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .files import DAMAGE, lines, opened, streams
from .histories import Entry, Histories
from .verify import Finding

if TYPE_CHECKING:
    from .signing import Keys

UNIT = "relay-shell.service"
FIELDS = "_MACHINE_ID,_HOSTNAME,_BOOT_ID,RELAY_SEQ,RELAY_CHAIN,RELAY_PREV,RELAY_TS"
SHOWN = 20
"""Ranges of numbers that are named one by one."""

_PLACE = re.compile(rb'^\{"v":[0-9]+,"seq":([0-9]{1,18}),.*"chain":"([0-9a-f]{64})"\}$')
_DIGEST = re.compile(r"[0-9a-f]{64}")

Numbers = Mapping[int, bytes]
"""Chain value by number of the record."""


class CopyFault(ValueError):
    """The copy cannot be read, or not told from another's."""


class Copy(NamedTuple):
    """What a copy holds of one host."""

    histories: Histories
    machine: str = ""
    """The host that it is of: its machine-id(5), or its name where that was asked for."""

    signatures: Sequence[tuple[str, int, str]] = ()
    """Checkpoints in it that do not hold: finding, number, detail."""


def read(directory: str | None, machine: str, here: Numbers, keys: Keys | None = None) -> Copy:
    """Read the journal of this host, or the journal files in a directory.

    Args:
        machine: the host that wrote the record, by machine-id(5) or by name; by default the one
            whose records are those here, this one, or the only one that is in there.
        here: the record that it will be compared with.
        keys: those that may sign checkpoints; what the copy holds of these is checked then.

    Raises:
        CopyFault: journalctl fails, or there are several hosts to choose from.
    """
    if directory is not None and not os.path.isdir(directory):
        raise CopyFault(f"{directory} is no directory")
    if directory is None:
        _sync()
    fields = FIELDS if keys is None else f"{FIELDS},RELAY_EVENT,RELAY_FACTS"
    argv = ["journalctl", "--quiet", "--no-pager", "--output=json", f"--output-fields={fields}"]
    if directory is not None:
        argv.append(f"--directory={directory}")
    argv += [f"_SYSTEMD_UNIT={UNIT}", "SYSLOG_IDENTIFIER=relay-shell"]
    found: dict[str, Histories] = {}
    wrong: dict[str, list[tuple[str, int, str]]] = {}
    for facts in _entries(argv):
        entry = _entry(facts)
        ident = str(facts.get("_MACHINE_ID", ""))
        if entry is None or machine not in ("", ident, entry.host):
            continue
        found.setdefault(ident, Histories()).add(entry)
        if keys is not None and facts.get("RELAY_EVENT") == "checkpoint":
            wrong.setdefault(ident, []).extend(_checkpoint(facts, entry, keys))
    ident = _choose(found, machine, here)
    return Copy(found.get(ident, Histories()), machine or ident, wrong.get(ident, []))


def _entry(facts: Mapping[str, Any]) -> Entry | None:
    seq, chain, prev = (str(facts.get(f"RELAY_{name}")) for name in ("SEQ", "CHAIN", "PREV"))
    if not (seq.isdecimal() and len(seq) < 19 and _DIGEST.fullmatch(chain)):
        return None
    return Entry(
        int(seq),
        bytes.fromhex(chain),
        bytes.fromhex(prev) if _DIGEST.fullmatch(prev) else b"",
        sys.intern(str(facts.get("_HOSTNAME", ""))),
        sys.intern(str(facts.get("_BOOT_ID", ""))),
        str(facts.get("RELAY_TS", "")),
    )


def _checkpoint(
    facts: Mapping[str, Any], entry: Entry, keys: Keys
) -> Iterator[tuple[str, int, str]]:
    """What is wrong with a checkpoint in the copy."""
    try:
        said = json.loads(str(facts.get("RELAY_FACTS")))
    except (ValueError, RecursionError):
        said = None
    said = said if isinstance(said, dict) else {}
    where = f"record {entry.seq} of the copy"
    if (said.get("seq"), said.get("chain")) != (entry.seq - 1, entry.prev.hex()):
        yield "signature", entry.seq, f"{where} does not seal the one before it"
    elif said.get("key") not in keys:
        yield "unknown-key", entry.seq, f"{where}, key {str(said.get('key'))[:16]!r}"
    elif not keys.holds(said):
        yield "signature", entry.seq, f"{where}, the signature is not of its key"


def _choose(found: Mapping[str, Histories], machine: str, here: Numbers) -> str:
    """The host that the record here is of.

    Raises:
        CopyFault: that cannot be told.
    """
    if len(found) < 2:
        return next(iter(found), machine)
    # A chain value in common is proof, whatever either host is called.
    same = [ident for ident, copy in found.items() if copy.shares(here)]
    if len(same) == 1:
        return same[0]
    try:
        own = Path("/etc/machine-id").read_text().strip()
    except OSError:
        own = ""
    if own in found and not machine:
        return own
    hosts = ", ".join(f"{ident} ({' '.join(found[ident].hosts)})" for ident in sorted(found))
    raise CopyFault(f"it holds {len(found)} hosts, name one with --machine: {hosts}")


def _sync() -> None:
    """Have journald write what it holds; where it does not run, there is nothing to wait for."""
    try:
        subprocess.run(
            ["journalctl", "--sync"], check=False, capture_output=True, stdin=subprocess.DEVNULL
        )
    except OSError:
        return


def _entries(argv: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What journalctl prints, entry by entry: a journal may be larger than the memory.

    Raises:
        CopyFault: it cannot be run, or complains.
    """
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints
            )
        except OSError as error:
            raise CopyFault(f"{argv[0]}: {error.strerror}") from None
        with process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    yield json.loads(line)
            except ValueError:
                # Half a line, where journalctl was ended.
                process.kill()
                process.wait()
                raise CopyFault(f"{argv[0]}: what it prints is no JSON") from None
        complaints.seek(0)
        said = complaints.read(4096).decode(errors="replace").strip()
    # journalctl --quiet ends with 1 where nothing matches.
    if process.returncode and (said or process.returncode != 1):
        reason = said.splitlines()[0] if said else f"ended with {process.returncode}"
        raise CopyFault(f"journalctl: {reason}")


def compare(
    path: Path,
    read_copy: Callable[[Numbers], Copy],
    *,
    rotated: bool = True,
    complete: bool = False,
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
    except DAMAGE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return [Finding("unreadable", place, 0, 0, reason)]
    try:
        copy = read_copy(here)
    except CopyFault as error:
        return [Finding("copy", place, 0, 0, str(error))]
    there = copy.histories
    if not len(there):
        of_host = f" of host {copy.machine}" if copy.machine else ""
        return [Finding("copy", place, 0, 0, f"it holds no record of {UNIT}{of_host}")]
    first, last = there.first, there.last
    # Records before the first one here have expired, or were cut off: the chain's `head` says so.
    start = min(here, default=0)
    end = max(here, default=0)
    within = [n for n in here if first < n < last and n not in there]
    beyond = [n for n in here if n > last]
    missing = [
        n for n in there.lineage(here) if n not in here and n > start and (rotated or n < end)
    ]
    found = {
        "differs": [n for n, chain in here.items() if n in there and not there.holds(n, chain)],
        "removed": missing,
        "absent": within + beyond if complete else within,
        "pending": [] if complete else beyond,
    }
    return [
        *(Finding("forked", place, 0, seq, text) for seq, text in there.forks(here)),
        *(Finding(kind, place, 0, seq, text) for kind, seq, text in copy.signatures[:SHOWN]),
        *(
            Finding(kind, place, 0, numbers[0], ranges(numbers))
            for kind, numbers in ((kind, sorted(set(numbers))) for kind, numbers in found.items())
            if numbers
        ),
    ]


def _numbers(path: Path, rotated: bool) -> Iterator[tuple[int, bytes]]:
    files, active = opened(path) if rotated else ([path], None)
    for _, stream in streams(files, path, active):
        for line in lines(stream):
            if place := _PLACE.match(line):
                yield int(place[1]), bytes.fromhex(place[2].decode())


def ranges(numbers: Sequence[int]) -> str:
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
