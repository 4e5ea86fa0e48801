"""Accounts, kernel, software and configuration."""

from __future__ import annotations

import errno
import json
import os

import pytest

from relay_shell import __version__
from relay_shell.cli.checks import accounts, configuration, kernel, software
from relay_shell.cli.checks.base import Host


def test_nobody_may_connect_at_first():
    (finding,) = accounts.judge(set(), set())
    assert (finding.status, finding.fix) == ("warn", "usermod -aG relay-shell-access USER")


def test_an_agent_that_is_its_own_operator_is_warned_of():
    found = {f.subject: f for f in accounts.judge({"alice", "bob"}, {"bob", "carol"})}
    assert found["relay-shell-access"].status == "ok"
    assert found["relay-shell-operators"].status == "warn"
    assert "operate: bob;" in found["relay-shell-operators"].reason


@pytest.mark.parametrize(
    ("abi", "status"), [(6, "ok"), (9, "ok"), (5, "fail"), (-errno.ENOSYS, "fail")]
)
def test_landlock(abi, status):
    assert kernel.judge_landlock(abi).status == status


def test_asking_for_landlock_makes_no_ruleset():
    before = os.listdir("/proc/self/fd")
    abi = kernel.landlock_abi()
    assert abi > 0 or -abi in (errno.ENOSYS, errno.EOPNOTSUPP)
    assert os.listdir("/proc/self/fd") == before


def test_the_kernel_is_looked_at_only_where_it_is_the_hosts():
    assert list(kernel.check(Host(live=False))) == []
    wanted = {"landlock", "cgroup", "seccomp", "pidfd", "btf"}
    assert {f.subject for f in kernel.check(Host())} == wanted


def test_a_kernel_without_type_information_is_a_warning(tmp_path):
    finding = kernel.judge_types(tmp_path / "vmlinux")
    assert finding.status == "warn" and "evidence.observe" in finding.fix
    (tmp_path / "vmlinux").write_text("")
    assert kernel.judge_types(tmp_path / "vmlinux").status == "ok"


@pytest.mark.parametrize(
    ("version", "same"),
    [
        (__version__, True),
        (f"{__version__}-1", True),
        (f"1:{__version__}-1~bpo13+1", True),
        (f"{__version__}~rc1-1", True),
        (f"{__version__}+git20260101-1", True),
        (f"{__version__}0-1", False),
        ("99.0-1", False),
    ],
)
def test_a_debian_version_and_its_program(version, same):
    assert software._same(version, __version__) is same


def test_modules_that_are_there_have_a_version():
    found = {f.subject: f for f in software.check(Host(operator_socket="/nonexistent"))}
    assert found["mcp"].status == "ok"
    assert found["mcp"].reason[0].isdigit()
    assert found["broker"].status == "skip"


def test_a_module_that_is_missing_names_its_package():
    finding = software._module("no_such_module", "x", "python3-x", "testing")
    assert (finding.status, finding.fix) == ("fail", "apt install python3-x")


def test_each_problem_of_the_configuration_is_a_finding(tmp_path):
    (tmp_path / "etc/relay-shell").mkdir(parents=True)
    file = tmp_path / "etc/relay-shell/relay-shell.toml"
    file.write_text('[policy]\nmode = "wild"\nmood = 1\n')
    host = Host(tmp_path, live=False)
    assert [f.status for f in configuration.check(host)] == ["fail", "fail"]
    assert host.settings["paths.audit"] == "/var/log/relay-shell/audit.jsonl"
    file.write_text('[paths]\naudit = "/srv/a.jsonl"\n')
    (finding,) = configuration.check(host)
    assert (finding.status, host.settings["paths.audit"]) == ("ok", "/srv/a.jsonl")


def test_the_environment_of_whoever_looks_is_not_the_host_s(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAY_SHELL_DEBUG", "1")
    monkeypatch.setenv("RELAY_SHELL_PATHS_AUDIT", "/home/alice/audit.jsonl")
    host = Host(tmp_path, live=False)
    (finding,) = configuration.check(host)
    assert finding.status == "ok"
    assert host.settings["paths.audit"] == "/var/log/relay-shell/audit.jsonl"


def test_doctor_for_a_script(cli, tmp_path):
    done = cli("doctor", "--root", str(tmp_path), "--json")
    findings = json.loads(done.out)
    assert done.status == 1
    assert all(set(f) == {"check", "status", "subject", "reason", "fix"} for f in findings)
    assert all(f["fix"] for f in findings if f["status"] in ("fail", "warn"))


def test_doctor_for_a_human(cli, tmp_path):
    done = cli("doctor", "--root", str(tmp_path))
    lines = done.out.splitlines()
    assert done.status == 1
    assert any(
        line.startswith("fail  evidence   /var/log/relay-shell/audit.jsonl") for line in lines
    )
    assert lines[-1].endswith(" skip")
    quiet = cli("doctor", "--root", str(tmp_path), "--quiet").out
    assert not any(line.startswith("ok") for line in quiet.splitlines())
