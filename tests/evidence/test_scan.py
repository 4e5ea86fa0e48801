"""Checkpoints, clock and silence, as a verification judges them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay_shell.evidence.signing import Keys, Signer, generate
from relay_shell.evidence.verify import verify_chain
from relay_shell.evidence.writer import Writer


@pytest.fixture(scope="module")
def signer() -> Signer:
    pem = generate()
    return Signer(lambda: pem)


@pytest.fixture
def keys(signer: Signer) -> Keys:
    return Keys([signer.public_pem()])


@pytest.fixture
def path(tmp_path: Path, signer: Signer) -> Path:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path, signer=signer, every=4)
    for n in range(10):
        writer.append_now({"event": "intent", "call_id": f"k-{n}", "tier": 3})
    writer.close()
    return path


def kinds(path: Path, keys: Keys | None) -> list[str]:
    return [finding.kind for finding in verify_chain(path, keys=keys).findings]


def test_what_was_signed_is_whole(path, keys) -> None:
    report = verify_chain(path, keys=keys)
    assert report.whole and not report.findings
    assert (report.checkpoints, report.sealed, report.last) == (3, 12, 13)


def test_without_a_key_nothing_is_taken_for_checked(path) -> None:
    assert kinds(path, None) == ["unknown-key"]
    assert not verify_chain(path).whole


def test_a_chain_made_anew_breaks_the_signatures(path, keys, rechain) -> None:
    rechain(path, {2: {"tier": 0}})
    assert kinds(path, keys) == ["signature"] * 3 + ["unsigned"]


def test_a_chain_made_anew_with_checkpoints_that_fit_it(path, keys, rechain) -> None:
    rechain(path, {2: {"tier": 0}})
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    for record in lines:
        if record["event"] == "checkpoint":
            before = [json.loads(line) for line in path.read_bytes().splitlines()][
                record["seq"] - 2
            ]
            facts = {**record["facts"], "chain": before["chain"]}
            rechain(path, {record["seq"]: {"facts": facts}})
    found = verify_chain(path, keys=keys).findings
    assert [f.kind for f in found] == ["signature"] * 3 + ["unsigned"]
    assert "the signature is not of its key" in found[0].detail


def test_a_chain_without_its_checkpoints(tmp_path, keys) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    writer.append_now({"event": "start"})
    writer.close()
    assert kinds(path, keys) == ["unsigned"]


def test_a_key_of_somebody_else(path) -> None:
    other = Keys([Signer(generate).public_pem()])
    assert kinds(path, other) == ["unknown-key"] * 3 + ["unsigned"]


def test_the_last_records_are_not_sealed_yet(path, keys, signer) -> None:
    writer = Writer(path, signer=signer)
    writer.append_now({"event": "start"})
    found = verify_chain(path, keys=keys)
    assert found.whole and [str(f).rpartition(": ")[2] for f in found.findings] == [
        "record 14 to 14"
    ]
    writer.close()


def test_a_segment_alone(path, keys) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    segment = path.with_name("audit.jsonl-20260101")
    segment.write_bytes(b"".join(lines[5:10]))
    report = verify_chain(segment, rotated=False, keys=keys)
    assert report.whole and [f.kind for f in report.findings] == ["head"]
    assert (report.first, report.last, report.checkpoints) == (6, 10, 1)


def test_the_clock_was_set_back(path, rechain) -> None:
    path.unlink()
    writer = Writer(path)
    for _ in range(3):
        writer.append_now({"event": "intent", "call_id": "k"})
    writer.close()
    rechain(path, {2: {"ts": "2020-01-01T00:00:00.000000Z"}})
    report = verify_chain(path)
    assert report.whole and [(f.kind, f.seq) for f in report.findings] == [("clock", 2)]


@pytest.mark.parametrize(("event", "found"), [("intent", ["silence"]), ("start", [])])
def test_a_silence_longer_than_the_heartbeats_allow(tmp_path, event, found, rechain) -> None:
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    writer.append_now({"event": "heartbeat", "facts": {"seconds": 60}})
    writer.append_now({"event": event})
    writer.close()
    rechain(
        path,
        {1: {"ts": "2026-01-01T00:00:00.000000Z"}, 2: {"ts": "2026-01-01T00:03:01.000000Z"}},
    )
    report = verify_chain(path)
    assert report.whole and [f.kind for f in report.findings] == found


def test_lines_are_counted_over_blocks_and_findings(tmp_path, monkeypatch) -> None:
    import relay_shell.evidence.scan as module

    monkeypatch.setattr(module, "_CHUNK", 700)
    path = tmp_path / "audit.jsonl"
    writer = Writer(path)
    for n in range(40):
        writer.append_now({"event": "session", "call_id": f"k-{n}"})
    writer.close()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[30] = lines[30].replace(b"k-30", b"k-31")
    path.write_bytes(b"".join(lines))
    report = verify_chain(path)
    assert [(f.kind, f.line, f.seq) for f in report.findings] == [("edited", 31, 31)]
    assert (report.records, report.last, report.bytes) == (40, 40, path.stat().st_size)
