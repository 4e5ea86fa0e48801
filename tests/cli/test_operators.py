"""The operators' verbs against a real broker with a real front's and worker's link."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from broker.office import story, until
from relay_shell import __version__
from relay_shell.wire.errors import KINDS

from .desk import run, start


def user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def rows(text, head):
    """The rows of the table that has this head, split at two blanks."""
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(head))
    block = []
    for line in lines[start + 1 :]:
        if not line:
            break
        block.append(line.split())
    return block


def test_status_of_an_idle_broker(tmp_path):
    async def tell(office):
        done = await run(office, "status")
        assert (done.status, done.err) == (0, "")
        first, second, _, last = done.out.splitlines()
        assert first.startswith(f"relay-shell {__version__}, up ")
        assert first.endswith(", mode open")
        assert second.startswith("audit: written, record ")
        assert last == "no agents are connected"

    story(tmp_path, tell)


def test_a_freeze_of_nobody_and_the_end_of_none(tmp_path):
    async def tell(office):
        done = await run(office, "freeze", "--principal", "no-such-user")
        assert done.status == 0 and "frozen principal unix:no-such-user" in done.out
        noted = "relay-shell: this host has no account 'no-such-user'; the freeze stands\n"
        assert done.err == noted
        done = await run(office, "freeze", "--principal", user())
        assert (done.status, done.err) == (0, "")
        done = await run(office, "unfreeze", "--tier", "1")
        assert (done.status, done.out) == (66, "")
        assert done.err.splitlines() == [
            "relay-shell: no freeze of tier 1",
            "'relay-shell status' lists what is frozen.",
        ]

    story(tmp_path, tell)


def test_status_shows_agents_calls_and_freezes(tmp_path):
    async def tell(office):
        _, worker = await office.at_work()
        await worker.begin("k-1", "sleep 60")
        await run(office, "freeze", "--tier", "3", "--reason", "quiet hours")
        done = await run(office, "status")
        assert "FROZEN tier 3: quiet hours (since 20" in done.out
        (agent,) = rows(done.out, "PRINCIPAL")
        assert agent[:5] == [f"unix:{user()}", worker.id, "scoped", "1", "0"]
        (call,) = rows(done.out, "CALL")
        assert call[:4] == ["k-1", f"unix:{user()}", worker.id, "shell_exec"]

    story(tmp_path, tell)


def test_status_for_a_script(tmp_path):
    async def tell(office):
        await office.at_work()
        status = json.loads((await run(office, "status", "--json")).out)
        assert [row["principal"] for row in status["workers"]] == [f"unix:{user()}"]
        assert status["evidence"]["state"] == "ok"

    story(tmp_path, tell)


def test_a_connection_without_a_worker_is_shown_too(tmp_path):
    async def tell(office):
        front = await office.front()
        await office.connect(front)
        (agent,) = rows((await run(office, "status")).out, "PRINCIPAL")
        assert agent[:2] == [f"unix:{user()}", "-"]

    story(tmp_path, tell)


def test_what_a_client_calls_itself_cannot_repaint_the_screen(tmp_path):
    async def tell(office):
        front = await office.front()
        conn = (await office.connect(front))["conn"]
        name = {"conn": conn, "name": "x\x1b[2J\u202ey", "version": "1", "protocol": "z"}
        front.link.notify("client", name)
        await until(lambda: office.records("client"))
        done = await run(office, "status")
        assert not set(done.out) & set("\x1b\u202e")

    story(tmp_path, tell)


def test_freeze_ends_workers_and_holds_until_unfrozen(tmp_path):
    async def tell(office):
        _, worker = await office.at_work()
        done = await run(office, "freeze", "all", "--reason", "incident 42")
        assert done.status == 0
        assert done.out.splitlines()[0] == "frozen all; ended at once: 1"
        assert (await worker.hears("stop"))["reason"] == "frozen by the operator: incident 42"
        assert "incident 42" in await worker.begin_refused("k-2")
        done = await run(office, "unfreeze", "all")
        assert (done.status, done.out) == (0, "unfrozen all; nothing is frozen now\n")
        freeze, unfreeze = office.records("freeze", "unfreeze")
        assert freeze["principal"] == unfreeze["principal"] == f"unix:{user()}"
        assert freeze["reason"] == "incident 42"

    story(tmp_path, tell)


def test_a_bare_name_is_a_local_user(tmp_path):
    async def tell(office):
        done = await run(office, "freeze", "--principal", "alice", "--json")
        (freeze,) = json.loads(done.out)["frozen"]
        assert (freeze["scope"], freeze["value"]) == ("principal", "unix:alice")
        assert freeze["reason"] == f"by {user()}"
        assert (await run(office, "unfreeze", "--principal", "unix:alice")).status == 0

    story(tmp_path, tell)


def test_what_stays_frozen_is_said(tmp_path):
    async def tell(office):
        await run(office, "freeze", "all", "--reason", "one")
        await run(office, "freeze", "--tier", "2", "--reason", "two")
        done = await run(office, "unfreeze", "all")
        assert done.out.splitlines()[0] == "unfrozen all; still frozen:"
        assert done.out.splitlines()[1].startswith("  tier 2: two (since ")

    story(tmp_path, tell)


def test_unfreezing_what_is_not_frozen_is_an_error(tmp_path):
    async def tell(office):
        done = await run(office, "unfreeze", "--tier", "1")
        assert (done.status, done.out) == (KINDS["NotFound"].exit_status, "")
        assert done.err.startswith("relay-shell: no freeze of tier 1\n")

    story(tmp_path, tell)


@pytest.mark.parametrize("words", [[], ["all", "--tier", "2"], ["--tier", "4"], ["everything"]])
def test_a_freeze_has_exactly_one_scope(cli, words):
    assert cli("freeze", *words).status == 64


def test_an_empty_principal_freezes_nobody(cli):
    done = cli("freeze", "--principal", "")
    assert done.status == 64
    assert "the principal is empty" in done.err


@pytest.mark.parametrize("scope", ["worker", "conn", "call", "principal"])
def test_kill(tmp_path, scope):
    async def tell(office):
        _, worker = await office.at_work()
        await worker.begin("k-1", "sleep 60")
        target = {
            "worker": worker.id,
            "conn": worker.conn,
            "call": "k-1",
            "principal": user(),
        }[scope]
        done = await run(office, "kill", f"--{scope}", target, "--reason", "enough")
        assert done.status == 0
        assert done.out.startswith("ended: ")
        heard = await worker.hears("abort" if scope == "call" else "stop")
        assert "enough" in heard["reason"]
        assert [record["reason"] for record in office.records("kill")] == ["enough"]

    story(tmp_path, tell)


def test_killing_what_is_not_there_is_an_error(tmp_path):
    async def tell(office):
        done = await run(office, "kill", "--worker", "aaaaaaaa")
        assert done.status == KINDS["NotFound"].exit_status
        assert done.err.splitlines() == [
            "relay-shell: no worker 'aaaaaaaa' at work",
            "'relay-shell status' lists what is.",
        ]

    story(tmp_path, tell)


def test_the_broker_reads_the_record_for_who_may_not(tmp_path):
    async def tell(office):
        _, worker = await office.at_work()
        await worker.begin("k-1", "uptime")
        await worker.end("k-1", exit=0)
        # A path that cannot be read sends the question to the broker.
        hidden = {"RELAY_SHELL_PATHS_AUDIT": "/nonexistent/audit.jsonl"}
        tail = await run(office, "audit", "tail", "--tool", "shell_exec", "--json", **hidden)
        assert [json.loads(line)["event"] for line in tail.out.splitlines()] == [
            "intent",
            "outcome",
        ]
        show = await run(office, "audit", "show", "k-1", **hidden)
        assert "command: uptime" in show.out
        unit = await run(office, "audit", "tail", "--unit", "none*", "--json", **hidden)
        assert (unit.status, unit.out) == (0, "")
        # Who reads is recorded.
        assert office.records("observe", what="records")

    story(tmp_path, tell)


async def lines(process, count):
    """The next JSON lines of a running command, within a bound."""
    async with asyncio.timeout(60):
        return [json.loads(await process.stdout.readline()) for _ in range(count)]


def test_who_may_not_read_the_record_follows_it_through_the_broker(tmp_path):
    async def tell(office):
        _, worker = await office.at_work()
        process = await start(
            office,
            *("audit", "follow", "--json", "-n", "1"),
            RELAY_SHELL_PATHS_AUDIT="/nonexistent/audit.jsonl",
        )
        try:
            (last,) = await lines(process, 1)
            await worker.begin("k-1", "uptime")
            await worker.end("k-1", exit=0)
            found = await lines(process, 2)
            # What the command itself asks for is recorded, and is no news.
            assert [record["event"] for record in found] == ["intent", "outcome"]
            assert found[0]["seq"] > last["seq"]
        finally:
            process.kill()
            await process.communicate()

    story(tmp_path, tell)


def test_status_is_repeated_until_interrupted(tmp_path):
    async def tell(office):
        process = await start(office, "status", "--json", "--watch", "0.2")
        first, second = await lines(process, 2)
        assert first["instance"] == second["instance"]
        assert second["evidence"]["seq"] >= first["evidence"]["seq"]
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        assert (process.returncode, err) == (130, b"")

    story(tmp_path, tell)


def test_a_watch_too_quick_or_endless_is_refused(cli):
    for seconds in ("0", "-1", "nan", "1e9", "x"):
        assert cli("status", f"--watch={seconds}").status == 64
