"""A host that went back to an earlier state, or two hosts that are called the same: what the
collector holds of it is told apart, and which of it is here."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable

import pytest

from relay_shell.evidence.copies import Copy, compare
from relay_shell.evidence.histories import Entry, Histories
from relay_shell.evidence.writer import Writer

ZERO = bytes(32)


def history(words: str, seq: int = 1, prev: bytes = ZERO, host: str = "web1") -> list[Entry]:
    """Records that follow each other, one a letter."""
    out = []
    for number, letter in enumerate(words, seq):
        chain = hashlib.sha256(prev + letter.encode()).digest()
        out.append(Entry(number, chain, prev, host, f"boot-{letter}", f"2026-01-{number:02}"))
        prev = chain
    return out


def histories(*parts: Iterable[Entry]) -> Histories:
    found = Histories()
    for part in parts:
        for entry in part:
            found.add(entry)
    return found


def record(entries: Iterable[Entry]) -> dict[int, bytes]:
    return {entry.seq: entry.chain for entry in entries}


def test_one_history_is_no_fork() -> None:
    entries = history("abcdef")
    found = histories(entries)
    assert list(found.forks(record(entries))) == []
    assert list(found.lineage(record(entries))) == [1, 2, 3, 4, 5, 6]
    # What comes twice, in another order, with holes, or from its middle on is one too.
    random.Random(7).shuffle(again := list(entries))
    for part in (again, [*again, *again], entries[2:], [*entries[:2], *entries[3:]]):
        assert list(histories(part).forks(record(entries))) == []
    assert list(histories(entries, history("abcdef", host="renamed")).forks({})) == []


def test_a_host_restored_from_a_snapshot() -> None:
    before = history("abc")
    first = history("xyz", 4, before[-1].chain)
    second = history("pq", 4, before[-1].chain)
    found = histories(before, first, second)
    ((seq, text),) = found.forks(record([*before, *second]))
    assert seq == 4
    assert text == (
        "after record 3 it goes on in 2 ways: "
        "record 4 to 6 of 2026-01-04 to 2026-01-06, host web1, boot boot-x, boot-y, boot-z; "
        "record 4 to 5 of 2026-01-04 to 2026-01-05, host web1, boot boot-p, boot-q (this is here)"
    )
    # What only the other history holds is not missing here.
    assert list(found.lineage(record([*before, *second]))) == [1, 2, 3, 4, 5]
    assert sorted(found.lineage(record([*before, *first]))) == [1, 2, 3, 4, 5, 6]


def test_restored_twice_and_a_third_time_later() -> None:
    before = history("abc")
    first, second = history("xyz", 4, before[-1].chain), history("pqr", 4, before[-1].chain)
    third = history("s", 6, second[1].chain)
    found = histories(before, first, second, third)
    here = record([*before, *second[:2], *third])
    texts = [text for _, text in found.forks(here)]
    assert [seq for seq, _ in found.forks(here)] == [4, 6]
    assert texts[0].startswith("after record 3 ") and texts[1].startswith("after record 5 ")
    assert [text.count("(this is here)") for text in texts] == [1, 1]
    assert sorted(found.lineage(here)) == [1, 2, 3, 4, 5, 6]


def test_two_hosts_with_one_machine_id() -> None:
    ours, theirs = history("abcd", host="web1"), history("klm", host="web2")
    ((seq, text),) = histories(ours, theirs).forks(record(ours))
    assert seq == 1 and text.startswith("from the beginning it goes on in 2 ways: record 1 to 4 of")
    assert "host web1, boot boot-a, boot-b, boot-c, boot-d (this is here)" in text
    assert "record 1 to 3 of 2026-01-01 to 2026-01-03, host web2" in text


def test_a_chain_made_anew_in_the_middle() -> None:
    ours = history("abcdef")
    other = history("zz", 5, hashlib.sha256(b"nobody").digest())
    ((seq, text),) = histories(ours, other).forks(record(ours))
    assert seq == 1 and "from the beginning" in text


@pytest.mark.parametrize("here", ["ours", "neither"])
def test_beside_a_record(tmp_path, here) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    lines = [writer.append_now({"event": "intent", "call_id": f"k-{n}"}) for n in range(5)]
    writer.close()
    ours = [
        Entry(r["seq"], bytes.fromhex(r["chain"]), bytes.fromhex(r["prev"]), "web1", "b", r["ts"])
        for r in lines
    ]
    fork = history("xyzuvw", 4, ours[2].chain)
    copy = Copy(histories(fork, ours) if here != "neither" else histories(ours[:3], fork))
    kinds = [finding.kind for finding in compare(path, lambda _: copy)]
    assert kinds == (["differs", "removed"] if here == "neither" else ["forked"])


def test_records_in_common_name_the_host() -> None:
    ours, theirs = history("abcdef"), history("uvwxyz")
    assert histories(ours).shares(record(ours[3:]))
    assert histories(ours[:2]).shares(record(ours))
    assert not histories(theirs).shares(record(ours))
    assert not histories().shares(record(ours))
