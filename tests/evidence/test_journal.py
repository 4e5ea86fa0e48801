"""Records as datagrams of the native protocol, read by a journald that is only a socket."""

from __future__ import annotations

import array
import asyncio
import mmap
import os
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from relay_shell.evidence import journal as module
from relay_shell.evidence.errors import EvidenceError
from relay_shell.evidence.events import EVENTS
from relay_shell.evidence.journal import Journal
from relay_shell.evidence.writer import Writer


class Journald:
    """Takes datagrams, and reads them as journald does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.sock.setblocking(False)
        self.memfds = 0

    def entries(self) -> list[list[tuple[str, str]]]:
        found = []
        while True:
            try:
                data, ancillary, _, _ = self.sock.recvmsg(1 << 20, 64)
            except BlockingIOError:
                return found
            for _, _, raw in ancillary:
                (fd,) = array.array("i", raw)
                self.memfds += 1
                with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as content:
                    data = content[:]
                os.close(fd)
            found.append(parse(data))

    def dicts(self) -> list[dict[str, str]]:
        return [dict(entry) for entry in self.entries()]

    def close(self) -> None:
        self.sock.close()
        self.path.unlink()


def parse(data: bytes) -> list[tuple[str, str]]:
    fields = []
    while data:
        end = data.index(b"\n")
        name, equals, value = data[:end].partition(b"=")
        data = data[end + 1 :]
        if not equals:
            (length,) = struct.unpack_from("<Q", data)
            value, data = data[8 : 8 + length], data[8 + length :]
            assert data[:1] == b"\n"
            data = data[1:]
        assert name.replace(b"_", b"").isalnum() and name.isupper()
        fields.append((name.decode(), value.decode()))
    return fields


@pytest.fixture
def journald(tmp_path: Path) -> Journald:
    return Journald(tmp_path / "journal")


def note(n: int, **more: object) -> dict[str, object]:
    return {"event": "note", "seq": n, **more}


def fill(journal: Journal) -> int:
    """Send until the socket takes no more; how many it took."""
    for n in range(100_000):
        journal.send(note(n))
        if journal.error:
            return n
    raise AssertionError("the socket never filled")


def test_an_entry_has_every_fact(journald) -> None:
    journal = Journal(path=str(journald.path))
    journal.send(
        {
            "v": 1,
            "seq": 4,
            "event": "deny",
            "principal": "unix:alice",
            "tool": "shell_exec",
            "tier": 3,
            "truncated": False,
            "reasons": ["one\ntwo", "MESSAGE=forged"],
            "args": {"command": "a\nPRIORITY=0\n"},
        }
    )
    (entry,) = journald.entries()
    assert entry == [
        (
            "MESSAGE",
            'alice shell_exec "a\\nPRIORITY=0\\n" tier 3 denied: one\\ntwo; MESSAGE=forged',
        ),
        ("PRIORITY", "5"),
        ("MESSAGE_ID", EVENTS["deny"].message_id),
        ("SYSLOG_IDENTIFIER", "relay-shell"),
        ("RELAY_V", "1"),
        ("RELAY_SEQ", "4"),
        ("RELAY_EVENT", "deny"),
        ("RELAY_PRINCIPAL", "unix:alice"),
        ("RELAY_TOOL", "shell_exec"),
        ("RELAY_TIER", "3"),
        ("RELAY_TRUNCATED", "false"),
        ("RELAY_REASONS", "one\ntwo"),
        ("RELAY_REASONS", "MESSAGE=forged"),
        ("RELAY_ARGS", '{"command":"a\\nPRIORITY=0\\n"}'),
    ]
    journal.close()


def test_a_long_array_is_one_field(journald) -> None:
    journal = Journal(path=str(journald.path))
    journal.send(note(1, hosts=[f"h{n}" for n in range(1024)]))
    journal.send(note(2, hosts=[f"h{n}" for n in range(256)]))
    found = [
        [value for name, value in entry if name == "RELAY_HOSTS"] for entry in journald.entries()
    ]
    assert len(found[0]) == 1 and found[1] == [f"h{n}" for n in range(256)]


def test_a_large_entry_goes_by_memfd(journald) -> None:
    journal = Journal(path=str(journald.path))
    journal.send(note(1, args="x\ud800" + "y" * 1_000_000))
    journal.send(note(2))
    first, second = journald.dicts()
    assert journald.memfds == 1
    assert len(first["RELAY_ARGS"]) == 1_000_007
    assert second["RELAY_SEQ"] == "2"
    assert journal.status()["lost"] == 0


def test_a_frozen_journald_is_never_waited_for_and_loses_nothing(journald) -> None:
    async def run() -> None:
        journal = Journal(path=str(journald.path))
        taken = fill(journal)
        for n in range(taken + 1, taken + 100):
            journal.send(note(n))
        assert journal.status()["spooled"] == 100 and journal.status()["state"] != "ok"
        seen: list[dict[str, str]] = []
        async with asyncio.timeout(60):
            while len(seen) < taken + 100:
                seen += journald.dicts()
                await asyncio.sleep(0.01)
        assert [int(entry["RELAY_SEQ"]) for entry in seen] == list(range(taken + 100))
        assert journal.status()["state"] == "ok" and journal.lost == 0
        journal.close()

    asyncio.run(run())


def test_beyond_the_spool_losses_are_counted_and_told(journald) -> None:
    journal = Journal("spool", 3000, str(journald.path))
    taken = fill(journal)
    for n in range(200):
        journal.send(note(taken + 1 + n))
    status = journal.status()
    assert 0 < status["spooled_bytes"] <= 3000
    assert status["lost"] == 201 - status["spooled"]
    seen = journald.dicts()
    while not journal.flush():
        seen += journald.dicts()
    seen += journald.dicts()
    assert len(seen) == taken + status["spooled"] + 1
    assert seen[-1]["MESSAGE_ID"] == EVENTS["journal-lost"].message_id
    assert seen[-1]["RELAY_FACTS"] == f'{{"records":{status["lost"]}}}'


def test_continue_keeps_nothing(journald) -> None:
    journal = Journal("continue-and-mark", path=str(journald.path))
    taken = fill(journal)
    assert journal.status()["spooled"] == 0 and journal.lost == 1
    assert len(journald.dicts()) == taken
    journal.send(note(0))
    assert [entry["RELAY_EVENT"] for entry in journald.dicts()] == ["note", "journal-lost"]


@pytest.mark.parametrize("policy", ["spool", "continue-and-mark", "continue"])
def test_what_lasts_or_is_lost_is_for_the_record(journald, monkeypatch, policy) -> None:
    monkeypatch.setattr(module, "TOLD", 0.3)
    told: list[dict[str, Any]] = []

    async def wait(count: int) -> None:
        async with asyncio.timeout(60):
            while len(told) < count:
                await asyncio.sleep(0.01)

    async def run() -> None:
        journal = Journal(policy, path=str(journald.path))
        journal.on_state = lambda facts: told.append(dict(facts))
        journal.send(note(0))
        journald.close()
        for n in range(1, 4):
            journal.send(note(n))
        await wait(1)
        again = Journald(journald.path)
        journald.sock = again.sock
        await wait(2)
        journal.close()

    asyncio.run(run())
    first, last = told
    assert (first["event"], first["what"]) == ("degraded", "journal") and first["error"]
    assert first["facts"] == {"policy": policy}
    assert (last["event"], last["what"]) == ("recovered", "journal")
    assert last["facts"]["lost"] == (0 if policy == "spool" else 3)
    entries = [entry.get("RELAY_SEQ") or entry["RELAY_EVENT"] for entry in journald.dicts()]
    assert entries == (["1", "2", "3"] if policy == "spool" else ["journal-lost"])


def test_a_journald_that_is_only_busy_is_not_for_the_record(journald) -> None:
    told: list[object] = []

    async def run() -> None:
        journal = Journal(path=str(journald.path))
        journal.on_state = told.append
        fill(journal)
        async with asyncio.timeout(60):
            while journal.status()["spooled"]:
                journald.dicts()
                await asyncio.sleep(0.01)
        journal.close()

    asyncio.run(run())
    assert told == []


def test_block_refuses_calls_until_journald_takes_them(journald, tmp_path) -> None:
    async def run() -> None:
        journal = Journal("block", path=str(journald.path))
        writer = Writer(tmp_path / "audit.jsonl", journal=journal)
        fill(journal)
        with pytest.raises(EvidenceError) as caught:
            await journal.ready(0.05)
        assert caught.value.cause == "journal"
        # What has happened is recorded all the same.
        await writer.append({"event": "outcome", "call_id": "k-0"}, durable=False)
        call = asyncio.create_task(writer.append({"event": "intent", "call_id": "k-1"}))
        await asyncio.sleep(0)
        assert writer.seq == 1
        async with asyncio.timeout(60):
            while not call.done():
                journald.dicts()
                await asyncio.sleep(0.01)
        assert call.result()["seq"] == 2
        writer.close()

    asyncio.run(run())


def test_a_journald_that_comes_and_goes(journald) -> None:
    journal = Journal(path=str(journald.path))
    journal.send(note(1))
    assert [entry["RELAY_SEQ"] for entry in journald.dicts()] == ["1"]
    journald.close()
    journal.send(note(2))
    assert journal.status()["state"] == "No such file or directory"
    again = Journald(journald.path)
    journal.send(note(3))
    assert [entry["RELAY_SEQ"] for entry in again.dicts()] == ["2", "3"]
    assert journal.status()["sent"] == 3
    journal.close()


def test_the_journal_has_what_the_file_has(journald, tmp_path) -> None:
    async def run() -> None:
        writer = Writer(tmp_path / "audit.jsonl", journal=Journal(path=str(journald.path)))
        record = await writer.append({"event": "intent", "call_id": "k-1", "tier": 2})
        (entry,) = journald.dicts()
        for name, value in record.items():
            assert entry[f"RELAY_{name.upper()}"] == str(value)
        writer.close()

    asyncio.run(run())


def test_trouble_is_told_to_the_journal_once(journald, tmp_path) -> None:
    writer = Writer(tmp_path / "gone" / "audit.jsonl", journal=Journal(path=str(journald.path)))
    for _ in range(3):
        with pytest.raises(EvidenceError):
            writer.append_now({"event": "start"})
    (tmp_path / "gone").mkdir()
    writer.append_now({"event": "start"})
    trouble, recovered, start = journald.dicts()
    assert (trouble["RELAY_EVENT"], trouble["PRIORITY"]) == ("trouble", "3")
    assert "No such file or directory" in trouble["MESSAGE"]
    assert recovered["RELAY_EVENT"] == "recovered" and start["RELAY_SEQ"] == "2"
    writer.close()
