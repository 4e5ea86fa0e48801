"""A verification that is told to the broker: on record, shown, and kept over a restart."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from broker.office import story
from relay_shell.cli.checks import evidence as checks

from .desk import run


def test_a_whole_record_is_on_record_as_whole(tmp_path):
    async def tell(office):
        assert "verified" not in (await run(office, "status")).out
        done = await run(office, "audit", "verify", "--publish")
        assert done.status == 0, done.out + done.err
        assert "a cut at the end shows only" not in done.out
        (record,) = office.records("verified")
        assert (record["what"], record["facts"]["exit"]) == ("whole", 0)
        assert record["facts"]["last"] < record["seq"]
        shown = (await run(office, "status")).out
        assert re.search(r"^verified: .* ago, whole, record 1 to [1-9]", shown, re.M), shown
        status = json.loads((await run(office, "status", "--json")).out)
        assert status["metrics"]["relay_shell_verify_whole"] == 1
        assert checks.judge_verified(status).status == "ok"
        assert checks.judge_verified(status, status["since"] + 4 * 86400).status == "warn"

    story(tmp_path, tell)


def test_a_record_that_is_not_whole_raises_an_alarm_that_a_restart_keeps(tmp_path):
    async def tell(office):
        await office.at_work()
        path = Path(office.settings["paths.audit"])
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join((lines[0], *lines[2:])))
        done = await run(office, "audit", "verify", "--publish")
        assert done.status == 13 and "NOT WHOLE" in done.out
        assert done.err.startswith("<2>the record is NOT WHOLE: ")
        (record,) = office.records("verify-failed")
        assert record["what"] == "gap" and "records are missing" in record["error"]
        assert office.broker.state.summary().startswith("THE RECORD IS NOT WHOLE (gap); ")
        await office.broker.close()
        office.open()
        done = await run(office, "status")
        assert "verified: " in done.out and "NOT WHOLE" in done.out
        status = json.loads((await run(office, "status", "--json")).out)
        assert status["metrics"]["relay_shell_verify_whole"] == 0
        assert status["metrics"]["relay_shell_verify_status"] == 13
        assert checks.judge_verified(status).status == "fail"

    story(tmp_path, tell)


def test_a_cut_at_the_end_shows_beside_the_brokers_word(tmp_path):
    async def tell(office):
        await office.at_work()
        path = Path(office.settings["paths.audit"])
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:-1]))
        assert (await run(office, "audit", "verify")).status == 0
        done = await run(office, "audit", "verify", "--publish")
        assert done.status == 23, done.out
        assert f"record {len(lines)} to {len(lines)}, which the broker has written" in done.out
        assert office.records("verify-failed")[0]["what"] == "removed"

    story(tmp_path, tell)


def test_a_chain_made_anew_shows_beside_the_brokers_word(tmp_path):
    async def tell(office):
        from relay_shell.evidence.canonical import body
        from relay_shell.evidence.chain import parse, seal
        from relay_shell.evidence.record import GENESIS

        await office.at_work()
        path = Path(office.settings["paths.audit"])
        prev, out = GENESIS, []
        for line in path.read_bytes().splitlines():
            record = (parse(line) or {}) | {"principal": "unix:mallory"}
            del record["chain"]
            data, prev = seal(prev, body(record, prev))
            out.append(data)
        path.write_bytes(b"".join(out))
        assert (await run(office, "audit", "verify")).status == 0
        assert (await run(office, "audit", "verify", "--publish")).status == 22

    story(tmp_path, tell)


def test_without_a_broker_what_was_found_is_still_told(tmp_path):
    async def tell(office):
        await office.at_work()
        await office.broker.close()
        done = await run(office, "audit", "verify", "--publish")
        assert done.status == 69 and "<3>the broker was not told: " in done.err
        path = Path(office.settings["paths.audit"])
        path.write_bytes(path.read_bytes()[:-9])
        done = await run(office, "audit", "verify", "--publish")
        assert done.status == 18 and done.err.startswith("<2>the record is NOT WHOLE: ")
        office.open()

    story(tmp_path, tell)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "gap"}, "names its failure"),
        ({"exit": 13}, "names its failure"),
        ({"records": -1}, "whole numbers"),
    ],
)
def test_a_report_that_contradicts_itself_is_refused(tmp_path, change, why):
    names = "exit records first last checkpoints sealed findings duration_ms"
    body = {**dict.fromkeys(names.split(), 0), "kind": "", "detail": "", **change}

    async def tell(office):
        operator = await office.operator()
        assert why in await operator.refused("verified", body)
        assert office.broker.state.verification.last is None

    story(tmp_path, tell)
