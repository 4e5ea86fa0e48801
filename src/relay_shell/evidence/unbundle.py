"""Whether a bundle of evidence proves what it says.

Nothing is unpacked, and what is kept in memory is bounded by the records that were chosen: a bundle
comes from somebody.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .bundle import FORMAT, KEYS, MANIFEST, RECORDS, SEAL, SUMS, VERSION
from .chain import link, parse
from .reader import Filter
from .record import MAX_LINE
from .signing import KeyFault, Keys
from .tarball import Content, Damaged, members

KINDS: dict[str, str] = {
    "format": "it is no bundle, or a damaged one",
    "absent": "a member is missing",
    "extra": "it holds what its manifest does not name",
    "changed": "a member is not what the manifest says",
    "manifest": "the manifest does not fit the members",
    "edited": "a record was changed after it was written",
    "chain": "a record does not follow the one before it",
    "signature": "a checkpoint does not hold",
    "unknown-key": "a checkpoint is signed by a key that is not known",
    "unsealed": "no checkpoint covers the last records",
    "chosen": "the records chosen are not those that the chain holds",
    "recording": "a recording is not what the record says",
    "seal": "the record of the export is not of this bundle",
    "unrecorded": "no broker recorded this export",
    "untrusted": "it was verified with the key that it brings along, which proves nothing",
    "settings": "the settings in it are not those of the records",
}
"""What a finding can be, in the order of their weight."""

NOTES = frozenset({"unrecorded", "settings"})
"""Findings that leave the bundle whole."""

_SMALL = 16 * 1024 * 1024
_SUM = re.compile(r"([0-9a-f]{64})  (\S+)")
_CHAIN = re.compile(r"chain/([0-9]{1,18})-([0-9]{1,18})\.jsonl")


class Finding(NamedTuple):
    """One thing that the bundle does not prove."""

    kind: str
    detail: str = ""

    @property
    def fails(self) -> bool:
        """Whether the bundle is not whole because of it."""
        return self.kind not in NOTES

    def __str__(self) -> str:
        return KINDS[self.kind] + (f": {self.detail}" if self.detail else "")


class Report(NamedTuple):
    """What a bundle holds, and what was found."""

    manifest: dict[str, Any]
    records: int
    """Records chosen."""
    lines: int
    """Records in the chain."""
    checkpoints: int
    """Checkpoints whose signature holds."""
    complete: bool
    """Whether nothing between the first and the last record of the chain was left out."""
    export: dict[str, Any] | None
    """The record of the export."""
    findings: list[Finding]


def verify(path: str | os.PathLike[str], keys: Keys | None) -> Report:
    """Verify a bundle.

    Args:
        keys: of the host that the record is of; None to take those in the bundle, which shows
            damage and no forgery.

    Raises:
        OSError: it cannot be read.
    """
    check = _Check(keys)
    try:
        check.small = dict(_small(Path(path)))
        check.begin()
        for member in members(Path(path)):
            check.member(member.name, member.size, member.content)
        check.finish()
    except Damaged as error:
        check.report("format", str(error))
    return check.result()


def _small(path: Path) -> Iterator[tuple[str, bytes]]:
    """The members that say how to read the others."""
    for member in members(path):
        if member.name in (SUMS, MANIFEST, KEYS):
            if member.size > _SMALL:
                raise Damaged(f"{member.name} is too large")
            yield member.name, b"".join(member.content.chunks())


class _Check:
    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys
        self._trusted = keys is not None
        self.small: dict[str, bytes] = {}
        self._sums: dict[str, str] = {}
        self._manifest: dict[str, Any] = {}
        self._test = Filter()
        self._seen: set[str] = set()
        self._chosen: dict[int, bytes] = {}
        self._records: list[tuple[int, bytes]] = []
        self._spans: dict[str, tuple[int, int]] = {}
        self._recordings: dict[str, dict[int, str]] = {}
        self._export: dict[str, Any] | None = None
        self._lines = self._checkpoints = 0
        self._found: list[Finding] = []

    def report(self, kind: str, detail: str = "") -> None:
        if len(self._found) < 1000:
            self._found.append(Finding(kind, detail))

    def result(self) -> Report:
        order = list(KINDS)
        return Report(
            self._manifest,
            len(self._records),
            self._lines,
            self._checkpoints,
            self._manifest.get("mode") == "whole" and len(self._spans) == 1,
            self._export,
            sorted(self._found, key=lambda finding: order.index(finding.kind)),
        )

    # ---- the manifest --------------------------------------------------------------------

    def begin(self) -> None:
        for name in (SUMS, MANIFEST):
            if name not in self.small:
                raise Damaged(f"there is no {name}")
        for line in self.small[SUMS].decode("utf-8", "replace").splitlines():
            found = _SUM.fullmatch(line)
            if found is None:
                raise Damaged(f"{SUMS} cannot be read")
            self._sums[found[2]] = found[1]
        manifest = parse(self.small[MANIFEST]) or {}
        if (manifest.get("format"), manifest.get("version")) != (FORMAT, VERSION):
            raise Damaged(f"{MANIFEST} is of no bundle that this program knows")
        self._manifest = manifest
        wanted = manifest.get("filters")
        try:
            self._test = Filter(wanted if isinstance(wanted, dict) else None)
        except (ValueError, TypeError) as error:
            raise Damaged(f"{MANIFEST}: {error}") from None
        rows = manifest.get("chain")
        for row in rows if isinstance(rows, list) else []:
            name = str(row.get("file")) if isinstance(row, dict) else ""
            span = _CHAIN.fullmatch(name)
            if span is None or name in self._spans:
                raise Damaged(f"{MANIFEST}: no span: {name[:80]!r}")
            self._spans[name] = (int(span[1]), int(span[2]))
        if self._keys is None and KEYS in self.small:
            try:
                self._keys = Keys([self.small[KEYS]])
            except KeyFault as error:
                self.report("manifest", f"{KEYS}: {error}")
        if not self._trusted:
            self.report("untrusted")

    # ---- members -------------------------------------------------------------------------

    def member(self, name: str, size: int, content: Content) -> None:
        if name in self._seen:
            raise Damaged(f"{name} is there twice")
        self._seen.add(name)
        digest = hashlib.sha256()
        lines = None
        if name in self._spans:
            lines = self._span(name)
        elif name == RECORDS:
            lines = self._take_chosen()
        elif name == SEAL:
            lines = self._span(SEAL)
        if lines is not None:
            next(lines)
        rest = b""
        for chunk in content.chunks():
            digest.update(chunk)
            if lines is None:
                continue
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                lines.send(line)
            if len(rest) > MAX_LINE:
                raise Damaged(f"{name} has a line that is too long")
        if lines is not None:
            if rest:
                self.report("edited", f"{name} ends in the middle of a record")
            lines.close()
        if name in (SUMS, SEAL):
            return
        expected = self._sums.get(name)
        if expected is None:
            self.report("extra", name)
        elif expected != digest.hexdigest():
            self.report("changed", name)
        if name.startswith("recordings/"):
            told = self._recordings.get(name)
            if told is None or told.get(size) != digest.hexdigest():
                self.report("recording", name)

    def finish(self) -> None:
        for name in self._sums:
            if name not in self._seen:
                self.report("absent", name)
        for name in self._spans:
            if name not in self._seen or name not in self._sums:
                self.report("absent", name)
        stated = self._manifest.get("members")
        if not isinstance(stated, dict) or {
            name: row.get("sha256") for name, row in stated.items() if isinstance(row, dict)
        } != {name: digest for name, digest in self._sums.items() if name != MANIFEST}:
            self.report("manifest", "the two lists of members differ")
        expected = sorted(self._chosen.items())
        if self._records != expected:
            missing = len(set(expected) - set(self._records))
            more = len(set(self._records) - set(expected))
            self.report("chosen", f"{missing} are missing, {more} are not in the chain")
        elif self._manifest.get("records") != len(expected):
            self.report("manifest", "it counts other records")
        if SEAL not in self._seen:
            self.report("unrecorded")
        now = self._manifest.get("config_sha256")
        rows = self._manifest.get("settings")
        then = {
            str(record["facts"].get("config_sha256"))
            for record in (rows if isinstance(rows, list) else [])
            if isinstance(record, dict) and isinstance(record.get("facts"), dict)
        }
        if now is not None and then != {str(now)}:
            self.report("settings", f"see settings in {MANIFEST}")

    # ---- lines ---------------------------------------------------------------------------

    def _span(self, name: str) -> Any:
        """Takes the lines of a span, that of the seal too."""
        first, last = self._spans.get(name, (0, 0))
        seq, chain, sealed = 0, "", False
        try:
            while True:
                line = yield
                self._lines += 1
                found, record = link(line), parse(line) or {}
                if found is None:
                    number = record.get("seq")
                    self.report("edited", f"{name}: record {number}" if number else name)
                    place = (number, record.get("prev"), record.get("chain"))
                else:
                    place = (found.seq, found.prev, found.chain)
                if seq and place[:2] != (seq + 1, chain):
                    self.report("chain", f"{name}: record {place[0]} after {seq}")
                elif not seq and first and place[0] != first:
                    self.report("chain", f"{name} begins with record {place[0]}")
                seq = place[0] if isinstance(place[0], int) else seq + 1
                chain = str(place[2])
                sealed = record.get("event") == "checkpoint" and self._checkpoint(record, name)
                if name == SEAL:
                    self._sealed(record)
                elif self._test.wants(record):
                    self._chosen[seq] = hashlib.sha256(line).digest()
                    self._told(record)
        finally:
            if last and seq != last:
                self.report("chain", f"{name} ends with record {seq}")
            if not sealed:
                self.report("unsealed", f"{name} after its last checkpoint")

    def _take_chosen(self) -> Any:
        while True:
            line = yield
            record = parse(line) or {}
            seq = record.get("seq")
            number = seq if isinstance(seq, int) else 0
            self._records.append((number, hashlib.sha256(line).digest()))

    def _checkpoint(self, record: dict[str, Any], name: str) -> bool:
        facts = record.get("facts")
        facts = facts if isinstance(facts, dict) else {}
        where = f"{name}: record {record.get('seq')}"
        seq = record.get("seq")
        before = seq - 1 if type(seq) is int else None
        if (facts.get("seq"), facts.get("chain")) != (before, record.get("prev")):
            self.report("signature", f"{where} seals another record")
        elif self._keys is None or facts.get("key") not in self._keys:
            self.report("unknown-key", f"{where}, key {str(facts.get('key'))[:16]!r}")
        elif not self._keys.holds(facts):
            self.report("signature", where)
        else:
            self._checkpoints += 1
            return True
        return False

    def _sealed(self, record: dict[str, Any]) -> None:
        if self._export is not None or record.get("event") != "export":
            if self._export is None:
                self.report("seal", "it does not begin with the record of an export")
                self._export = {}
            return
        self._export = record
        facts = record.get("facts")
        told = facts.get("manifest") if isinstance(facts, dict) else None
        if told != hashlib.sha256(self.small[SUMS]).hexdigest():
            self.report("seal", f"{SUMS} is not what was recorded")

    def _told(self, record: dict[str, Any]) -> None:
        """What a record says of a recording: its digest at a length."""
        facts = record.get("facts")
        told = facts.get("recording") if isinstance(facts, dict) else None
        if isinstance(told, dict) and isinstance(told.get("bytes"), int):
            name = "recordings/" + os.path.basename(str(told.get("path")))
            self._recordings.setdefault(name, {})[told["bytes"]] = str(told.get("sha256"))
