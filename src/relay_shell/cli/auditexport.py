"""`relay-shell audit export`: the record for a SIEM, as JSON lines, CEF or LEEF.

Events are sent in batches; the place after a batch is kept only when the whole of it was taken, so
that what is between is sent again after a restart, and nothing is left out.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..evidence.stream import Item, Place, Stream
from ..wire import notify
from ..wire.errors import RelayError
from .freeze import principal
from .install import replace
from .parser import Parser
from .place import setting
from .records import Filters, readable, unrecorded
from .selection import add_call, add_file, add_filters
from .term import safe

if TYPE_CHECKING:
    from .syslogto import Target

FORMATS = ("jsonl", "cef", "leef")
POLL = 0.5
"""Seconds between two looks at the file."""

LONGEST = 30.0
"""Seconds between attempts to reach a receiver, at most."""

BATCH = 256
"""Events that a restart repeats at most."""

CREDENTIAL = "relay-shell.export"

Encoder = Callable[[Item], bytes | None]


def add_options(parser: Parser) -> None:
    """Declare the options."""
    form = parser.add_argument_group("format")
    form.add_argument("--format", choices=FORMATS, default="jsonl", help="default: jsonl")
    form.add_argument(
        "--spec", metavar="VERSION", help="of CEF: 0 (default) or 1; of LEEF: 2.0 (default) or 1.0"
    )
    form.add_argument(
        "--delimiter",
        metavar="CHAR",
        help="between LEEF 2.0 attributes: one character or its number as x5E (default x09, tab)",
    )
    form.add_argument("--host", metavar="NAME", help="whose record it is (default: this host)")
    add_call(add_filters(parser))
    where = parser.add_argument_group("destination")
    target = where.add_mutually_exclusive_group()
    target.add_argument("--output", metavar="FILE", help="append to a file (default: print)")
    target.add_argument(
        "--syslog",
        metavar="ADDRESS",
        help="send to unix:/dev/log, udp:HOST:PORT, tcp:HOST:PORT or tls:HOST[:PORT]",
    )
    where.add_argument(
        "--header",
        choices=["rfc5424", "rfc3164"],
        help="of syslog messages (default rfc5424; rfc3164 for unix)",
    )
    where.add_argument(
        "--tls-ca", metavar="FILE", help="CA of the receiver (default: the system's)"
    )
    where.add_argument("--tls-cert", metavar="FILE", help="this host's certificate")
    where.add_argument("--tls-key", metavar="FILE", help="its private key")
    parser.add_argument("--follow", action="store_true", help="go on with what is written later")
    parser.add_argument(
        "--state", metavar="FILE", help="keep the place there, and go on from it when started again"
    )
    parser.add_argument(
        "--credentials",
        metavar="NAME",
        help="take TLS files from the credentials relay-shell.export.NAME.ca, .cert and .key",
    )
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Export; returns at the end of the record unless it follows."""
    path = Path(args.file or setting("paths.audit"))
    if args.follow and args.until:
        raise RelayError("InvalidArguments", reason="--follow has no end, so --until is for none")
    encode = encoder(args)
    wanted = Filters(
        {
            "principal": args.principal and principal(args.principal),
            "call_id": args.call,
            "since": args.since,
            "until": args.until,
        }
    )
    target = _target(args)
    if not readable(path):
        if path.exists():
            raise RelayError("PermissionDenied", reason=f"{path} is for root and group adm")
        if not args.follow or not path.parent.is_dir():
            raise unrecorded(path)
    state = Path(args.state) if args.state else None
    exporter = Exporter(Stream(path, _place(state)), encode, wanted, target, state)
    try:
        if not args.follow:
            exporter.all()
            return 0
        notify.ready()
        exporter.follow()
    except OSError as error:
        if args.syslog and not args.follow and not error.filename:
            gone = RelayError("Unavailable", reason=f"{args.syslog}: {error.strerror or error}")
            gone.next_step = "Nothing after the last batch that was taken has been sent."
            raise gone from None
        raise
    finally:
        target.close()
    return 0


class Exporter:
    """Takes items of a stream, and sends those that are wanted."""

    def __init__(
        self,
        stream: Stream,
        encode: Encoder,
        wanted: Filters,
        target: Target,
        state: Path | None = None,
    ) -> None:
        self._stream = stream
        self._encode = encode
        self._wanted = wanted
        self._target = target
        self._state = state
        self._kept = stream.place
        self.sent = 0
        """Events sent."""

    def all(self) -> None:
        """Send what is there.

        Raises:
            OSError: it could not be sent; the place is after the last batch that was.
        """
        while items := self._stream.read(BATCH):
            self._send(self._messages(items))
            self.keep()

    def follow(self) -> None:
        """Send what is there and what comes, for ever; a receiver that is away is waited for."""
        while True:
            items = self._stream.read(BATCH)
            messages = self._messages(items)
            if messages:
                self._insist(messages)
            self.keep()
            if items:
                notify.status(f"{self.sent} events sent, up to record {self._number()}")
            else:
                time.sleep(POLL)

    def keep(self) -> None:
        """Keep the place."""
        place = self._stream.place
        if self._state is not None and place is not None and place != self._kept:
            replace(self._state, place.to_json().encode(), 0o600)
            self._kept = place

    def _number(self) -> int:
        return self._stream.place.seq if self._stream.place else 0

    def _messages(self, items: list[Item]) -> list[bytes]:
        found = []
        for item in items:
            if not item.line:
                sys.stderr.write(f"relay-shell: {safe(item.record['detail'])}\n")
            elif not self._wanted(item.record):
                continue
            message = self._encode(item)
            if message is not None:
                found.append(message)
        return found

    def _insist(self, messages: list[bytes]) -> None:
        wait, since = 1.0, 0.0
        while True:
            try:
                self._send(messages)
            except OSError as error:
                if not self._target.returns:
                    raise
                self._target.close()
                why = error.strerror or str(error)
                if not since:
                    since = time.monotonic()
                    sys.stderr.write(f"relay-shell: {safe(why)}; trying again until it is taken\n")
                notify.status(f"waiting after record {self._number()}: {why}")
                time.sleep(wait)
                wait = min(2 * wait, LONGEST)
                continue
            if since:
                gone = time.monotonic() - since
                sys.stderr.write(f"relay-shell: taken again after {gone:.0f} s\n")
            return

    def _send(self, messages: list[bytes]) -> None:
        if not messages:
            return
        self._target.send(messages)
        self.sent += len(messages)


# ---- what the options say --------------------------------------------------------------------


def encoder(args: argparse.Namespace) -> Encoder:
    """What makes a message of an item.

    Raises:
        RelayError: InvalidArguments, for options that do not fit together.
    """
    from ..evidence import cef, leef, syslog

    host = args.host or socket.gethostname()
    versions = {"cef": cef.VERSIONS, "leef": leef.VERSIONS}.get(args.format, ())
    spec = args.spec or (versions[0] if versions else "")
    if spec not in versions and (args.spec or versions):
        known = " or ".join(versions) or "no version"
        raise RelayError("InvalidArguments", reason=f"--spec: {args.format} has {known}")
    between = leef.TAB
    if args.delimiter is not None:
        if (args.format, spec) != ("leef", "2.0"):
            raise RelayError("InvalidArguments", reason="--delimiter is for LEEF 2.0")
        try:
            between = leef.delimiter(args.delimiter)
        except ValueError as error:
            raise RelayError("InvalidArguments", reason=f"--delimiter: {error}") from None

    def text(item: Item) -> str | None:
        if args.format == "cef":
            return cef.encode(item.record, host=host, program=__version__, version=spec)
        if args.format == "leef":
            return leef.encode(
                item.record, host=host, program=__version__, version=spec, between=between
            )
        # The very line, so that its chain can be checked; an anomaly is no record.
        return item.line.decode("utf-8", "replace").rstrip("\n") or None

    header = args.header or ("rfc3164" if (args.syslog or "").startswith("unix:") else "rfc5424")
    local = (args.syslog or "").startswith("unix:")

    def message(item: Item) -> bytes | None:
        said = text(item)
        if said is None:
            return None
        if not args.syslog:
            return said.encode("utf-8", "backslashreplace")
        if header == "rfc3164":
            return syslog.rfc3164(item.record, said, "" if local else host)
        return syslog.rfc5424(item.record, said, host)

    return message


def _target(args: argparse.Namespace) -> Target:
    from .syslogto import Lines, Tls, address, appended, receiver

    if args.syslog is None:
        for name in ("header", "tls_ca", "tls_cert", "tls_key"):
            if getattr(args, name):
                option = name.replace("_", "-")
                raise RelayError("InvalidArguments", reason=f"--{option} is for --syslog")
        return appended(Path(args.output)) if args.output else Lines(sys.stdout.buffer)
    try:
        to = address(args.syslog)
    except ValueError as error:
        raise RelayError("InvalidArguments", reason=str(error)) from None
    if to.kind == "udp" and args.format == "jsonl":
        reason = "a record may be longer than a datagram: use tcp or tls for jsonl"
        raise RelayError("InvalidArguments", reason=reason)
    given = _credentials(args.credentials, os.environ)
    tls = Tls(args.tls_ca or given.get("ca"), args.tls_cert or given.get("cert"),
              args.tls_key or given.get("key"))  # fmt: skip
    return receiver(to, tls)


def _credentials(name: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The TLS files among the unit's credentials (systemd.exec(5), ImportCredential=)."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not name or not directory:
        return {}
    paths = {
        kind: Path(directory) / f"{CREDENTIAL}.{name}.{kind}" for kind in ("ca", "cert", "key")
    }
    return {kind: str(path) for kind, path in paths.items() if path.exists()}


def _place(state: Path | None) -> Place | None:
    if state is None:
        return None
    try:
        return Place.from_json(state.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        broken = RelayError("Config", reason=f"{state}: {error}")
        broken.next_step = "Remove it to export the whole record again."
        raise broken from None
