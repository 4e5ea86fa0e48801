from __future__ import annotations

import json
import os
import select
import time

import pytest

from relay_shell.cli.auditverify import VERIFY_STATUS
from relay_shell.evidence.verify import KINDS, NOTES

from .conftest import DENY, INTENT, OUTCOME, write


def tail(cli, audit, *options):
    done = cli("audit", "tail", "--file", str(audit), "--json", *options)
    assert (done.status, done.err) == (0, "")
    return [json.loads(line)["seq"] for line in done.out.splitlines()]


def test_tail_reads_like_a_log(cli, audit):
    done = cli("audit", "tail", "--file", str(audit))
    rows = [line.split(maxsplit=2)[2] for line in done.out.splitlines()]
    call = "k-0123456789abcdef"
    assert [" ".join(row.split()) for row in rows] == [
        "- start start",
        "c-0123456789ab connect alice connected",
        f'{call} intent alice shell_exec "df -h" tier 0 allowed',
        f"{call} outcome alice shell_exec exit 0, 512 bytes, 12 ms, sha256 cdcdcdcdcdcdcdcd",
        'k-1123456789abcdef deny bob shell_exec "mkfs /dev/sda" tier 3 denied: '
        "tier 3 in mode guarded",
    ]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ([], [1, 2, 3, 4, 5]),
        (["-n", "2"], [4, 5]),
        (["-n", "0"], [1, 2, 3, 4, 5]),
        (["--principal", "alice"], [2, 3, 4]),
        (["--principal", "unix:bob"], [5]),
        (["--tool", "shell_exec"], [3, 4, 5]),
        (["--tier", "0"], [3, 4]),
        (["--tier", "1+"], [5]),
        (["--event", "outcome"], [4]),
        (["--decision", "deny"], [5]),
        (["--call", "k-0123456789abcdef"], [3, 4]),
        (["--conn", "c-0123456789ab"], [2, 3]),
        (["--worker", "k3v7ma2q"], [3, 4]),
        (["--worker", "s1.k3v7ma2q"], [3, 4]),
        (["--unit", "relay-shell-worker@*"], [3]),
        (["--since", "1h"], [1, 2, 3, 4, 5]),
        (["--since", "2100-01-01"], []),
        (["--until", "2020-01-01"], []),
        (["--tool", "shell_exec", "-n", "1", "--principal", "alice"], [4]),
    ],
)
def test_filters(cli, audit, options, numbers):
    assert tail(cli, audit, *options) == numbers


def test_rotated_files_are_read_too(cli, audit):
    audit.rename(audit.with_name("audit.jsonl-20260101-1767225600"))
    write(audit, INTENT)
    assert tail(cli, audit, "-n", "3") == [4, 5, 6]


def test_what_an_agent_typed_cannot_repaint_the_screen(cli, tmp_path):
    audit = tmp_path / "audit.jsonl"
    evil = "ls\x1b[2J\x1b]0;owned\x07\r\u202egnp.exe\nsecond"
    write(
        audit,
        {**INTENT, "args": {"command": evil, "x\x1b[1m": "y"}, "client": evil, "reasons": [evil]},
        {**OUTCOME, "error": evil},
    )
    for words in (["tail"], ["show", INTENT["call_id"]], ["show", "1"]):
        done = cli("audit", *words, "--file", str(audit))
        assert done.status == 0
        assert not set(done.out) & set("\x1b\x07\r\u202e")
        assert "\\x1b[2J" in done.out


def test_show_joins_intent_and_outcome(cli, audit):
    done = cli("audit", "show", INTENT["call_id"], "--file", str(audit))
    lines = done.out.splitlines()
    facts = [" ".join(line.split()) for line in lines]
    for fact in (
        "call k-0123456789abcdef",
        "principal unix:alice (uid 1000)",
        "client claude-code 2.1 (its own words)",
        "worker k3v7ma2q, scoped, relay-shell-worker@0-812-998.service",
        "tool shell_exec",
        "command: df -h",
        f"in full 19 bytes, sha256 {'ab' * 32}",
        "decision allowed, tier 0 (read-only), mode open",
        "because df reads",
        "ended ok, exit 0, after 12 ms",
        "output 512 bytes, returned in full",
        "used cpu 3 ms, memory 4.0 MiB",
    ):
        assert fact in facts


EXEC = {
    "event": "exec",
    "call_id": INTENT["call_id"],
    "principal": "unix:alice",
    "tool": "shell_exec",
    "execs": [
        {
            "at": "2026-01-01T00:00:00.000000Z",
            "n": 1,
            "pid": 11,
            "ppid": 10,
            "uid": 1,
            "path": "/bin/bash",
            "command": "bash -c 'df -h'",
        },
        {
            "at": "2026-01-01T00:00:00.250000Z",
            "n": 2,
            "pid": 12,
            "ppid": 11,
            "uid": 1,
            "euid": 0,
            "path": "/bin/\x1b[2Jdf",
            "command": "df -h",
            "moved": True,
        },
    ],
    "facts": {"total": 7, "recorded": 2, "processes": 5, "ended": True},
}


def test_show_puts_what_was_executed_under_what_was_asked(cli, tmp_path):
    more = {"io_read": 2048, "io_reads": 3, "tasks_peak": 4, "accounting": "cpu=cgroup"}
    write(tmp_path / "a", INTENT, {**OUTCOME, **more, "observed": False}, EXEC)
    done = cli("audit", "show", INTENT["call_id"], "--file", str(tmp_path / "a"))
    facts = [" ".join(line.split()) for line in done.out.splitlines()]
    for fact in (
        "used cpu 3 ms, memory 4.0 MiB, read 2.0 KiB in 3, 4 tasks at once",
        "by cpu=cgroup",
        "claimed df -h",
        "observed 2 executions, 5 processes; 5 more are counted, not recorded; "
        "not observed all the time",
        "AFTER PID PARENT UID PROGRAM COMMAND",
        "0.000 s 11 10 1 /bin/bash bash -c 'df -h'",
        "0.250 s 12 11 1>0 /bin/\\x1b[2Jdf df -h (outside its cgroup)",
    ):
        assert fact in facts, done.out
    assert facts.index("claimed df -h") + 1 == next(
        n for n, fact in enumerate(facts) if fact.startswith("observed ")
    )
    tail = cli("audit", "tail", "--file", str(tmp_path / "a"), "--event", "exec").out
    assert "executed 2 programs: bash, " in tail and "(5 more not recorded)" in tail


def test_show_says_that_nothing_was_executed_only_if_it_was_observed(cli, tmp_path):
    write(tmp_path / "a", INTENT, {**OUTCOME, "observed": True})
    done = cli("audit", "show", INTENT["call_id"], "--file", str(tmp_path / "a"))
    assert "observed    0 executions" in done.out
    write(tmp_path / "b", INTENT, OUTCOME)
    done = cli("audit", "show", INTENT["call_id"], "--file", str(tmp_path / "b"))
    assert "observed" not in done.out


def test_malformed_executions_do_not_stop_the_view(cli, tmp_path):
    odd = {**EXEC, "execs": [{"at": 5, "pid": "x"}, "none"], "facts": {"total": "many"}}
    write(tmp_path / "a", INTENT, OUTCOME, odd)
    assert cli("audit", "show", INTENT["call_id"], "--file", str(tmp_path / "a")).status == 0


def test_show_names_each_machine(cli, tmp_path):
    rows = [
        {"host": "web1", "address": "10.0.0.1", "host_key": "SHA256:" + "k" * 43, "status": "ok",
         "exit": 0, "bytes": 4, "sha256": "ab" * 32},
        {"host": "web2\x1b[2J", "status": "timeout", "error": "no answer\n"},
        "odd",
    ]  # fmt: skip
    write(tmp_path / "a", {**INTENT, "hosts": ["web1", "web2"]}, {**OUTCOME, "remote": rows})
    done = cli("audit", "show", INTENT["call_id"], "--file", str(tmp_path / "a"))
    facts = [" ".join(line.split()) for line in done.out.splitlines()]
    for fact in (
        "hosts web1, web2",
        "machines web1 (10.0.0.1): ok, exit 0, 4 bytes",
        f"host key SHA256:{'k' * 43}, sha256 {'ab' * 32}",
        "web2\\x1b[2J: timeout, no answer\\n",
    ):
        assert fact in facts, done.out


def test_show_of_a_refusal(cli, audit):
    done = cli("audit", "show", DENY["call_id"], "--file", str(audit))
    assert "decision    denied, tier 3 (irreversible), mode guarded" in done.out
    assert "ended" not in done.out


def test_a_call_without_outcome_is_a_finding(cli, tmp_path):
    write(tmp_path / "a", INTENT)
    done = cli("audit", "show", INTENT["call_id"], "--file", str(tmp_path / "a"))
    assert "no outcome is recorded: it runs still, or was lost" in done.out
    write(tmp_path / "a", {"event": "interrupted", "call_id": INTENT["call_id"]})
    done = cli("audit", "show", INTENT["call_id"], "--file", str(tmp_path / "a"))
    assert "interrupted: its outcome is not known" in done.out


def test_show_one_record_by_number_and_for_a_script(cli, audit):
    assert "event          deny\n" in cli("audit", "show", "5", "--file", str(audit)).out
    done = cli("audit", "show", INTENT["call_id"], "--file", str(audit), "--json")
    assert [json.loads(line)["event"] for line in done.out.splitlines()] == ["intent", "outcome"]


def test_show_what_is_not_there(cli, audit):
    done = cli("audit", "show", "k-none", "--file", str(audit))
    assert (done.status, done.out) == (66, "")
    assert done.err.splitlines() == [
        "relay-shell: no record of 'k-none'",
        "'relay-shell audit tail' prints the ids of the last calls.",
    ]


def test_verify_a_whole_record(cli, audit):
    chain = json.loads(audit.read_text().splitlines()[-1])["chain"]
    done = cli("audit", "verify", "--file", str(audit))
    assert done.status == 0
    assert "5 records, 1 to 5" in done.out
    assert f"chain {chain}\nwhole\n" in done.out
    assert cli("--verify-audit", "--file", str(audit)).out == done.out


def edited(lines):
    lines[4] = lines[4].replace(b"mkfs", b"df")


def removed(lines):
    del lines[2]


def swapped(lines):
    lines[2], lines[3] = lines[3], lines[2]


def inserted(lines):
    lines.insert(2, b"not a record\n")


def emptied(lines):
    lines.clear()


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (edited, "edited"),
        (removed, "gap"),
        (swapped, "gap"),
        (inserted, "foreign"),
        (emptied, "empty"),
    ],
)
def test_verify_a_damaged_record(cli, audit, damage, kind):
    lines = audit.read_bytes().splitlines(keepends=True)
    damage(lines)
    audit.write_bytes(b"".join(lines))
    done = cli("audit", "verify", "--file", str(audit))
    assert done.status == VERIFY_STATUS[kind]
    assert f"NOT WHOLE: {KINDS[kind]}" in done.out
    report = json.loads(cli("audit", "verify", "--file", str(audit), "--json").out)
    assert report["whole"] is False
    assert next(f["kind"] for f in report["findings"] if f["fails"]) == kind


def test_verify_a_missing_record(cli, tmp_path):
    done = cli("audit", "verify", "--file", str(tmp_path / "none"))
    assert done.status == VERIFY_STATUS["missing"]


def test_each_kind_of_damage_has_a_status_of_its_own():
    assert set(VERIFY_STATUS) == set(KINDS) - NOTES
    assert len(set(VERIFY_STATUS.values())) == len(VERIFY_STATUS)
    assert not set(VERIFY_STATUS.values()) & {0, 1, 2, *range(64, 79), 130, 141}


class Reader:
    """The JSON lines of a running process, within a bound."""

    def __init__(self, process):
        self.fd = process.stdout.fileno()
        self.rest = b""

    def ready(self, seconds):
        return b"\n" in self.rest or bool(select.select([self.fd], [], [], seconds)[0])

    def __call__(self, count):
        deadline = time.monotonic() + 60
        while self.rest.count(b"\n") < count:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], self.rest
            self.rest += os.read(self.fd, 65536)
        *lines, self.rest = self.rest.split(b"\n", count)
        return [json.loads(line) for line in lines]


def test_follow_goes_on_over_a_rotation(spawn, audit):
    read = Reader(spawn("audit", "follow", "--json", "-n", "1", "--file", str(audit)))
    assert [r["seq"] for r in read(1)] == [5]
    write(audit, INTENT)
    assert [r["seq"] for r in read(1)] == [6]
    os.rename(audit, audit.with_name("audit.jsonl-20260101-1"))
    write(audit, OUTCOME, DENY)
    assert [r["seq"] for r in read(2)] == [7, 8]


def test_follow_with_a_filter(spawn, audit):
    options = ["--json", "-n", "0", "--event", "deny", "--file", str(audit)]
    read = Reader(spawn("audit", "follow", *options))
    # Only when something came is it certain that the file is open at its old end.
    for _ in range(100):
        write(audit, DENY)
        if read.ready(0.3):
            break
    write(audit, INTENT, {**DENY, "principal": "unix:carol"})
    found = read(1)
    while found[-1]["principal"] != "unix:carol":
        found += read(1)
    assert {record["event"] for record in found} == {"deny"}


def test_a_standalone_record_is_pointed_at(cli, tmp_path):
    (tmp_path / "relay-shell").mkdir()
    (tmp_path / "relay-shell/audit.jsonl").touch()
    env = {
        "XDG_STATE_HOME": str(tmp_path),
        "RELAY_SHELL_PATHS_AUDIT": "/nonexistent/audit.jsonl",
        "RELAY_SHELL_PATHS_OPERATOR": "/nonexistent/operator.sock",
    }
    done = cli("audit", "tail", env=env)
    assert done.status == 69
    assert done.err.splitlines()[1] == (
        f"'relay-shell stdio' kept a record of its own: --file {tmp_path}/relay-shell/audit.jsonl"
    )
