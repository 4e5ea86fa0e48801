"""`relay-shell forward watch`: tell the broker which record the collector holds.

The program of relay-shell-ack.service, which runs as the account of systemd-journal-upload, since
nobody else may read the place that this keeps: the cursor of the last entry that the collector has
answered for. From there back, the last record in the journal is what the collector holds for sure.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..wire.errors import RelayError

STATE = "state"
"""File of systemd-journal-upload(8) in its state directory."""

FILE = "acknowledged"
"""File in the runtime directory; setting paths.acknowledged."""

Find = Callable[[str], "tuple[int, str] | None"]

_IN_CLOSE_WRITE, _IN_MOVED_TO = 0x8, 0x80
_IN_CLOEXEC = 0o2000000


def run() -> int:
    """Publish at every change, until the service is stopped."""
    directories = [os.environ.get(f"{name}_DIRECTORY", "") for name in ("STATE", "RUNTIME")]
    if not all(directories):
        error = RelayError("Unavailable", reason="this is for relay-shell-ack.service")
        error.next_step = "'relay-shell forward enable' starts it."
        raise error
    state, runtime = Path(directories[0]), Path(directories[1])
    find = finder()
    for _ in changes(state):
        publish(state / STATE, runtime / FILE, find)
    return 0


def cursor(path: Path) -> str:
    """Where the uploader is; empty if it has uploaded nothing yet."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return ""
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name == "LAST_CURSOR":
            return value
    return ""


def publish(state: Path, target: Path, find: Find) -> None:
    """Write which record the collector holds, if the state says of one."""
    place = cursor(state)
    found = find(place) if place else None
    if found is None:
        return
    new = target.with_name(f"{target.name}.new")
    new.write_text(json.dumps({"seq": found[0], "ts": found[1]}) + "\n")
    new.chmod(0o644)
    new.replace(target)


def finder() -> Find:
    """What finds the last record of the broker up to a place in the journal of this host.

    Raises:
        RelayError: Unavailable, without python3-systemd.
    """
    try:
        from systemd import journal
    except ImportError:
        raise RelayError("Unavailable", reason="python3-systemd is not installed") from None
    reader = journal.Reader(flags=journal.LOCAL_ONLY)
    # Only what journald took from the broker itself; sd_journal_process(3) follows new files.
    reader.add_match(_SYSTEMD_UNIT="relay-shell.service")
    reader.add_match(SYSLOG_IDENTIFIER="relay-shell")
    reader.fileno()

    def find(place: str) -> tuple[int, str] | None:
        reader.process()
        reader.seek_cursor(place)
        while entry := reader.get_previous():
            known = record(entry)
            if known is not None:
                return known
        return None

    return find


def record(entry: dict[str, Any]) -> tuple[int, str] | None:
    """Number and time of the record that a journal entry holds, None if it holds none."""
    seq, ts = str(entry.get("RELAY_SEQ", "")), entry.get("RELAY_TS")
    if not seq.isdigit() or not isinstance(ts, str):
        return None
    return int(seq), ts


def changes(directory: Path) -> Iterator[None]:
    """Yield at once, and whenever a file in the directory was written or replaced (inotify(7)).

    Raises:
        OSError: it cannot be watched.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(_IN_CLOEXEC)
    wanted = _IN_CLOSE_WRITE | _IN_MOVED_TO
    if fd < 0 or libc.inotify_add_watch(fd, os.fsencode(directory), wanted) < 0:
        raise OSError(ctypes.get_errno(), "cannot be watched", str(directory))
    while True:
        yield
        os.read(fd, 65536)
