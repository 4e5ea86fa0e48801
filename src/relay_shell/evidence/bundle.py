"""A bundle of evidence: chosen records, what proves them, and how to check it.

Members, below `tarball.TOP`:
    MANIFEST.sha256     digest of every other member but the seal, as sha256sum(1) writes it
    MANIFEST.json       what was asked for, what was found, whose record it is
    VERIFY.txt          how to verify it, with and without this program
    records.jsonl       the records chosen, each the very line of the record
    chain/A-B.jsonl     the lines from record A to record B, in which they stand
    keys/evidence.pub   public keys of the record
    config/, posture/, recordings/
    seal.jsonl          the record of this export, which names the digest of MANIFEST.sha256, and
                        the checkpoint that signs it; absent if no broker recorded the export
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from .chain import parse
from .reader import Filter
from .select import Choice, copy
from .tarball import Writer
from .verifytext import VERIFY

FORMAT, VERSION = "relay-shell evidence bundle", 1
SUMS, MANIFEST, HOW = "MANIFEST.sha256", "MANIFEST.json", "VERIFY.txt"
RECORDS, KEYS, SEAL = "records.jsonl", "keys/evidence.pub", "seal.jsonl"


class Bundle:
    """Gathers the members of a bundle in temporary files; a context manager.

    Args:
        path: the record.
        wanted: what was asked for, see `reader.Filter`.
        choice: what `select.choose` found for it.
        mode: the mode it was found by.
    """

    def __init__(
        self, path: str | os.PathLike[str], wanted: Mapping[str, str], choice: Choice, mode: str
    ) -> None:
        self._path = Path(path)
        self.wanted = dict(wanted)
        self._choice = choice
        self._mode = mode
        self._stack = ExitStack()
        self._members: dict[str, tuple[IO[bytes] | bytes, int, str]] = {}
        self._last = ""
        self.facts: dict[str, Any] = {}
        """More for the manifest."""

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *exit: object) -> None:
        self._stack.close()

    def gather(self) -> None:
        """Copy the chosen records, and the lines that prove them.

        Raises:
            OSError: a file cannot be read, or there is no room for the copies.
        """
        test = Filter(self.wanted)
        spans = self._choice.spans
        chosen = self._spool()
        files = [self._spool() for _ in spans]
        for at, line in copy(self._path, spans):
            files[at].write(line)
            record = parse(line) or {}
            if test.wants(record):
                chosen.write(line)
                self._last = str(record.get("ts", ""))
        self._keep(RECORDS, chosen)
        for span, file in zip(spans, files, strict=True):
            self._keep(f"chain/{span.first}-{span.last}.jsonl", file)

    def add(self, name: str, content: bytes) -> None:
        """Add a small member."""
        self._members[name] = (content, len(content), hashlib.sha256(content).hexdigest())

    def add_file(self, name: str, file: IO[bytes], size: int) -> str:
        """Add a copy of the first bytes of a file, or all if it is shorter; return its digest."""
        kept = self._spool()
        while size > 0 and (chunk := file.read(min(size, 1024 * 1024))):
            kept.write(chunk)
            size -= len(chunk)
        return self._keep(name, kept)

    def _spool(self) -> IO[bytes]:
        return self._stack.enter_context(tempfile.TemporaryFile())

    def _keep(self, name: str, file: IO[bytes]) -> str:
        size = file.tell()
        file.seek(0)
        digest = hashlib.sha256()
        while chunk := file.read(1024 * 1024):
            digest.update(chunk)
        self._members[name] = (file, size, digest.hexdigest())
        return digest.hexdigest()

    def seal(self) -> str:
        """Make the manifest and the instructions; return the digest that binds all of it."""
        choice = self._choice
        facts = {
            "format": FORMAT,
            "version": VERSION,
            "filters": self.wanted,
            "mode": self._mode,
            "records": choice.chosen,
            "first": choice.first,
            "last": choice.last,
            "chain": [
                {"file": f"chain/{span.first}-{span.last}.jsonl", **span._asdict()}
                for span in choice.spans
            ],
            "settings": choice.settings,
            **self.facts,
        }
        self.add(HOW, VERIFY.encode())
        facts["members"] = {
            name: {"bytes": size, "sha256": digest}
            for name, (_, size, digest) in sorted(self._members.items())
        }
        self.add(MANIFEST, (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode(
            "utf-8", "backslashreplace"))  # fmt: skip
        sums = "".join(
            f"{digest}  {name}\n" for name, (_, _, digest) in sorted(self._members.items())
        )
        self.add(SUMS, sums.encode())
        return self._members[SUMS][2]

    def write(self, file: IO[bytes], seal: bytes) -> None:
        """Write the archive; `seal` are the lines of seal.jsonl, if there are any."""
        archive = Writer(file, _seconds(self._last))
        first = [SUMS, MANIFEST, HOW]
        for name in [*first, *sorted(set(self._members) - set(first))]:
            content, size, _ = self._members[name]
            if not isinstance(content, bytes):
                content.seek(0)
            archive.add(name, content, size)
        if seal:
            archive.add(SEAL, seal)
        archive.close()


def _seconds(ts: str) -> int:
    try:
        return max(0, int(datetime.fromisoformat(ts).timestamp()))
    except ValueError:
        return 0
