"""The writer: lines in order, chained, durable together, over crashes and rotations."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relay_shell.evidence.errors import EvidenceError
from relay_shell.evidence.reader import iter_records
from relay_shell.evidence.record import GENESIS
from relay_shell.evidence.verify import verify_chain
from relay_shell.evidence.writer import Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def kinds(path: Path) -> list[str]:
    return [finding.kind for finding in verify_chain(path).findings]


def test_a_line_is_what_was_recorded(path, facts) -> None:
    writer = Writer(path)
    record = writer.append_now(facts(args={"command": "echo 'ä\u202e\n'"}, tier=0))
    writer.close()
    line = path.read_bytes()
    assert line.count(b"\n") == 1
    assert json.loads(line) == record
    assert list(json.loads(line))[:5] == ["v", "seq", "ts", "boot_id", "event"]
    assert (record["seq"], record["prev"]) == (1, GENESIS)
    body = line[: line.index(b',"chain"')] + b"}"
    assert record["chain"] == hashlib.sha256(GENESIS.encode() + body).hexdigest()
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_the_chain_goes_on_after_a_restart(path, facts) -> None:
    for n in range(3):
        writer = Writer(path)
        writer.append_now(facts(f"k-{n}"))
        writer.append_now(facts(f"k-{n}", "outcome"))
        writer.close()
    report = verify_chain(path)
    assert report.whole and not report.findings
    assert (report.records, report.first, report.last) == (6, 1, 6)


def test_sixteen_at_once_share_syncs(path, facts) -> None:
    async def run() -> None:
        writer = Writer(path)

        async def one(name: int) -> None:
            for n in range(20):
                record = await writer.append(facts(f"k-{name}-{n}"))
                assert writer.status()["seq"] - writer.status()["unsynced"] >= record["seq"]

        await asyncio.gather(*map(one, range(16)))
        status = writer.status()
        assert status["syncs"] < 320
        assert status["largest_batch"] > 1
        assert status["records"] == 320
        writer.close()

    asyncio.run(run())
    assert verify_chain(path).records == 320


def test_what_nobody_waits_for_is_synced_soon(path, facts) -> None:
    async def run() -> None:
        writer = Writer(path)
        await writer.append(facts(), durable=False)
        assert writer.status()["unsynced"] == 1
        async with asyncio.timeout(60):
            while writer.status()["unsynced"]:
                await asyncio.sleep(0.01)
        assert writer.status()["syncs"] == 1
        writer.close()

    asyncio.run(run())


def test_a_caller_that_gives_up_harms_nobody(path, facts) -> None:
    async def run() -> None:
        writer = Writer(path)
        tasks = [asyncio.create_task(writer.append(facts(f"k-{n}"))) for n in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(item) for item in done] == [dict, asyncio.CancelledError, dict, dict]
        writer.close()

    asyncio.run(run())
    assert verify_chain(path).records == 4


@pytest.mark.parametrize(
    "facts",
    [
        {"event": "nonsense"},
        {"event": "intent", "colour": "red"},
        {"event": "intent", "seq": 7},
        {"event": "intent", "chain": GENESIS},
        {"event": "intent", "tier": "0"},
        {"event": "intent", "tier": True},
        {"event": "outcome", "truncated": 1},
        {"event": "intent", "principal": None},
        {},
    ],
)
def test_facts_outside_the_tables_are_a_defect(path, facts) -> None:
    writer = Writer(path)
    with pytest.raises(ValueError):
        writer.append_now(facts)
    writer.append_now({"event": "start"})
    writer.close()
    assert verify_chain(path).records == 1


def test_a_record_that_is_too_large_is_refused_alone(path, facts) -> None:
    writer = Writer(path)
    with pytest.raises(EvidenceError) as caught:
        writer.append_now(facts(args="x" * (5 * 1024 * 1024)))
    assert caught.value.cause == "too_large"
    assert writer.append_now(facts())["seq"] == 1
    writer.close()


def test_hostile_text_stays_on_its_line(path, facts) -> None:
    hostile = 'a"b\\\n\r\0\x1b[2J\u2028\ud800","chain":"' + "0" * 64 + '"}\n{"v":1,"seq":2}'
    writer = Writer(path)
    writer.append_now(facts(args={hostile: [hostile, float("nan"), 1e400]}, client=hostile))
    writer.append_now(facts(args=hostile))
    writer.close()
    assert path.read_bytes().count(b"\n") == 2
    first, second = iter_records(path)
    assert first["client"] == second["args"] == hostile
    assert first["args"] == {hostile: [hostile, "nan", "inf"]}
    assert verify_chain(path).whole


# ---- what a crash leaves -------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_a_torn_line_is_named_and_left(path, facts, cut) -> None:
    writer = Writer(path)
    writer.append_now(facts("k-1"))
    writer.append_now(facts("k-2"))
    writer.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    last = whole[:-cut].rpartition(b"\n")[2]

    writer = Writer(path)
    assert [record["call_id"] for record in writer.unfinished] == ["k-1"]
    writer.append_now(facts("k-3"))
    writer.close()
    assert path.read_bytes().startswith(whole[:-cut] + b"\x18\n")
    torn = next(iter_records(path, filters={"event": "torn"}))
    named = last + b"\x18\n"
    assert torn["facts"] == {"bytes": len(named), "sha256": hashlib.sha256(named).hexdigest()}
    assert torn["seq"] == 2
    assert verify_chain(path).whole and kinds(path) == ["torn"]


def test_garbage_lines_at_the_end_are_named(path, facts) -> None:
    writer = Writer(path)
    writer.append_now(facts("k-1"))
    writer.close()
    with path.open("ab") as file:
        file.write(b'\0\0\0\n{"v":1,"seq":9}\n\n' + b"\xff" * 200_000)
    writer = Writer(path)
    assert writer.append_now(facts("k-2"))["seq"] == 3
    writer.close()
    assert verify_chain(path).whole and kinds(path) == ["torn"]


def test_intents_without_outcome_are_found(path, facts) -> None:
    writer = Writer(path)
    for call, events in {
        "k-1": ["intent", "outcome"],
        "k-2": ["intent"],
        "k-3": ["deny"],
        "k-4": ["intent", "interrupted"],
        'k-"5': ["intent"],
        "k-6": ["intent", "note"],
    }.items():
        for event in events:
            writer.append_now(facts(call, event))
    assert writer.unfinished == []
    writer.close()
    writer = Writer(path)
    assert [record["call_id"] for record in writer.unfinished] == ["k-2", 'k-"5', "k-6"]
    assert writer.unfinished[0]["principal"] == "unix:alice"
    writer.close()


VICTIM = """
import asyncio, sys
from relay_shell.evidence.writer import Writer
async def main():
    writer = Writer(sys.argv[1])
    for record in writer.unfinished:
        writer.append_now({"event": "interrupted", "call_id": record["call_id"]})
    async def one(name):
        n = 0
        while True:
            call = f"k-{sys.argv[2]}-{name}-{n}"
            await writer.append({"event": "intent", "call_id": call, "args": {"c": "x" * n}})
            print(call, flush=True)
            writer.append_now({"event": "outcome", "call_id": call})
            n += 1
    await asyncio.gather(*map(one, range(8)))
asyncio.run(main())
"""


@pytest.mark.slow
def test_killed_at_random_points_nothing_acknowledged_is_lost(path) -> None:
    dice = random.Random(7)  # the points differ in time anyway
    acknowledged: list[str] = []
    for trial in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", VICTIM, str(path), str(trial)],
            env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
            stdout=subprocess.PIPE,
            text=True,
        ) as victim:
            assert victim.stdout is not None
            for _ in range(dice.randrange(1, 400)):
                acknowledged.append(victim.stdout.readline().strip())
            victim.send_signal(signal.SIGKILL)
            acknowledged += [line.strip() for line in victim.stdout if line.endswith("\n")]
        assert victim.returncode == -signal.SIGKILL
    writer = Writer(path)
    for record in writer.unfinished:
        writer.append_now({"event": "interrupted", "call_id": record["call_id"]})
    writer.close()
    report = verify_chain(path)
    assert report.whole, report.findings
    intents, ends = set(), set()
    for record in iter_records(path):
        if record["event"] == "intent":
            intents.add(record["call_id"])
        elif record["event"] in ("outcome", "interrupted"):
            assert record["call_id"] in intents
            ends.add(record["call_id"])
    assert len(acknowledged) > 12 and set(acknowledged) <= intents
    assert intents == ends


# ---- rotation ------------------------------------------------------------------------------


def test_rotation_keeps_the_chain(path, facts) -> None:
    writer = Writer(path)
    writer.append_now(facts("k-1"))
    path.rename(path.with_name("audit.jsonl-1700000001"))
    path.touch(0o640)
    assert writer.reopen()
    assert not writer.reopen()
    writer.append_now(facts("k-2"))
    writer.close()
    assert [r["event"] for r in iter_records(path, rotated=False)] == ["rotate", "intent"]
    assert [r["seq"] for r in iter_records(path)] == [1, 2, 3]
    assert not verify_chain(path).findings


def test_a_rotation_is_noticed_without_being_told(path, facts) -> None:
    async def run() -> None:
        writer = Writer(path)
        await writer.append(facts("k-1"))
        path.rename(path.with_suffix(".jsonl.1"))
        # Between rename and create, the renamed file is still the record.
        await writer.append(facts("k-2"))
        path.touch(0o640)
        await writer.append(facts("k-3"))
        writer.close()

    asyncio.run(run())
    assert [r["seq"] for r in iter_records(path.with_suffix(".jsonl.1"))] == [1, 2]
    assert not verify_chain(path).findings


def test_under_load_no_record_falls_between_files(path, facts) -> None:
    async def run() -> None:
        writer = Writer(path)
        running = True

        async def one(name: int) -> None:
            n = 0
            while running:
                await writer.append(facts(f"k-{name}-{n}"))
                n += 1

        tasks = [asyncio.create_task(one(n)) for n in range(8)]
        for n in range(10):
            reached = writer.seq + 50
            while writer.seq < reached:
                await asyncio.sleep(0)
            path.rename(path.with_name(f"audit.jsonl-{1700000000 + n}"))
            path.touch(0o640)
            if n % 2:
                writer.reopen()
        running = False
        await asyncio.gather(*tasks)
        writer.close()

    asyncio.run(run())
    report = verify_chain(path)
    assert len(report.files) == 11 and report.records > 500 and not report.findings


def test_a_rotation_while_stopped_and_compressed(path, facts) -> None:
    writer = Writer(path)
    writer.append_now(facts("k-1"))
    writer.close()
    with gzip.open(path.with_name("audit.jsonl.1.gz"), "wb") as file:
        file.write(path.read_bytes() + b"torn")
    path.write_bytes(b"")
    writer = Writer(path)
    assert writer.seq == 1
    assert [record["call_id"] for record in writer.unfinished] == ["k-1"]
    writer.append_now(facts("k-1", "outcome"))
    writer.close()
    assert verify_chain(path).whole and kinds(path) == ["torn"]


def test_a_file_put_in_its_place_is_named(path, facts) -> None:
    writer = Writer(path)
    writer.append_now(facts("k-1"))
    path.rename(path.with_suffix(".jsonl.1"))
    path.write_bytes(b"forged\nforged")
    path.chmod(0o640)
    writer.append_now(facts("k-2"))
    writer.close()
    events = [record["event"] for record in iter_records(path)]
    assert events == ["intent", "torn", "rotate", "intent"]
    assert verify_chain(path).whole


def test_a_directory_that_cannot_be_listed_is_said(tmp_path, facts) -> None:
    """As a broker's that may pass through the directory, but not read it."""
    if os.geteuid():
        pytest.skip("becoming another user needs root")
    directory = tmp_path / "log"
    directory.mkdir()
    script = """
import os, sys
from relay_shell.evidence.writer import Writer
os.setresgid(54321, 54321, 54321); os.setresuid(54321, 54321, 54321)
writer = Writer(sys.argv[1])
writer.append_now({"event": "start"})
writer.close()
"""
    path = directory / "audit.jsonl"
    path.touch(0o640)
    os.chown(path, 54321, 54321)
    directory.chmod(0o711)
    for parent in (tmp_path, *tmp_path.parents):
        if not os.stat(parent).st_mode & 0o001:
            parent.chmod(os.stat(parent).st_mode | 0o001)
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", script, str(path)],
            env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
            check=True,
        )
    first, *rest = iter_records(path)
    assert first["event"] == "rotate" and "Permission denied" in first["error"]
    assert [record["event"] for record in rest] == ["start", "start"]


def test_a_closed_writer_refuses(path, facts) -> None:
    writer = Writer(path)
    writer.close()
    writer.close()
    with pytest.raises(EvidenceError) as caught:
        writer.append_now(facts())
    assert caught.value.cause == "closed"
    assert path.read_bytes() == b""
