from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from relay_shell.cli.checks import evidence
from relay_shell.cli.checks.base import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "var/log/relay-shell").mkdir(parents=True)
    (tmp_path / "var/log/relay-shell/audit.jsonl").touch()
    return Host(tmp_path, live=False)


def of(host, subject):
    (finding,) = [f for f in evidence.check(host) if f.subject == subject]
    return finding


AUDIT = "/var/log/relay-shell/audit.jsonl"


def test_a_lost_attribute_is_a_failure_and_a_set_one_is_not(host):
    path = host.path(AUDIT)
    finding = of(host, AUDIT)
    if finding.status == "warn":
        pytest.skip("this file system has no append-only flag")
    assert (finding.status, finding.fix) == ("fail", f"chattr +a {AUDIT}")
    if subprocess.run(["chattr", "+a", path], capture_output=True).returncode:
        pytest.skip("the attribute cannot be set here")
    try:
        assert of(host, AUDIT).status == "ok"
    finally:
        subprocess.run(["chattr", "-a", path], check=True)


def test_a_missing_record(host):
    host.path(AUDIT).unlink()
    assert of(host, AUDIT).status == "fail"


def test_the_record_is_where_the_settings_say(host):
    host.settings["paths.audit"] = "/srv/audit.jsonl"
    assert of(host, "/srv/audit.jsonl").status == "fail"


@pytest.mark.parametrize(
    ("free", "inodes", "status"),
    [
        (10 << 20, 1000, "fail"),
        (500 << 20, 1000, "warn"),
        (5 << 30, 1000, "ok"),
        (5 << 30, 3, "fail"),
    ],
)
def test_room(free, inodes, status):
    assert evidence.judge_room("/var/log", free, inodes, 100_000).status == status


def test_a_file_system_without_inode_counts_is_not_full():
    assert evidence.judge_room("/var/log", 5 << 30, 0, 0).status == "ok"


@pytest.mark.parametrize(
    ("files", "persistent", "status"),
    [
        ({}, True, "ok"),
        ({}, False, "warn"),
        ({"etc/systemd/journald.conf": "[Journal]\nStorage=volatile\n"}, True, "warn"),
        ({"etc/systemd/journald.conf": "[Journal]\n#Storage=volatile\n"}, True, "ok"),
        ({"usr/lib/systemd/journald.conf.d/9.conf": "[Journal]\nStorage=none\n"}, True, "warn"),
        (
            {
                "etc/systemd/journald.conf": "[Journal]\nStorage=none\n",
                "etc/systemd/journald.conf.d/50.conf": "[Journal]\nStorage=persistent\n",
            },
            False,
            "ok",
        ),
        (
            {
                "usr/lib/systemd/journald.conf.d/50.conf": "[Journal]\nStorage=none\n",
                "etc/systemd/journald.conf.d/50.conf": "[Journal]\n",
            },
            True,
            "ok",
        ),
    ],
)
def test_whether_the_journal_survives_a_restart(host, files, persistent, status):
    for name, text in files.items():
        (host.root / name).parent.mkdir(parents=True, exist_ok=True)
        (host.root / name).write_text(text)
    if persistent:
        (host.root / "var/log/journal").mkdir()
    assert of(host, "journald").status == status


def test_rotation(host):
    assert of(host, "/etc/logrotate.d/relay-shell").status == "warn"
    (host.root / "etc/logrotate.d").mkdir(parents=True)
    source = Path(__file__).resolve().parents[3] / "logrotate/relay-shell"
    shutil.copy(source, host.root / "etc/logrotate.d/relay-shell")
    assert of(host, "/etc/logrotate.d/relay-shell").status == "ok"


GOOD = {"evidence": {"state": "ok", "seq": 7, "journal": {"state": "ok", "lost": 0}}}


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (GOOD, "ok"),
        ({}, "fail"),
        ({"evidence": {"state": "no_space", "trouble": "no space is left"}}, "fail"),
        ({"evidence": {"state": "ok", "seq": 1, "journal": {"state": "ok", "lost": 3}}}, "fail"),
        ({"evidence": {"state": "ok", "seq": 1, "journal": {"state": "down", "lost": 0}}}, "fail"),
        ({"evidence": {"state": "ok", "seq": 1, "degraded": ["attribute"]}}, "fail"),
        ({"evidence": {"state": "attribute", "policy": "spool", "waiting": 3}}, "fail"),
        ({"evidence": {"state": "ok", "seq": 1, "remote_ack": {"state": "ok"}}}, "ok"),
        ({"evidence": {"state": "ok", "seq": 1, "remote_ack": {"state": "late"}}}, "fail"),
    ],
)
def test_what_the_broker_says_of_its_record(status, word):
    assert evidence.judge_broker(status).status == word


def test_calls_that_go_on_without_a_record_are_told(host):
    status = {"evidence": {"state": "no_space", "policy": "spool", "waiting": 3, "lost": 0}}
    reason = evidence.judge_broker(status).reason
    assert reason == "NOT written: no_space; calls go on (spool), 3 records wait, 0 are lost"


def test_what_journald_dropped():
    said = "Suppressed 12 messages from cron.service\n"
    assert list(evidence.judge_dropped(said)) == []
    (finding,) = evidence.judge_dropped(said + "Suppressed 7 messages from relay-shell.service\n")
    assert finding.status == "fail"
    assert finding.reason.startswith("Suppressed 7 messages from relay-shell.service, 1 time(s)")


def test_a_verification_that_is_overdue():
    found = {"at": 1e9, "kind": "", "first": 1, "last": 9}
    day = 86400
    assert evidence.judge_verified({"verified": found}, 1e9 + day).status == "ok"
    assert evidence.judge_verified({"verified": found}, 1e9 + 4 * day).status == "warn"
    bad = {**found, "kind": "gap", "detail": "record 3"}
    assert evidence.judge_verified({"verified": bad}, 1e9 + day).status == "fail"
    # Nothing is amiss before the timer was due for the first time.
    assert evidence.judge_verified({"since": 1e9}, 1e9 + day).status == "ok"
    assert evidence.judge_verified({"since": 1e9}, 1e9 + 4 * day).status == "warn"
