"""Spares at their hello: admitted while their unit is what it was, and never for another reason."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, Peer, story, until
from relay_shell.broker import definition
from relay_shell.broker.definition import Definition, boot_seconds
from relay_shell.wire.messages import VERSION

CHILD = Path(__file__).with_name("child_worker.py")


def unit_in(office: Office) -> Path:
    """A root directory whose unit this broker watches."""
    root = office.root / "system"
    for name in ("run/systemd/systemd-units-load", "etc/group"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("one\n")
    office.broker.state.definition = Definition(str(root))
    return root


async def connected(office: Office) -> tuple[Peer, str]:
    front = await office.front()
    return front, (await office.connect(front))["conn"]


async def process(office: Office, ticket: str, conn: str) -> Any:
    """A worker process that shows a ticket, and what it was answered."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), office.settings["paths.broker"], ticket, conn),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None and child.stdin is not None
    try:
        return json.loads(await child.stdout.readline())
    finally:
        child.stdin.close()
        await child.wait()


def test_a_spare_of_an_unchanged_unit_is_admitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A test run may take longer than a spare may wait.
    monkeypatch.setattr(definition, "OLDEST", float("inf"))

    async def tell(office: Office) -> None:
        unit_in(office)
        # This very process is the worker, and older than the broker: as if seen from boot on.
        office.broker.state.definition._since = 0.0
        front, conn = await connected(office)
        worker = await office.worker(front, conn)
        assert worker.id
        assert office.records("worker", what="outdated") == []

    story(tmp_path, tell)


def test_a_spare_of_a_unit_that_changed_is_refused_and_recorded(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        root = unit_in(office)
        office.broker.state.definition._since = 0.0
        (root / "etc/group").write_text("one\ntwo\n")
        front, conn = await connected(office)
        ticket = (await front.ask("ticket", {"conn": conn}))["ticket"]
        worker = Peer(await office.dial(), "worker")
        office.peers.append(worker)
        said = await worker.refused("hello_worker", {"version": VERSION, "ticket": ticket})
        assert said.startswith("PermissionDenied: spare worker not used: unit files, accounts")
        (row,) = office.records("worker", what="outdated")
        assert row["conn"] == conn and row["pid"] == os.getpid() and row["posture"] == "scoped"
        # Nobody did wrong, so it does not count among the refused.
        assert office.records("refused") == [] and office.broker.state.refused == 0
        assert len(office.broker.state.workers) == 0
        # The ticket was used up.
        again = Peer(await office.dial(), "worker")
        office.peers.append(again)
        assert "unknown, used" in await again.refused(
            "hello_worker", {"version": VERSION, "ticket": ticket}
        )
        assert len(office.records("refused")) == 1

    story(tmp_path, tell)


def test_a_worker_that_was_started_for_its_ticket_is_not_asked(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        root = unit_in(office)
        front, conn = await connected(office)
        ticket = (await front.ask("ticket", {"conn": conn}))["ticket"]
        (root / "etc/group").write_text("one\ntwo\n")
        answer = await process(office, ticket, conn)
        assert answer["principal"] == office.records("connect")[0]["principal"]
        assert office.records("worker", what="outdated") == []

    story(tmp_path, tell)


def test_what_started_before_its_ticket_is_asked_however_fast_it_is(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        root = unit_in(office)
        front, conn = await connected(office)
        reader, writer = os.pipe()
        # It starts now, and gets its ticket from the pipe.
        child = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            'read -r ticket; exec "$0" "$1" "$2" "$ticket" "$3"',
            *(sys.executable, str(CHILD), office.settings["paths.broker"], conn),
            stdin=reader,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        os.close(reader)
        begun = boot_seconds()
        await until(lambda: boot_seconds() > begun + 0.05)
        (root / "etc/group").write_text("one\ntwo\n")
        ticket = (await front.ask("ticket", {"conn": conn}))["ticket"]
        os.write(writer, ticket.encode() + b"\n")
        os.close(writer)
        assert child.stdout is not None
        answer = json.loads(await child.stdout.readline())
        await child.wait()
        assert "spare worker not used" in str(answer), answer
        assert len(office.records("worker", what="outdated")) == 1

    story(tmp_path, tell)
