"""One pass over the lines of a record: what fits is taken at speed, what does not is judged."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING, Any, Protocol

from .chain import digest, link, parse
from .record import GENESIS, MAX_LINE, VERSION
from .runs import Run, follow

if TYPE_CHECKING:
    from .signing import Keys

_CHUNK = 128 * 1024
"""Bytes that are looked at together: what fits the processor's cache is faster."""

_CLAIM = re.compile(
    rb'^\{"v":([0-9]+),"seq":([0-9]{1,18}),.*"prev":"([0-9a-f]{64})","chain":"([0-9a-f]{64})"\}$'
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", re.ASCII)
_END = b',"chain":"' + b'"}'
_BACK = timedelta(seconds=1)
"""Steps back that a clock in step with others makes unnoticed."""

_DAY = 86400
"""Seconds of the longest promise of a next heartbeat, as the settings bound it."""


class Report(Protocol):
    """Takes a finding."""

    def __call__(
        self, kind: str, line: int, seq: int, detail: str = "", where: str = ""
    ) -> None: ...


class Scan:
    """The state of one pass over the files; `report` is called with what is found."""

    def __init__(self, report: Report, keys: Keys | None = None) -> None:
        self._report = report
        self._keys = keys
        self.path = ""
        self.number = 0
        """Line of the current file that was read last."""
        self.records = self.bytes = self.first = self.seq = 0
        self.chain = ""
        self.checkpoints = self.sealed = 0
        self._unknown = 0
        self._region = 0
        self._cut = False
        """Whether what was judged last is the beginning of a line that goes on."""
        self._hash = hashlib.sha256()
        self._start = ("", 0)
        self._stamp = self._bound = b""
        self._promise = 0

    def begin(self, path: str) -> None:
        """What comes is of this file."""
        self.path, self.number, self._cut = path, 0, False

    def stream(self, stream: IO[bytes], size: int = -1) -> None:
        """Read on in a file, to its end or so many bytes, which end with a line.

        A line over the bound comes in pieces, so memory is bounded.
        """
        pieces: list[bytes] = []
        held = 0
        while chunk := stream.read(min(_CHUNK, size) if size >= 0 else _CHUNK):
            size -= len(chunk) if size >= 0 else 0
            if b"\n" not in chunk:
                pieces.append(chunk)
                held += len(chunk)
                if held > MAX_LINE:
                    self._judge(b"".join(pieces), whole=False)
                    pieces, held = [], 0
                continue
            *lines, rest = b"".join((*pieces, chunk)).split(b"\n")
            self._lines(lines)
            pieces, held = [rest] if rest else [], len(rest)
        if pieces:
            self._judge(b"".join(pieces), whole=False)

    def _lines(self, lines: list[bytes]) -> None:
        """Take the lines that follow each other as the writer wrote them; judge the others."""
        at, end = 0, len(lines)
        if self._cut or len(lines[0]) >= MAX_LINE:
            self._judge(lines[0], whole=True)
            at = 1
        while at < end:
            if self.chain and not self._region:
                state = self.seq, self.chain.encode(), self._stamp, self._bound
                run = follow(lines, at, *state)
                if run is not None:
                    self._take(run)
                    at += run.lines
                    continue
            self._judge(lines[at], whole=True)
            at += 1

    def take(self, run: Run) -> bool:
        """Take lines that somebody else has read with `follow`; whether they fit in here."""
        here = self.seq, self.chain.encode(), self._stamp
        if self._region or here != (run.seq, run.chain, run.stamp) or run.until >= self._bound:
            return False
        self._take(run)
        return True

    def _take(self, run: Run) -> None:
        self.seq += run.lines
        self.chain, self._stamp = run.last.decode(), run.until
        self.records += run.lines
        self.number += run.lines
        self.bytes += run.size

    def _judge(self, data: bytes, *, whole: bool) -> None:
        """Judge one line, without its line feed, or a piece of one; `whole` if it ended in one."""
        if not self._cut:
            self.number += 1
        fits = whole and not self._cut and len(data) < MAX_LINE
        self._cut = not whole
        self.bytes += len(data) + whole
        found = link(data) if fits else None
        if found is not None:
            seq, prev, chain = found.seq, found.prev, found.chain
        else:
            claim = _CLAIM.match(data) if fits else None
            if claim is None:
                if not self._region:
                    self._start = (self.path, self.number)
                self._region += len(data) + whole
                self._hash.update(data + b"\n" if whole else data)
                return
            seq, prev, chain = int(claim[2]), claim[3].decode(), claim[4].decode()
            if int(claim[1]) > VERSION and digest(prev, data[: -len(_END) - 64] + b"}") == chain:
                self._report("version", self.number, seq, f"record {seq}, version {int(claim[1])}")
            else:
                self._report("edited", self.number, seq, f"record {seq}")
        record = parse(data) or {}
        if self._region:
            self._close(record, seq)
        if prev != self.chain or seq != self.seq + 1:
            self._misfit(seq, prev, str(record.get("ts", "")))
        self.records += 1
        self.first = self.first or seq
        self.seq, self.chain = seq, chain
        self._read(record, seq, prev)

    def _misfit(self, seq: int, prev: str, ts: str) -> None:
        number = self.number
        if not self.first:
            if seq == 1 and prev == GENESIS:
                return
            self._report("head", number, seq, f"the first record here is {seq}, of {ts[:32]}")
        elif prev == GENESIS and seq == 1:
            self._report("restart", number, seq, f"after record {self.seq}")
        elif seq > self.seq + 1:
            missing = f"{self.seq + 1} to {seq - 1}" if seq > self.seq + 2 else f"{seq - 1}"
            # The times on both sides of it are what an investigator asks for next.
            edges = f"after {self._stamp.decode('ascii', 'replace')}Z and before {ts[:32]}"
            self._report("gap", number, seq, f"record {missing}, {edges}")
        elif seq <= self.seq:
            self._report("order", number, seq, f"record {seq} after {self.seq}")
        else:
            self._report("relinked", number, seq, f"record {seq}")

    def _close(self, record: dict[str, Any], seq: int) -> None:
        """Judge the bytes that are no record, now that a record follows."""
        named = False
        if record.get("event") == "torn":
            facts = _facts(record)
            named = (facts.get("bytes"), facts.get("sha256")) == (
                self._region,
                self._hash.hexdigest(),
            )
        path, line = self._start
        kind = "torn" if named else "foreign"
        self._report(kind, line, seq, f"{self._region} bytes", path)
        self._region, self._hash = 0, hashlib.sha256()

    # ---- what a record says of the record ------------------------------------------------

    def _read(self, record: dict[str, Any], seq: int, prev: str) -> None:
        event = record.get("event")
        self._clock(str(record.get("ts", "")), seq, event == "start")
        promise = promised(record)
        if promise is not None:
            self._promise, self._bound = promise, b""
        elif event == "checkpoint":
            self._checkpoint(_facts(record), seq, prev)

    def _checkpoint(self, facts: dict[str, Any], seq: int, prev: str) -> None:
        if (facts.get("seq"), facts.get("chain")) != (seq - 1, prev):
            text = f"record {seq} does not seal the one before it"
            self._report("signature", self.number, seq, text)
        elif self._keys is None or facts.get("key") not in self._keys:
            self._unknown += 1
            if self._keys is not None or self._unknown == 1:
                key = str(facts.get("key"))[:16]
                self._report("unknown-key", self.number, seq, f"record {seq}, key {key!r}")
        elif not self._keys.holds(facts):
            text = f"record {seq}, the signature is not of its key"
            self._report("signature", self.number, seq, text)
        else:
            self.checkpoints += 1
            self.sealed = seq - 1

    def _clock(self, ts: str, seq: int, start: bool) -> None:
        now, before = moment(ts), moment(self._stamp.decode("ascii", "replace"))
        if now is None:
            return
        if before is not None:
            gone = now - before
            if gone < -_BACK:
                text = f"by {-gone} before record {seq}"
                self._report("clock", self.number, seq, text)
            elif self._promise and not start and gone > patience(self._promise):
                self._report("silence", self.number, seq, f"{gone} before record {seq}")
        self._stamp = ts[:26].encode("ascii", "replace")
        self._bound = bound(now, self._promise)

    def finish(self) -> None:
        """Report what only the end shows."""
        if self._region:
            path, line = self._start
            self._report("foreign", line, 0, f"{self._region} bytes at the end", path)
        if self.records and self._keys is not None and not self.checkpoints:
            self._report("unsigned", 0, 0)
        elif self.checkpoints and self.seq > self.sealed + 1:
            self._report("unsealed", 0, self.seq, f"record {self.sealed + 2} to {self.seq}")


def _facts(record: dict[str, Any]) -> dict[str, Any]:
    facts = record.get("facts")
    return facts if isinstance(facts, dict) else {}


def patience(promise: int) -> timedelta:
    """The longest silence after a heartbeat that promised the next in so many seconds."""
    return timedelta(seconds=2 * promise + 60)


def bound(now: datetime, promise: int) -> bytes:
    """From which time on a record is judged by the clock, after one of this time."""
    return (now + patience(promise)).strftime("%Y-%m-%dT%H:%M:%S").encode()


def promised(record: dict[str, Any]) -> int | None:
    """Seconds in which a heartbeat promises the next, 0 for never; None if it is none."""
    if record.get("event") != "heartbeat":
        return None
    seconds = _facts(record).get("seconds")
    return min(max(seconds, 0), _DAY) if type(seconds) is int else 0


def moment(ts: str) -> datetime | None:
    """The time in a record, None if it is none that can be reckoned with."""
    # An edited time may parse with a zone, or be the last one that there is.
    if not _TIME.match(ts):
        return None
    try:
        return min(datetime.fromisoformat(ts[:26]), datetime.max - patience(_DAY))
    except ValueError:
        return None
