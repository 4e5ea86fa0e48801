"""What is observed is joined to the call whose worker's unit it was, and to no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, Peer, Worker, accounts, story, until
from relay_shell.broker.judge import Judge, redactor
from relay_shell.broker.principals import OBSERVER_UNIT, Accounts
from relay_shell.wire.errors import RelayError

from .test_principals import peer

UNIT = "relay-shell-worker@7-1-1000.service"
TOKEN = "ghp_" + "x7Kq2mP9vR4tW8zB3nC6jL1sD5fG0hYaEuIo"[:36]


async def work(office: Office, unit: str = UNIT) -> Worker:
    """A worker in a unit; the tests run in none."""
    _, worker = await office.at_work()
    office.broker.state.workers.get(worker.id).unit = unit
    office.broker.state.observation.wanted = True
    return worker


def executed(*argv: str, **more: Any) -> dict[str, Any]:
    row = {"at": "2026-01-01T00:00:00.000001Z", "n": 1, "pid": 9, "ppid": 8, "uid": 7}
    return row | {"path": f"/bin/{argv[0]}", "argv": list(argv)} | more


def batch(group: str, *execs: dict[str, Any], **more: Any) -> dict[str, Any]:
    told = {"unit": UNIT, "group": group, "execs": list(execs), "total": len(execs)}
    counts = {"recorded": len(execs), "lost": 0, "processes": 1, "ended": True}
    return told | counts | more


def observing(observer: Peer, state: str = "on", reason: str = "", lost: int = 0) -> None:
    observer.link.notify("observing", {"state": state, "reason": reason, "lost": lost})


def test_executions_are_recorded_with_their_call(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        worker, observer = await work(office), await office.observer()
        assert observer.hello["settings"] == {
            "evidence.observe": "exec",
            "evidence.observe_execs": 256,
        }
        await worker.begin("k-1", "sh -c 'ls /tmp'")
        await observer.ask("observed", batch("call-k-1", executed("sh", "-c", "ls /tmp")))
        await worker.end("k-1")
        # Nor is it too late once the call has ended.
        await observer.ask("observed", batch("call-k-1", executed("ls", "/tmp", euid=0)))
        first, second = office.records("exec")
        for record in (first, second):
            assert (record["call_id"], record["worker"]) == ("k-1", worker.id)
            assert (record["unit"], record["tool"]) == (UNIT, "shell_exec")
            assert record["principal"].startswith("unix:")
        assert first["execs"] == [
            {
                "at": "2026-01-01T00:00:00.000001Z",
                "n": 1,
                "pid": 9,
                "ppid": 8,
                "uid": 7,
                "path": "/bin/sh",
                "command": "sh -c 'ls /tmp'",
            }
        ]
        assert first["facts"] == {"total": 1, "recorded": 1, "processes": 1, "ended": True}
        assert second["execs"][0]["euid"] == 0

    story(tmp_path, tell)


def test_a_worker_cannot_have_its_executions_taken_for_anothers(tmp_path: Path) -> None:
    """It may name cgroups below its unit as it likes; the unit is systemd's."""

    async def tell(office: Office) -> None:
        worker, observer = await work(office), await office.observer()
        await worker.begin("k-1")
        other = "relay-shell-worker@8-1-1000.service"
        await observer.ask("observed", batch("call-k-1", executed("rm"), unit=other))
        await observer.ask("observed", batch("call-k-none", executed("rm")))
        stranger, own = office.records("exec")
        assert "call_id" not in stranger and "principal" not in stranger
        assert (stranger["unit"], stranger["what"]) == (other, "unknown")
        assert stranger["detail"] == "call-k-1"
        # Its own worker is known, its call is not.
        assert "call_id" not in own
        assert (own["worker"], own["what"]) == (worker.id, "unknown")

    story(tmp_path, tell)


def test_sessions_are_joined_to_the_call_that_opened_them(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        worker, observer = await work(office), await office.observer()
        name = f"s1.{worker.id}"
        await worker.begin("k-1", tool="shell_spawn")
        await worker.end("k-1", session=name)
        await observer.ask("observed", batch(f"session-{name}", executed("bash"), ended=False))
        await observer.ask("observed", batch("session-s1.another", executed("bash")))
        ours, strange = office.records("exec")
        assert (ours["call_id"], ours["what"], ours["detail"]) == ("k-1", "session", name)
        assert (strange["what"], strange["worker"]) == ("unknown", worker.id)
        assert "call_id" not in strange
        assert office.records("outcome")[0]["session"] == name

    story(tmp_path, tell)


def test_secrets_in_arguments_are_redacted_one_command_at_a_time(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        worker, observer = await work(office), await office.observer()
        await worker.begin("k-1")
        rows = [
            executed("curl", "-H", f"Authorization: Bearer {TOKEN}", "https://x"),
            executed("mysql", "-pS3cr3t-w0rd", "db"),
            # What looks like the option of a secret hides nothing of the next command.
            executed("tool", "--password"),
            executed("rm", "-rf", "/srv"),
            executed("sh", "-c", "y" * 4000 + f" {TOKEN[:20]}", cut=9000),
            executed("sh", "-c", f"echo {'z ' * 2500} {TOKEN}"),
        ]
        await observer.ask("observed", batch("call-k-1", *rows))
        text = office.audit.read_text()
        assert TOKEN[:16] not in text and "S3cr3t" not in text
        commands = [row["command"] for row in office.records("exec")[0]["execs"]]
        assert commands[3] == "rm -rf /srv"
        assert commands[4].startswith("sh -c 'yyy") and commands[4].endswith("…")
        assert len(commands[5].encode()) <= office.settings["evidence.args_bytes"]

    story(tmp_path, tell)


def test_an_outcome_says_whether_the_call_was_observed(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        worker = await work(office)
        await worker.begin("k-before")
        observer = await office.observer()
        observing(observer)
        await until(lambda: office.broker.state.observation.on)
        await worker.begin("k-whole")
        await worker.begin("k-gap")
        await worker.begin("k-after")
        for call in ("k-before", "k-whole"):
            await worker.end(call)
        observing(observer, "gap", "no room", 3)
        await until(lambda: office.broker.state.observation.lost)
        await worker.end("k-gap")
        observer.link.close("killed")
        await until(lambda: not office.broker.state.observation.on)
        await worker.end("k-after")
        told = {record["call_id"]: record["observed"] for record in office.records("outcome")}
        assert told == {"k-before": False, "k-whole": True, "k-gap": False, "k-after": False}
        events = [record["what"] for record in office.records("observer")]
        assert events == ["on", "gap", "lost"]
        assert office.records("observer")[1]["facts"] == {"lost": 3}
        status = office.broker.state.status()["observer"]
        assert status == {"wanted": True, "state": "absent", "lost": 3, "reason": "its link ended"}

    story(tmp_path, tell)


def test_a_kernel_that_cannot_is_recorded_once(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        observer = await office.observer()
        for _ in range(3):
            observing(observer, "failed", "no BTF")
        observing(observer, "nonsense")
        await observer.ask("observed", batch("call-k-1"))
        (record,) = office.records("observer")
        assert (record["what"], record["detail"]) == ("failed", "no BTF")

    story(tmp_path, tell)


def test_a_reload_reaches_the_observer(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        observer = await office.observer()
        new = office.settings.reloaded(
            type(office.settings)({**office.settings, "evidence.observe": "off"})
        )
        office.broker.reload(new, Judge(new, redactor()))
        heard = await observer.hears("observer_settings")
        assert heard["settings"]["evidence.observe"] == "off"

    story(tmp_path, tell)


def test_a_newer_link_takes_the_place_of_an_older(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        first = await office.observer()
        observing(first)
        await until(lambda: office.broker.state.observation.on)
        second = await office.observer()
        await until(lambda: first.closed)
        observing(second)
        await second.ask("observed", batch("call-k-1"))
        assert office.broker.state.observation.on

    story(tmp_path, tell)


def test_the_observer_is_its_account_in_its_unit() -> None:
    ours = Accounts(front=1, workers={2: "scoped"}, operators=None, observer=3)
    ours.observer_peer(peer(3, OBSERVER_UNIT))
    assert ours.ours(peer(3, OBSERVER_UNIT))
    for who in (peer(2, OBSERVER_UNIT), peer(0, OBSERVER_UNIT), peer(3, UNIT), peer(3)):
        with pytest.raises(RelayError, match="observer's"):
            ours.observer_peer(who)
    assert accounts().observer is not None
    without = Accounts(front=1, workers={2: "scoped"}, operators=None)
    with pytest.raises(RelayError, match="observer's account"):
        without.observer_peer(peer(0, OBSERVER_UNIT))
