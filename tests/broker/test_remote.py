"""What a worker says of the machines that ran something: validated, redacted, recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, story
from relay_shell.broker.judge import redactor
from relay_shell.broker.remote import remote_rows
from relay_shell.evidence import canonical
from relay_shell.evidence.record import MAX_LINE
from relay_shell.wire.errors import RelayError

REDACT = redactor()
SECRET = "AKIA" + "QJZ7RW4MXT2KVPLD"
ROW: dict[str, Any] = {
    "host": "web1",
    "address": "10.0.0.11",
    "host_key": "SHA256:" + "a" * 43,
    "status": "error",
    "exit": 3,
    "bytes": 12,
    "sha256": "ab" * 32,
    "error": "it said no",
}


def test_a_row_is_kept_in_order() -> None:
    backwards = dict(reversed(ROW.items()))
    (found,) = remote_rows([backwards], REDACT)
    assert found == ROW and list(found) == list(ROW)
    least = {"host": "web1", "status": "timeout"}
    killed = {"host": "web1", "status": "error", "signal": "KILL"}
    assert remote_rows([least, killed], REDACT) == [least, killed]


def test_secrets_are_hidden_and_errors_bounded() -> None:
    (row,) = remote_rows([ROW | {"error": f"{SECRET} " + "x" * 4000, "address": SECRET}], REDACT)
    assert SECRET not in str(row) and len(row["error"]) == 512


def test_the_longest_rows_fit_into_a_line() -> None:
    row = ROW | {"host": "h" * 64, "address": "a" * 64, "error": "\x1b" * 4096}
    rows = remote_rows([row] * 2048, REDACT)
    line = {"v": 1, "event": "outcome", "remote": rows}
    assert len(canonical.encode(line)) < MAX_LINE - 4096
    with pytest.raises(RelayError):
        remote_rows([row | {"host": "h" * 255}] * 1024, REDACT)


@pytest.mark.parametrize(
    "rows",
    [
        None,
        {"host": "web1", "status": "ok"},
        "web1",
        [None],
        [[]],
        [{}],
        [{"host": "web1"}],
        [{"status": "ok"}],
        [ROW | {"more": 1}],
        [ROW | {7: 1}],
        [ROW | {"signal": "KILL"}],
        [ROW | {"host": ""}],
        [ROW | {"host": 7}],
        [ROW | {"host": ["web1"]}],
        [ROW | {"host": "web 1"}],
        [ROW | {"host": "web\x1b[2J"}],
        [ROW | {"host": "x" * 256}],
        [ROW | {"address": "10.0.0.1\n"}],
        [ROW | {"host_key": "MD5:aa"}],
        [ROW | {"host_key": "SHA256:" + "a" * 43 + "\n"}],
        [ROW | {"status": "interrupted"}],
        [ROW | {"status": None}],
        [ROW | {"exit": -1}],
        [ROW | {"exit": True}],
        [ROW | {"exit": 2**32}],
        [ROW | {"exit": 1.0}],
        [ROW | {"bytes": -1}],
        [ROW | {"bytes": "12"}],
        [ROW | {"sha256": "AB" * 32}],
        [ROW | {"sha256": "ab" * 31}],
        [ROW | {"error": 7}],
        [ROW | {"error": "x" * 4097}],
        [{"host": "web1", "status": "error", "signal": "no signal"}],
        [ROW] * 2049,
    ],
)
def test_what_means_nothing_is_refused(rows: Any) -> None:
    with pytest.raises(RelayError) as caught:
        remote_rows(rows, REDACT)
    assert caught.value.kind == "Protocol"


def test_the_outcome_names_each_machine(tmp_path: Path) -> None:
    rows = [ROW | {"host": f"web{n}", "exit": n} for n in range(100)]

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        hosts = [[row["host"], row["address"]] for row in rows]
        ask = {"tool": "ssh_fanout", "args": {"hosts": ["@web"], "command": "df -h"}}
        assert (await worker.begin("k-1", **ask, hosts=hosts))["decision"] == "allow"
        await worker.end("k-1", "error", remote=rows)
        (outcome,) = office.records("outcome")
        assert outcome["remote"] == rows and outcome["status"] == "error"
        assert office.records("intent")[0]["hosts"] == [*(r["host"] for r in rows), "10.0.0.11"]

    story(tmp_path, tell)


@pytest.mark.parametrize("rows", [[{"host": "web1"}], [ROW] * 2049])
def test_rows_that_mean_nothing_do_not_lose_the_outcome(tmp_path: Path, rows: Any) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1", "df -h", tool="ssh_exec", hosts=["web1"])
        body = {"call": "k-1", "status": "ok", "duration_ms": 1, "exit": 0, "remote": rows}
        assert (await worker.refused("end", body)).startswith("Protocol: end: ")
        (outcome,) = office.records("outcome")
        assert (outcome["status"], outcome["exit"]) == ("ok", 0) and "remote" not in outcome
        assert "what it says of machines is not recorded: remote: " in outcome["error"]
        # It may be said again, for the worker may not have heard; it is recorded once.
        assert await worker.ask("end", body) == {}
        assert len(office.records("outcome")) == 1 and office.broker is not None
        assert (await worker.begin("k-2"))["decision"] == "allow"

    story(tmp_path, tell)


def test_a_late_end_is_noted_with_its_machines(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.end("k-9", remote=[ROW])
        assert office.records("note", what="late-end")[0]["remote"] == [ROW]

    story(tmp_path, tell)


def test_a_repeated_key_is_answered_without_rows(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        ask: dict[str, Any] = {
            "tool": "ssh_exec",
            "args": {"host": "web1", "command": "df -h", "idempotency_key": "one"},
            "hosts": [["web1", "10.0.0.1"]],
        }
        await worker.begin("k-1", **ask)
        await worker.end("k-1", remote=[ROW])
        again = await worker.begin("k-2", **ask)
        assert again["decision"] == "replay" and "remote" not in again["replay"]
        assert office.records("replay")[0]["hosts"] == ["web1", "10.0.0.1"]

    story(tmp_path, tell)
