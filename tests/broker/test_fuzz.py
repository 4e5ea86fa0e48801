"""Every message that the table allows, with any content: answered or refused, never a crash."""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, Peer, story
from relay_shell.wire.errors import RelayError
from relay_shell.wire.messages import TABLE, Field

TEXTS = ("", "a", "unix:root", "all", "tier", "worker", "2", "\x00", "é\ud7ff", "-1", "k-1", "c-0")
VALUES: tuple[Any, ...] = (None, True, 0, -1, 2**53, 1.5, "", "x" * 200, [], {}, [[]], {"a": {}})


def text(dice: random.Random, field: Field) -> str:
    found = dice.choice((*TEXTS, "y" * min(field.size, 5000), "".join(map(chr, range(1, 100)))))
    return found[: field.size]


def value(dice: random.Random, field: Field, known: dict[str, Any], name: str) -> Any:
    """A value that fits a field of the table; often one that means something."""
    kinds = field.type if isinstance(field.type, tuple) else (field.type,)
    if name in known and dice.random() < 0.7:
        return known[name]
    if str in kinds:
        return text(dice, field)
    if bool in kinds:
        return dice.random() < 0.5
    if int in kinds:
        return dice.choice((0, 1, -1, 7, 4096, 2**53, -(2**53)))
    if list in kinds:
        return [dice.choice(VALUES) for _ in range(dice.randrange(min(field.size, 4)))]
    keys = ("command", "argv", "text", "session", "tool", "args", "since", "event", "env", "\x00")
    return {
        dice.choice(keys): dice.choice(VALUES) for _ in range(dice.randrange(min(field.size, 4)))
    }


def body(dice: random.Random, name: str, known: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value(dice, field, known, key)
        for key, field in TABLE[name].body.items()
        if field.required or dice.random() < 0.5
    }


@pytest.mark.parametrize("role", ["front", "worker", "operator"])
def test_any_content_is_answered_or_refused(
    tmp_path: Path, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    dice = random.Random(len(role))
    names = [
        name
        for name, row in TABLE.items()
        if row.sender == role and row.receiver == "broker" and not row.hello
    ]

    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        operator = await office.operator()
        speaker: Peer = {"front": front, "worker": worker, "operator": operator}[role]
        known = {"conn": worker.conn, "worker": worker.id, "tool": "shell_exec", "status": "ok"}
        for n in range(600):
            name = dice.choice(names)
            said = body(dice, name, known | {"call": f"k-{n // 2}"})
            if TABLE[name].fds or name in ("disconnect", "unfreeze"):
                continue
            try:
                if TABLE[name].reply is None:
                    speaker.link.notify(name, said)
                else:
                    await speaker.ask(name, said)
            except RelayError as error:
                assert error.kind != "Internal", (name, said, error)
                assert not speaker.link.closed, (name, said, error)
        office.broker.state.status()
        await (await office.operator()).ask("status")

    with caplog.at_level(logging.ERROR):
        story(tmp_path, tell)
    assert "defective" not in caplog.text and "Traceback" not in caplog.text


def test_two_peers_at_once_with_any_content(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        others = [await office.worker(front, worker.conn) for _ in range(3)]
        dice = random.Random(3)

        async def speak(peer: Any, n: int) -> None:
            for m in range(60):
                call = f"k-{n}-{m % 7}"
                if dice.random() < 0.5:
                    said = body(dice, "begin", {"call": call, "conn": worker.conn})
                    await asyncio.wait([asyncio.ensure_future(peer.ask("begin", said))])
                else:
                    said = body(dice, "end", {"call": call, "status": "ok"})
                    await asyncio.wait([asyncio.ensure_future(peer.ask("end", said))])

        await asyncio.gather(*(speak(peer, n) for n, peer in enumerate(others)))
        assert (await worker.begin("k-last"))["decision"] == "allow"
        # Whatever was said, each live call has an intent and nothing has two ends.
        intents = {row["call_id"] for row in office.records("intent")}
        outcomes = [row["call_id"] for row in office.records("outcome")]
        assert {call.id for call in office.broker.state.calls} <= intents
        assert len(outcomes) == len(set(outcomes)) and set(outcomes) <= intents

    # What they claim to have used is beyond any budget.
    story(tmp_path, tell, budgets__cpu_seconds=0, budgets__output_bytes=0)
