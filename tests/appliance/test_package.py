"""apt installs, upgrades, removes and purges the package; the evidence outlasts all of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance import package
from appliance.machine import TREE, Machine

SOCKETS = [
    "relay-shell.socket",
    "relay-shell-broker.socket",
    "relay-shell-operator.socket",
    "relay-shell-worker.socket",
]
AUDIT = "/var/log/relay-shell/audit.jsonl"


def states(machine: Machine, question: str) -> set[str]:
    """The answers of `systemctl is-active` or `is-enabled` for the four sockets."""
    return set(machine.run("systemctl", question, *SOCKETS, check=False).stdout.split())


def attributes(machine: Machine, path: str) -> str:
    return machine.out("lsattr", "-d", path).split()[0].replace("-", "")


def mode(machine: Machine, path: str) -> str:
    return machine.out("stat", "--format=%U:%G %a", path)


@pytest.fixture
def machine(boot: Callable[..., Machine]) -> Machine:
    return boot()


def test_apt_installs_it_with_its_dependencies_and_no_network(bare: Machine) -> None:
    printed = package.install(bare)
    assert "Setting up relay-shell" in printed
    assert bare.out("dpkg-query", "--show", "--showformat=${Status}", "relay-shell") == (
        "install ok installed"
    )
    assert bare.out("dpkg", "--audit") == ""
    assert bare.out("relay-shell", "--version").startswith("relay-shell ")


def test_nothing_listens_and_nobody_may_connect_before_the_operator_says_so(
    machine: Machine,
) -> None:
    assert states(machine, "is-enabled") == {"disabled"}
    assert states(machine, "is-active") == {"inactive"}
    assert machine.out("ls", "/run/relay-shell") == ""
    for group in ("relay-shell-access", "relay-shell-operators"):
        assert machine.out("getent", "group", group).endswith(":")


def test_one_command_makes_the_four_sockets_listen(machine: Machine) -> None:
    machine.run("systemctl", "enable", "--now", "relay-shell.socket")
    assert states(machine, "is-active") == {"active"}
    assert states(machine, "is-enabled") == {"enabled"}
    assert {
        name: mode(machine, f"/run/relay-shell/{name}.sock")
        for name in ("relay-shell", "broker", "operator", "worker")
    } == {
        "relay-shell": "root:relay-shell-access 660",
        "broker": "root:relay-shell-internal 660",
        "operator": "root:relay-shell-operators 660",
        "worker": "relay-shell-front:relay-shell-front 600",
    }


def test_the_sockets_outlast_a_reboot(machine: Machine) -> None:
    machine.run("systemctl", "enable", "relay-shell.socket")
    machine.shutdown()
    machine.boot()
    assert states(machine, "is-active") == {"active"}
    assert "a" in attributes(machine, AUDIT)


def test_only_the_broker_can_write_the_audit_and_it_can_only_append(machine: Machine) -> None:
    assert mode(machine, AUDIT) == "relay-shell-broker:adm 640"
    assert mode(machine, "/var/log/relay-shell") == "root:adm 750"
    assert "a" in attributes(machine, AUDIT)

    machine.shell(f"echo one >> {AUDIT}", user="relay-shell-broker")
    for script in (
        f": > {AUDIT}",
        f"rm -f {AUDIT}",
        f"mv {AUDIT} {AUDIT}.old",
        f"chattr -a {AUDIT}",
        "touch /var/log/relay-shell/other",
    ):
        assert machine.run("sh", "-c", script, user="relay-shell-broker", check=False).returncode
    for account in ("relay-shell", "relay-shell-front", "nobody"):
        done = machine.run("sh", "-c", f"echo two >> {AUDIT}", user=account, check=False)
        assert "Permission denied" in done.stderr
        assert machine.run("cat", AUDIT, user=account, check=False).returncode
    # Not root either, short of lifting the attribute.
    assert machine.run("sh", "-c", f": > {AUDIT}", check=False).returncode
    assert machine.read(AUDIT) == "one\n"


def test_no_account_but_root_can_change_code_or_configuration(machine: Machine) -> None:
    trees = "/usr/lib/relay-shell /usr/share/relay-shell /etc/relay-shell /usr/bin/relay-shell"
    assert machine.shell(f"find -L {trees} '(' ! -user root -o -perm /022 ')' -print") == ""


def test_every_module_is_byte_compiled(machine: Machine) -> None:
    missing = machine.shell(
        "cd /usr/lib/relay-shell; find . -name '*.py' | while read -r f; do "
        'c="${f%/*}/__pycache__/$(basename "$f" .py).cpython-313.pyc"; '
        '[ -e "$c" ] || echo "$f"; done'
    )
    assert missing == ""


def test_the_programs_run_isolated_from_site_and_environment(machine: Machine) -> None:
    first = machine.shell(
        "head -qn1 /usr/bin/relay-shell /usr/lib/relay-shell/relay-shell-front"
        " /usr/lib/relay-shell/relay-shell-broker /usr/lib/relay-shell/relay-shell-worker"
    )
    assert set(first.splitlines()) == {"#!/usr/bin/python3 -IS"}


def test_the_bundle_is_whole(machine: Machine) -> None:
    """What the lock names imports, from the bundle and Debian's packages together."""
    machine.run(
        "/usr/bin/python3",
        "-IS",
        "-c",
        "import sys; sys.path += ['/usr/lib/relay-shell', '/usr/lib/relay-shell/vendor',"
        " '/usr/lib/python3/dist-packages']\n"
        "import mcp, mcp.client.stdio, pydantic, starlette, anyio, jsonschema\n"
        "import re2, uvloop, pyte, asyncssh, systemd.journal, pam\n"
        "assert pydantic.__file__.startswith('/usr/lib/relay-shell/vendor/')\n",
    )


def test_the_catalog_explains_the_events(machine: Machine) -> None:
    listing = machine.out("journalctl", "--list-catalog")
    assert "relay-shell: The broker has started" in listing


def test_logrotate_makes_the_next_file_and_seals_the_last(machine: Machine) -> None:
    machine.shell(f"echo one >> {AUDIT}", user="relay-shell-broker")
    machine.run("logrotate", "--force", "/etc/logrotate.d/relay-shell")
    rotated = machine.shell(f"ls {AUDIT}-*")
    assert machine.read(rotated) == "one\n"
    assert "i" in attributes(machine, rotated)
    assert mode(machine, AUDIT) == "relay-shell-broker:adm 640"
    assert "a" in attributes(machine, AUDIT)
    machine.shell(f"echo two >> {AUDIT}", user="relay-shell-broker")
    assert machine.read(AUDIT) == "two\n"


def test_the_autopkgtest_passes(machine: Machine) -> None:
    machine.put(TREE / "debian/tests", "/srv/tree/debian/tests")
    machine.put(TREE / "demo", "/srv/tree/demo")
    said = machine.shell("cd /srv/tree; exec debian/tests/smoke")
    assert "conversation held" in said


def test_reinstalling_keeps_settings_evidence_and_listeners(machine: Machine) -> None:
    machine.run("systemctl", "enable", "--now", "relay-shell.socket")
    machine.shell(f"echo one >> {AUDIT}", user="relay-shell-broker")
    machine.shell("echo '# mine' >> /etc/relay-shell/relay-shell.toml")
    name = package.deb().name
    machine.run("apt-get", "install", "--yes", "--reinstall", f"/root/{name}")
    assert states(machine, "is-active") == {"active"}
    assert machine.read(AUDIT).startswith("one\n")
    assert "a" in attributes(machine, AUDIT)
    assert "# mine" in machine.read("/etc/relay-shell/relay-shell.toml")


def test_removing_stops_everything_and_keeps_the_evidence(machine: Machine) -> None:
    machine.run("systemctl", "enable", "--now", "relay-shell.socket")
    machine.shell(f"echo one >> {AUDIT}", user="relay-shell-broker")
    machine.run("apt-get", "remove", "--yes", "relay-shell")
    assert states(machine, "is-active") == {"inactive"}
    assert machine.out("systemctl", "list-units", "--no-legend", "relay-shell*") == ""
    assert machine.shell("find /run/relay-shell -type s") == ""
    assert machine.read(AUDIT).startswith("one\n")
    assert machine.out("dpkg", "--audit") == ""


def test_purging_keeps_the_evidence_and_says_so(machine: Machine) -> None:
    machine.shell(f"echo one >> {AUDIT}", user="relay-shell-broker")
    done = machine.run("apt-get", "purge", "--yes", "relay-shell")
    assert "is kept" in done.stdout + done.stderr
    assert machine.read(AUDIT).startswith("one\n")
    assert "a" in attributes(machine, AUDIT)
    assert machine.run("test", "-e", "/etc/relay-shell", check=False).returncode
    assert machine.out("dpkg", "--audit") == ""
    # And it can come back, on the same evidence.
    machine.run("apt-get", "install", "--yes", f"/root/{package.deb().name}")
    assert machine.read(AUDIT).startswith("one\n")
    assert mode(machine, AUDIT) == "relay-shell-broker:adm 640"


@pytest.mark.parametrize("chattr", ["present", "gone"])
def test_purging_deletes_the_evidence_when_told_to(machine: Machine, chattr: str) -> None:
    machine.shell(f"echo one >> {AUDIT}", user="relay-shell-broker")
    machine.run("logrotate", "--force", "/etc/logrotate.d/relay-shell")
    machine.run("touch", "/etc/relay-shell/purge-evidence", "/etc/relay-shell/known_hosts")
    if chattr == "gone":
        # e2fsprogs is not essential: it may be purged before this package is.
        machine.run("mv", "/usr/bin/chattr", "/root/chattr")
    machine.run("apt-get", "purge", "--yes", "relay-shell")
    for path in ("/var/log/relay-shell", "/etc/relay-shell", "/usr/lib/relay-shell"):
        assert machine.run("test", "-e", path, check=False).returncode, path
    assert machine.out("dpkg", "--audit") == ""
