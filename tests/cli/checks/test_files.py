from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay_shell.cli.checks import files
from relay_shell.cli.checks.base import Host

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files must belong to root")

DECLARED = """\
# comment
d  /var/log/relay-shell             0750 root root  -
a+ /var/log/relay-shell             -    -    -    - u:daemon:x
f  /var/log/relay-shell/audit.jsonl 0640 daemon adm -
h  /var/log/relay-shell/audit.jsonl -    -    -    - +a
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A system on which everything is as the package made it."""
    for name in ("usr/lib/relay-shell/relay_shell", "usr/share/relay-shell", "usr/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "usr/bin/relay-shell").write_text("#!/usr/bin/python3\n")
    (tmp_path / "usr/lib/relay-shell/relay_shell/a.py").write_text("")
    (tmp_path / "etc/relay-shell").mkdir(parents=True)
    (tmp_path / "usr/lib/tmpfiles.d").mkdir()
    (tmp_path / "usr/lib/tmpfiles.d/relay-shell.conf").write_text(DECLARED)
    (tmp_path / "var/log/relay-shell").mkdir(parents=True)
    (tmp_path / "var/log/relay-shell").chmod(0o750)
    audit = tmp_path / "var/log/relay-shell/audit.jsonl"
    audit.touch(0o640)
    audit.chmod(0o640)
    import grp
    import pwd

    os.chown(audit, pwd.getpwnam("daemon").pw_uid, grp.getgrnam("adm").gr_gid)
    return Host(tmp_path, live=False)


def bad(host):
    return {f.subject: f.reason for f in files.check(host) if f.status != "ok"}


def test_a_sound_system(host):
    assert bad(host) == {}


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.chmod(0o666),
        lambda path: path.chmod(0o620),
        lambda path: os.chown(path, 1, 0),
    ],
)
@pytest.mark.parametrize("name", ["usr/lib/relay-shell/relay_shell/a.py", "usr/bin/relay-shell"])
def test_code_that_others_can_change_is_a_failure(host, name, damage):
    damage(host.root / name)
    ((subject, reason),) = bad(host).items()
    assert f"/{name}" in reason
    assert f"/{name}".startswith(subject)


def test_a_configuration_directory_that_others_can_write_to(host):
    (host.root / "etc/relay-shell").chmod(0o777)
    assert "has mode 0777" in bad(host)["/etc/relay-shell"]


def test_many_offenders_are_counted(host):
    for n in range(9):
        path = host.root / f"usr/share/relay-shell/{n}"
        path.touch()
        path.chmod(0o666)
    assert bad(host)["/usr/share/relay-shell"].endswith(" and 4 more")


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda path: path.chmod(0o666), "is 0666 "),
        (lambda path: os.chown(path, 0, 0), "is 0640 0:0, declared as 0640 daemon:adm"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: (path.unlink(), path.mkdir()), "is of another type"),
    ],
)
def test_what_differs_from_its_declaration(host, damage, text):
    damage(host.root / "var/log/relay-shell/audit.jsonl")
    assert text in bad(host)["/var/log/relay-shell/audit.jsonl"]


def test_dpkg_names_what_changed():
    output = (
        "??5?????? c /etc/relay-shell/relay-shell.toml\n"
        "??5??????   /usr/lib/relay-shell/relay_shell/cli/audit.py\n"
        "missing     /usr/lib/systemd/system/relay-shell.socket\n"
    )
    (finding,) = files.judge_verify(output)
    assert finding.status == "fail"
    assert finding.reason == (
        "files differ from the package: /usr/lib/relay-shell/relay_shell/cli/audit.py, "
        "/usr/lib/systemd/system/relay-shell.socket (missing)"
    )


def test_a_changed_conffile_is_no_drift():
    (finding,) = files.judge_verify("??5?????? c /etc/relay-shell/relay-shell.toml\n")
    assert finding.status == "ok"
