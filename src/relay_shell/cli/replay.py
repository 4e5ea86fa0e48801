"""`relay-shell replay`: list, check, play and export recordings of sessions."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import IO

from ..evidence import cast
from ..wire.errors import RelayError
from .castexport import FORMATS, export
from .castfiles import WHATS, Known, known, open_file, verify
from .escapes import Filter, filtered
from .freeze import principal
from .parser import Subparsers, add_json, add_socket
from .place import setting
from .player import Pace, play, shown
from .records import Filters, source
from .selection import add_file, add_filters
from .term import Style, duration, safe, size, table

DESCRIPTION = """\
Play what a session showed. Without ID, list the sessions; how much was kept of each is decided by
recording.mode. Before anything is shown the file is compared with the digests in the record; a
file that differs is refused. What could act on this terminal instead of painting on it (clipboard,
queries, titles, printing, mouse) is left out; --raw lets it through."""

EXAMPLES = """\
examples:
  relay-shell replay
  relay-shell replay s1.abcdefgh --idle-limit 1
  relay-shell replay k-0123456789abcdef --at 1:30 --speed 4
  relay-shell replay --check
  relay-shell replay s1.abcdefgh --format asciicast-v3 > session.cast
  relay-shell replay s1.abcdefgh --format tlog > session.log; tlog-play -i session.log"""


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's options."""
    parser = subparsers.add_parser("replay", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument(
        "id", metavar="ID", nargs="?", help="a session, the call that started it, or a file"
    )
    parser.add_argument(
        "--speed", type=_positive, default=1.0, metavar="N", help="N times as fast (default 1)"
    )
    parser.add_argument(
        "--idle-limit", type=_positive, default=0.0, metavar="SECONDS", help="longest pause"
    )
    parser.add_argument(
        "--at", type=_offset, default=0.0, metavar="TIME", help="begin there: 90, 1:30 or 1:02:03"
    )
    parser.add_argument("--cat", action="store_true", help="print the output at once")
    parser.add_argument(
        "--raw", action="store_true", help="let every control sequence through, also in exports"
    )
    parser.add_argument(
        "--format", choices=FORMATS, help="print the recording in this format instead of playing"
    )
    parser.add_argument(
        "--check", action="store_true", help="only compare with the record; without ID all of them"
    )
    parser.add_argument(
        "--unverified", action="store_true", help="go on although the file is not as recorded"
    )
    add_filters(parser, "list")
    add_json(parser, "print one JSON object a line")
    add_file(parser)
    add_socket(parser)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1e6:
        raise argparse.ArgumentTypeError("must be above 0")
    return number


def _offset(text: str) -> float:
    total = 0.0
    parts = text.split(":")
    if len(parts) > 3 or not all(part.replace(".", "", 1).isdecimal() for part in parts):
        raise argparse.ArgumentTypeError("must be seconds, M:SS or H:MM:SS")
    for part in parts:
        total = total * 60 + float(part)
    return total


def run(args: argparse.Namespace) -> int:
    """List, check, export or play."""
    rows = _rows(args)
    if args.check:
        if args.id is not None:
            _wanted(args.id, rows)
        return _check(args, rows.values())
    if args.id is None:
        return _list(args, rows.values())
    row = _wanted(args.id, rows)
    if row.removed:
        missing = RelayError(
            "NotFound", reason=f"{safe(row.path)} was removed: {safe(row.removed)}"
        )
        missing.next_step = "recording.days and recording.total_bytes say how long they are kept."
        raise missing
    if not row.path:
        missing = RelayError("NotFound", reason=f"{safe(row.session)} was not recorded")
        missing.next_step = 'Set recording.mode = "output" or a rule\'s recording in access.toml.'
        raise missing
    with open_file(row.path) as file:
        _admit(args, row, file)
        return _show(args, row, file)


def _rows(args: argparse.Namespace) -> dict[str, Known]:
    wanted: dict[str, object] = {"event": "session", "what": list(WHATS)}
    if args.id is None:
        wanted |= {"since": args.since, "until": args.until}
        wanted["principal"] = None if args.principal is None else principal(args.principal)
    elif args.id.startswith("k-"):
        wanted["call_id"] = args.id
    else:
        wanted["detail"] = _session(args.id)
    where = source(args.file, Path(setting("paths.audit")), args.socket)
    return known(where.last(0, Filters(wanted)))


def _session(ident: str) -> str:
    """The session that an argument names; a file's name ends with it."""
    name = Path(ident).name
    return name.removesuffix(cast.SUFFIX).rpartition("_")[2] if name.endswith(cast.SUFFIX) else name


def _wanted(ident: str, rows: dict[str, Known]) -> Known:
    found = list(rows.values())
    if not found:
        missing = RelayError("NotFound", reason=f"no session {safe(ident)!r} in the record")
        missing.next_step = "'relay-shell replay' lists the sessions."
        raise missing
    if "/" in ident:
        found[-1].path = ident
    return found[-1]


def _admit(args: argparse.Namespace, row: Known, file: IO[bytes]) -> None:
    """Refuse a file that is not as recorded, unless that is wanted; say what is not known."""
    wrong = verify(row, file)
    if wrong:
        if not args.unverified:
            changed = RelayError("Changed", reason=f"{safe(row.path)}: {wrong}")
            raise changed
        _say(f"NOT AS RECORDED: {wrong}")
    elif not row.ended:
        _say(f"no end is recorded; the first {row.bytes} bytes are as recorded")
    if row.incomplete:
        _say(f"incomplete: {safe(row.incomplete)}")


def _show(args: argparse.Namespace, row: Known, file: IO[bytes]) -> int:
    sieve = None if args.raw else Filter()
    try:
        header = cast.read_header(file)
        events = shown(cast.read_events(file), sieve)
        if args.format:
            for line in export(args.format, header, events):
                sys.stdout.write(line)
            notes = []
        else:
            notes = play(events, Pace(0 if args.cat else args.speed, args.idle_limit, args.at))
    except cast.CastError as error:
        raise RelayError("Changed", reason=f"{safe(row.path)}: {error}") from None
    except KeyboardInterrupt:
        return 130
    for note in islice(notes, 100):
        _say(f"at {duration(note.time)}: {safe(note.text.removeprefix(cast.OWN))}")
    if sieve is not None and sieve.counts:
        _say(f"left out: {filtered(sieve.counts)}; --raw lets it through")
    return 0


def _check(args: argparse.Namespace, rows: Iterable[Known]) -> int:
    bad = looked = 0
    for row in rows:
        if not row.path or row.removed:
            continue
        looked += 1
        try:
            with open_file(row.path) as file:
                wrong = verify(row, file)
        except RelayError as error:
            wrong = error.message
        bad += bool(wrong)
        if args.json:
            print(json.dumps(row.as_json() | {"sound": not wrong, "wrong": wrong}))
        else:
            print(f"{safe(row.session)}: {safe(wrong) if wrong else row.state + ', as recorded'}")
    if bad:
        raise RelayError("Changed", reason=f"{bad} recordings are not as recorded")
    if not looked and not args.json:
        _say("there are no recordings to check")
    return 0


def _list(args: argparse.Namespace, rows: Iterable[Known]) -> int:
    if args.json:
        for row in rows:
            print(json.dumps(row.as_json()))
        return 0
    head = ("SESSION", "STARTED", "PRINCIPAL", "KEPT", "LENGTH", "SIZE", "STATE", "TITLE")
    lines = [
        (
            safe(row.session),
            safe(row.started[:19].replace("T", " ")),
            safe(row.principal),
            safe(row.mode),
            duration(row.seconds),
            size(row.bytes) if row.path else "-",
            row.state,
            safe(row.title[:60]),
        )
        for row in rows
    ]
    if lines:
        print(table(head, lines, Style()))
    else:
        _say("no such session is in the record")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"relay-shell: {text}\n")
