"""What was done to a record is found, and called by its name."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import re
from pathlib import Path

import pytest

from relay_shell.evidence.canonical import body
from relay_shell.evidence.chain import parse, seal
from relay_shell.evidence.reader import iter_records
from relay_shell.evidence.record import GENESIS
from relay_shell.evidence.verify import NAMED, verify_chain
from relay_shell.evidence.writer import Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    for n in range(10):
        writer.append_now({"event": "intent", "call_id": f"k-{n}", "tier": 3})
    writer.close()
    return path


def kinds(path: Path) -> list[tuple[str, int]]:
    return [(finding.kind, finding.seq) for finding in verify_chain(path).findings]


def change(path: Path, edit) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(edit(lines)))


def forge(line: bytes, prev: str | None = None, **facts: object) -> bytes:
    record = {**(parse(line) or {}), **facts}
    record.pop("chain")
    prev = prev or record["prev"]
    return seal(prev, body(record, prev))[0]


def rechain(lines: list[bytes], prev: str = GENESIS) -> list[bytes]:
    out = []
    for seq, line in enumerate(lines, 1):
        out.append(forge(line, prev, seq=seq))
        prev = (parse(out[-1]) or {})["chain"]
    return out


def test_untouched(path) -> None:
    report = verify_chain(path)
    assert report.whole and (report.records, report.first, report.last) == (10, 1, 10)
    assert report.bytes == path.stat().st_size


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        # An edit, and an edit whose own digest was made anew.
        (lambda x: [*x[:4], x[4].replace(b'"tier":3', b'"tier":0'), *x[5:]], [("edited", 5)]),
        (lambda x: [*x[:4], forge(x[4], tier=0), *x[5:]], [("relinked", 6)]),
        # Removals.
        (lambda x: [*x[:4], *x[5:]], [("gap", 6)]),
        (lambda x: [*x[:4], *x[7:]], [("gap", 8)]),
        (lambda x: x[3:], [("head", 4)]),
        # Repetition and reordering.
        (lambda x: [*x[:5], x[4], *x[5:]], [("order", 5)]),
        (lambda x: [*x[:4], x[5], x[4], *x[6:]], [("gap", 6), ("order", 5), ("gap", 7)]),
        # Insertions: of what is no record, of what claims to be one, of one that is sealed.
        (lambda x: [*x[:4], b"hello\n", *x[4:]], [("foreign", 5)]),
        (lambda x: [b"\0\0\0\n", *x], [("foreign", 1)]),
        (lambda x: [*x, b"hello\n"], [("foreign", 0)]),
        (lambda x: [*x, b"hello"], [("foreign", 0)]),
        (lambda x: [*x, x[9][:-1]], [("foreign", 0)]),
        (lambda x: [*x, forge(x[9], seq=11)], [("relinked", 11)]),
        (lambda x: [*x[:4], b"\n", *x[4:]], [("foreign", 5)]),
        # A forged chain from the beginning, in the middle of the true one.
        (lambda x: [*x[:5], *rechain(x[:3])], [("restart", 1)]),
        # Blanks within a line that parse to the same facts.
        (lambda x: [*x[:4], x[4].replace(b",", b", ", 1), *x[5:]], [("foreign", 6), ("gap", 6)]),
        (lambda x: [*x[:9], x[9].replace(b'"tier":3', b'"tier": 3')], [("edited", 10)]),
    ],
)
def test_tampering(path, edit, found) -> None:
    change(path, edit)
    assert kinds(path) == found
    assert verify_chain(path).whole == (found[0][0] == "head")


def test_what_the_chain_alone_cannot_tell_changes_its_value(path) -> None:
    before = verify_chain(path)
    for edit in (lambda x: x[:-1], lambda x: rechain([*x[:4], *x[5:]])):
        original = path.read_bytes()
        change(path, edit)
        after = verify_chain(path)
        assert after.whole and after.last == 9 and after.chain != before.chain
        path.write_bytes(original)


def test_what_is_missing_is_between_two_times(path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    stamps = [(parse(line) or {})["ts"] for line in lines]
    path.write_bytes(b"".join([*lines[2:4], *lines[7:]]))
    head, gap = verify_chain(path).findings
    assert head.detail == f"the first record here is 3, of {stamps[2]}"
    assert gap.detail == f"record 5 to 7, after {stamps[3]} and before {stamps[7]}"


def test_a_record_of_a_later_version_is_not_called_edited(path) -> None:
    lines = path.read_bytes().splitlines()
    body_, prev = lines[9].rpartition(b',"chain"')[0], (parse(lines[9]) or {})["prev"]
    later = seal(prev, body_.replace(b'{"v":1,', b'{"v":2,') + b"}")[0]
    path.write_bytes(b"\n".join([*lines[:9], later]))
    assert [(f.kind, f.detail) for f in verify_chain(path).findings] == [
        ("version", "record 10, version 2")
    ]
    path.write_bytes(
        path.read_bytes().replace(
            b'"tier":3,"prev":"%b' % prev.encode(), b'"tier":0,"prev":"%b' % prev.encode()
        )
    )
    assert kinds(path) == [("edited", 10)]


def test_findings_by_the_thousand_are_counted(tmp_path) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    for n in range(1000):
        writer.append_now({"event": "intent", "call_id": f"k-{n}", "tier": 3})
    writer.close()
    path.write_bytes(path.read_bytes().replace(b'"tier":3', b'"tier":0'))
    *named, more = verify_chain(path).findings
    assert {f.kind for f in named} == {"edited"} and len(named) == NAMED
    assert (more.kind, more.detail, more.fails) == ("edited", f"{1000 - NAMED} more", True)


def test_a_damaged_compressed_file_is_named_whatever_is_damaged(path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[8:]))
    for opener, suffix in ((gzip, "gz"), (bz2, "bz2"), (lzma, "xz")):
        segment = path.with_name(f"audit.jsonl.1.{suffix}")
        intact = opener.compress(b"".join(lines[:8]))
        for at in range(0, len(intact), 7):
            damaged = bytearray(intact)
            damaged[at] ^= 0x55
            segment.write_bytes(damaged)
            report = verify_chain(path)
            if not report.whole:
                assert report.findings[0].path == str(segment)
                with pytest.raises(OSError, match=re.escape(segment.name)):
                    list(iter_records(path))
            else:
                # A byte of the header that nothing depends on, as the time in that of gzip.
                assert (report.records, report.first) == (10, 1)
            # The writer needs the active file alone.
            Writer(path).close()
        segment.unlink()


def test_a_file_that_is_not_read_is_named(path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[5:]))
    for name in ("audit.jsonl.1.zst", "audit.jsonl-20260101.gz.bak"):
        path.with_name(name).write_bytes(b"".join(lines[:5]))
    path.with_name("audit.jsonl.lock").touch()
    found = [(f.kind, Path(f.path).name) for f in verify_chain(path).findings]
    assert found == [
        ("head", "audit.jsonl"),
        ("stray", "audit.jsonl-20260101.gz.bak"),
        ("stray", "audit.jsonl.1.zst"),
    ]
    assert verify_chain(path, rotated=False).findings[1:] == []


def test_a_torn_record_that_names_other_bytes(path) -> None:
    with path.open("ab") as file:
        file.write(b"torn")
    writer = Writer(path)
    writer.append_now({"event": "start"})
    writer.close()
    assert kinds(path) == [("torn", 11)]
    path.write_bytes(path.read_bytes().replace(b"torn\x18", b"tarn\x18"))
    assert kinds(path) == [("foreign", 11)]
    lie = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    writer = Writer(path)
    writer.append_now({"event": "torn", "facts": lie})
    writer.close()
    assert kinds(path) == [("foreign", 11)]


def test_several_files(path) -> None:
    first, second, third = (path.with_name(f"audit.jsonl.{n}") for n in (3, 2, 1))
    lines = path.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join(lines[:3]))
    second.with_name("audit.jsonl.2.gz").write_bytes(gzip.compress(b"".join(lines[3:5])))
    third.write_bytes(b"".join(lines[5:8]))
    path.write_bytes(b"".join(lines[8:]))
    report = verify_chain(path)
    assert report.whole and not report.findings and len(report.files) == 4
    third.unlink()
    assert kinds(path) == [("gap", 9)]
    assert "record 6 to 8" in str(verify_chain(path).findings[0])
    first.unlink()
    assert kinds(path) == [("head", 4), ("gap", 9)]
    damaged = path.with_name("audit.jsonl.2.gz")
    damaged.write_bytes(damaged.read_bytes()[:-12])
    assert ("unreadable", 0) in kinds(path)


def test_nothing_there(tmp_path) -> None:
    path = tmp_path / "audit.jsonl"
    assert [kind for kind, _ in kinds(path)] == ["missing"]
    assert not verify_chain(path).whole
    assert [kind for kind, _ in kinds(tmp_path / "gone" / "x")] == ["missing"]
    path.touch()
    assert [kind for kind, _ in kinds(path)] == ["empty"]
    assert not verify_chain(path).whole


def test_an_active_file_that_is_gone(path) -> None:
    path.rename(path.with_suffix(".jsonl.1"))
    assert [kind for kind, _ in kinds(path)] == ["missing"]


def test_a_line_without_end_takes_bounded_memory(path, monkeypatch) -> None:
    import relay_shell.evidence.scan as module

    monkeypatch.setattr(module, "MAX_LINE", 1000)
    with path.open("ab") as file:
        file.write(b"x" * 500_000)
    assert kinds(path) == [("foreign", 0)]
