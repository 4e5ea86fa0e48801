"""Signed records, and bundles of them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from relay_shell.evidence.bundle import KEYS, Bundle
from relay_shell.evidence.keyfile import PUBLIC, publish
from relay_shell.evidence.select import Choice, choose, normal
from relay_shell.evidence.signing import Keys, Signer, generate
from relay_shell.evidence.tarball import TOP
from relay_shell.evidence.writer import Writer


class Host:
    """A record of several files with checkpoints every few records, and its key."""

    def __init__(self, directory: Path, *, every: int = 10, calls: int = 40) -> None:
        self.path = directory / "audit.jsonl"
        pem = generate()
        self.signer = Signer(lambda: pem)
        self.writer = Writer(self.path, signer=self.signer, every=every)
        publish(directory / PUBLIC, self.signer)
        self.keys = Keys([self.signer.public_pem()])
        facts = {"config_sha256": "c" * 64}
        self.writer.append_now({"event": "start", "facts": facts})
        for n in range(calls):
            who = "unix:alice" if n % 4 else "unix:bob"
            base = {"call_id": f"k-{n}", "principal": who, "tool": "shell_exec"}
            self.writer.append_now({"event": "intent", "args": {"command": "\u2028 é"}, **base})
            self.writer.append_now({"event": "outcome", "status": "ok", **base})
            if n == calls // 2:
                self.path.rename(self.path.with_name("audit.jsonl-1700000000"))
                self.path.touch(0o640)
                self.writer.reopen()
        self.writer.checkpoint("operator")

    def bundle(self, target: Path, mode: str = "whole", **wanted: str) -> Choice:
        """Make a bundle as the command does, the export recorded and signed."""
        choice = choose(self.path, normal(wanted), mode)
        with Bundle(self.path, normal(wanted), choice, mode) as bundle:
            bundle.gather()
            bundle.facts = {"config_sha256": "c" * 64}
            bundle.add(KEYS, self.signer.public_pem())
            digest = bundle.seal()
            with target.open("wb") as file:
                bundle.write(file, self.seal(digest))
        return choice

    def seal(self, digest: str) -> bytes:
        self.writer.append_now(
            {"event": "export", "principal": "unix:olga", "facts": {"manifest": digest}}
        )
        self.writer.checkpoint("operator")
        return b"".join(self.path.read_bytes().splitlines(keepends=True)[-2:])


def content(bundle: Path) -> dict[str, bytes]:
    """Every member."""
    with tarfile.open(bundle) as archive:
        return {
            info.name.removeprefix(TOP): archive.extractfile(info).read()  # type: ignore[union-attr]
            for info in archive
        }


def pack(target: Path, members: Mapping[str, bytes] | Iterator[tuple[str, bytes]]) -> None:
    """An archive of these members, whatever they are."""
    rows = members.items() if isinstance(members, Mapping) else members
    with (
        gzip.open(target, "wb") as packed,
        tarfile.TarFile(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in rows:
            info = tarfile.TarInfo(TOP + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


Change = Callable[[dict[str, bytes]], Any]
