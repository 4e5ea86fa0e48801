"""One pass over the lines of a record: what fits is taken at speed, what does not is judged."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING, Any, Protocol

from .chain import link, parse
from .events import EVENTS
from .record import GENESIS, MAX_LINE

if TYPE_CHECKING:
    from .signing import Keys

_CHUNK = 1024 * 1024
_CLAIM = re.compile(
    rb'^\{"v":[0-9]+,"seq":([0-9]{1,18}),.*"prev":"([0-9a-f]{64})","chain":"([0-9a-f]{64})"\}$'
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", re.ASCII)
_TORN = b'"event":"torn"'
_BACK = timedelta(seconds=1)
"""Steps back that a clock in step with others makes unnoticed."""

_STEP = timedelta(minutes=1)
_SUFFIX = len('","chain":"') - 1 + 64 + len('"}')
# From the beginning of the time in a line to the event's first letter, and which letters begin
# the name of an event that says something of the record itself.
_FROM, _TO = 72, 84
_PLAIN = {
    b'","event":"%b' % name[:1].encode(): None
    for name in EVENTS
    if not {other for other in EVENTS if other[0] == name[0]} & {"checkpoint", "heartbeat", "start"}
}


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
        self._hash = hashlib.sha256()
        self._start = ("", 0)
        self._stamp = self._bound = b""
        self._promise = 0

    def stream(self, stream: IO[bytes]) -> None:
        """Read a file to its end. A line over the bound comes in pieces, so memory is bounded."""
        self.number = 0
        rest = b""
        while chunk := stream.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            self._lines(lines)
            if len(rest) > MAX_LINE:
                self._judge(rest, whole=False)
                rest = b""
        if rest:
            self._judge(rest, whole=False)

    def _lines(self, lines: list[bytes]) -> None:
        """Take the lines that follow each other as the writer wrote them; judge the others."""
        # This loop is the speed of a verification: locals, no calls but the digest's.
        sha256 = hashlib.sha256
        seq, chain = self.seq, self.chain.encode()
        stamp, bound = self._stamp, self._bound
        taken = size = 0
        for line in lines:
            if not self._region:
                head = b'{"v":1,"seq":%d,"ts":"' % (seq + 1)
                value = sha256(chain + line[:-_SUFFIX] + b"}").hexdigest().encode()
                tail = b',"prev":"%b","chain":"%b"}' % (chain, value)
                if chain and line.startswith(head) and line.endswith(tail):
                    at = len(head)
                    now = line[at : at + 26]
                    if stamp <= now < bound and line[at + _FROM : at + _TO] in _PLAIN:
                        seq, chain, stamp = seq + 1, value, now
                        taken += 1
                        size += len(line) + 1
                        continue
            self._take(seq, chain, stamp, taken, size)
            taken = size = 0
            self._judge(line, whole=True)
            seq, chain = self.seq, self.chain.encode()
            stamp, bound = self._stamp, self._bound
        self._take(seq, chain, stamp, taken, size)

    def _take(self, seq: int, chain: bytes, stamp: bytes, taken: int, size: int) -> None:
        if taken:
            self.seq, self.chain, self._stamp = seq, chain.decode(), stamp
            self.records += taken
            self.number += taken
            self.bytes += size

    def _judge(self, data: bytes, *, whole: bool) -> None:
        """Judge one line, without its line feed; `whole` if it had one."""
        self.number += 1
        self.bytes += len(data) + whole
        found = link(data) if whole else None
        if found is not None:
            seq, prev, chain = found.seq, found.prev, found.chain
        else:
            claim = _CLAIM.match(data) if whole else None
            if claim is None:
                if not self._region:
                    self._start = (self.path, self.number)
                self._region += len(data) + whole
                self._hash.update(data + b"\n" if whole else data)
                return
            seq, prev, chain = int(claim[1]), claim[2].decode(), claim[3].decode()
            self._report("edited", self.number, seq, f"record {seq}")
        if self._region:
            self._close(data, seq)
        if prev != self.chain or seq != self.seq + 1:
            self._misfit(seq, prev)
        self.records += 1
        self.first = self.first or seq
        self.seq, self.chain = seq, chain
        self._read(parse(data) or {}, seq, prev)

    def _misfit(self, seq: int, prev: str) -> None:
        number = self.number
        if not self.first:
            if seq == 1 and prev == GENESIS:
                return
            self._report("head", number, seq, f"the first record here is {seq}")
        elif prev == GENESIS and seq == 1:
            self._report("restart", number, seq, f"after record {self.seq}")
        elif seq > self.seq + 1:
            missing = f"{self.seq + 1} to {seq - 1}" if seq > self.seq + 2 else f"{seq - 1}"
            self._report("gap", number, seq, f"record {missing}")
        elif seq <= self.seq:
            self._report("order", number, seq, f"record {seq} after {self.seq}")
        else:
            self._report("relinked", number, seq, f"record {seq}")

    def _close(self, data: bytes, seq: int) -> None:
        """Judge the bytes that are no record, now that a record follows."""
        named = False
        if _TORN in data[:256]:
            facts = _facts(parse(data) or {})
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
        if event == "heartbeat":
            seconds = _facts(record).get("seconds")
            self._promise = seconds if type(seconds) is int else 0
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
        now, before = _moment(ts), _moment(self._stamp.decode("ascii", "replace"))
        if now is None:
            return
        if before is not None:
            gone = now - before
            if gone < -_BACK:
                text = f"by {-gone} before record {seq}"
                self._report("clock", self.number, seq, text)
            elif self._promise and not start and gone > timedelta(seconds=2 * self._promise + 60):
                self._report("silence", self.number, seq, f"{gone} before record {seq}")
        self._stamp = ts[:26].encode("ascii", "replace")
        self._bound = (now + _STEP).strftime("%Y-%m-%dT%H:%M:%S").encode()

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


def _moment(ts: str) -> datetime | None:
    # An edited time may parse with a zone, or be the last one that there is.
    if not _TIME.match(ts):
        return None
    try:
        return min(datetime.fromisoformat(ts[:26]), datetime.max - _STEP)
    except ValueError:
        return None
