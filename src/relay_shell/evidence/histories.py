"""The histories that a copy holds of one host: one, unless the host went back to an earlier state.

A host that was restored from a snapshot, a machine-id(5) that two hosts share, and a chain that
was made anew all look the same at a collector: two records follow the same one, or are the first.
Each goes on in a history of its own, and a record that stands by itself on its host is in one of
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

SHARED = 64
"""Records of which one must be in common for two records to be of one host: spread over them, as
a copy may begin late and end early."""


class Entry(NamedTuple):
    """One record of the copy."""

    seq: int
    chain: bytes
    prev: bytes
    """Empty where it says none."""
    host: str
    boot: str
    ts: str


class _Branch:
    """Records that follow each other, from a fork to their end or to the next fork."""

    def __init__(self, entry: Entry, parent: _Branch | None) -> None:
        self.entry, self.parent = entry, parent
        self.seq, self.end, self.chain = entry.seq, entry.ts, entry.chain
        self.hosts, self.boots = {entry.host: None}, {entry.boot: None}

    def take(self, entry: Entry) -> None:
        self.seq, self.end, self.chain = entry.seq, entry.ts, entry.chain
        self.hosts[entry.host] = self.boots[entry.boot] = None

    def __str__(self) -> str:
        first, last = self.entry.seq, self.seq
        numbers = f"record {first}" if first == last else f"record {first} to {last}"
        boots = ", ".join(boot[:12] for boot in self.boots)
        return (
            f"{numbers} of {self.entry.ts} to {self.end}, host {' '.join(self.hosts)}, boot {boots}"
        )


class Histories:
    """Entries of one host, in any order."""

    def __init__(self) -> None:
        # One record has one entry, so that this is what memory is spent on.
        self._one: dict[int, Entry] = {}
        self._more: dict[int, dict[bytes, Entry]] = {}
        self.hosts: dict[str, None] = {}

    def add(self, entry: Entry) -> None:
        """Take an entry; one that is there already counts once."""
        known = self._one.setdefault(entry.seq, entry)
        self.hosts[entry.host] = None
        if known is not entry and known.chain != entry.chain:
            self._more.setdefault(entry.seq, {})[entry.chain] = entry

    def __len__(self) -> int:
        return len(self._one)

    def __contains__(self, seq: object) -> bool:
        return seq in self._one

    @property
    def first(self) -> int:
        return min(self._one)

    @property
    def last(self) -> int:
        return max(self._one)

    def _at(self, seq: int) -> Iterator[Entry]:
        if seq in self._one:
            yield self._one[seq]
            yield from self._more.get(seq, {}).values()

    def holds(self, seq: int, chain: bytes) -> bool:
        """Whether a record of this number and chain value is in any of the histories."""
        return any(entry.chain == chain for entry in self._at(seq))

    def shares(self, here: Mapping[int, bytes]) -> bool:
        """Whether one of a sample of these records is in here."""
        common = sorted(seq for seq in here if seq in self._one)
        step = max(1, len(common) // SHARED)
        return any(self.holds(seq, here[seq]) for seq in [*common[::step], *common[-1:]])

    def lineage(self, here: Mapping[int, bytes]) -> Iterator[int]:
        """Numbers of the records that must be here: all, but where there are several histories
        those of the one that is here, as far as it can be told."""
        branches = self._branches()
        wanted: dict[int, _Branch] = {}
        for found in branches if len(branches) > 1 else ():
            branch: _Branch | None = found if _is_here(found, here) else None
            while branch is not None and id(branch) not in wanted:
                wanted[id(branch)] = branch
                branch = branch.parent
        if not wanted:
            yield from sorted(self._one)
            return
        for branch in wanted.values():
            yield from (n for n in range(branch.entry.seq, branch.seq + 1) if n in self._one)

    def forks(self, here: Mapping[int, bytes]) -> Iterator[tuple[int, str]]:
        """Where one history becomes several: number of the first record that there are two of, and
        what is known of each."""
        families: dict[int, list[_Branch]] = {}
        for branch in self._branches():
            families.setdefault(id(branch.parent), []).append(branch)
        for family in families.values():
            if len(family) < 2:
                continue
            parent = family[0].parent
            start = f"after record {parent.seq}" if parent else "from the beginning"
            told = [f"{each}{' (this is here)' * _is_here(each, here)}" for each in family]
            yield (
                min(each.entry.seq for each in family),
                f"{start} it goes on in {len(family)} ways: {'; '.join(told)}",
            )

    def _branches(self) -> list[_Branch]:
        found: list[_Branch] = []
        tips: list[_Branch] = []
        last = 0
        for seq in sorted(self._one):
            entries = list(self._at(seq))
            # Who knows only one history across a hole knows which one it is.
            bridge = tips[0] if len(tips) == 1 and len(entries) == 1 and seq > last + 1 else None
            now: list[_Branch] = []
            for entry in entries:
                parent = next((tip for tip in tips if tip.chain == entry.prev), bridge)
                alone = sum(other.prev == entry.prev for other in entries) == 1
                if parent is not None and alone:
                    now.append(parent)
                    continue
                now.append(_Branch(entry, parent))
                found.append(now[-1])
            for branch, entry in zip(now, entries, strict=True):
                if branch.entry is not entry:
                    branch.take(entry)
            tips, last = now, seq
        return found


def _is_here(branch: _Branch, here: Mapping[int, bytes]) -> bool:
    return here.get(branch.entry.seq) == branch.entry.chain
