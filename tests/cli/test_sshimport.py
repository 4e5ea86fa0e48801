"""`relay-shell ssh import`: what ssh(1) itself makes of a configuration, as an inventory."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from relay_shell.cli.sshimport import _forwarding
from relay_shell.ssh.inventory import Inventory, parse

from .fleet import Done


class Import:
    """Runs the import of one configuration."""

    def __init__(self, path: Path, cli: Callable[..., Done]) -> None:
        self.path = path
        self._cli = cli

    def __call__(self, text: str, *names: str) -> Done:
        self.path.write_text(text)
        return self._cli("ssh", "import", "--config", str(self.path), *names)

    def hosts(self, text: str, *names: str) -> Inventory:
        done = self(text, *names)
        assert (done.status, done.err) == (0, "")
        return parse(done.out, "out")


@pytest.fixture
def imported(tmp_path: Path, cli: Callable[..., Done]) -> Import:
    return Import(tmp_path / "config", cli)


def test_a_host_is_what_ssh_makes_of_it(imported: Import) -> None:
    found = imported.hosts(
        """
        Host web1 web2 web-*
            HostName %h.Example.org
            User deploy
        Host web2
            Port 2222
            HostKeyAlias WEB
        Host=10.0.0.1
            User root
        Host "quoted"  # and so on
            HostName fd00:0::1
        Host * !other
            User nobody
            SendEnv LANG
            ServerAliveInterval 30
        """
    )
    assert list(found.hosts) == ["web1", "web2", "10.0.0.1", "quoted"]
    web1, web2 = found.find("web1"), found.find("web2")
    assert (web1.address, web1.port, web1.user, web1.host_key) == (
        "web1.example.org",
        22,
        "deploy",
        "",
    )
    assert (web2.address, web2.port, web2.host_key) == ("web2.example.org", 2222, "web")
    assert found.find("10.0.0.1").user == "root"
    assert (found.find("quoted").address, found.find("quoted").user) == ("fd00::1", "nobody")


def test_names_that_are_asked_for_need_not_be_in_the_file(imported: Import) -> None:
    found = imported.hosts("Host *.example.org\n User deploy\n", "a.example.org", "b.example.org")
    assert [host.user for host in found.hosts.values()] == ["deploy", "deploy"]


def test_included_files_name_hosts_too(imported: Import, tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("Host inner\n User a\nInclude *.none\n")
    (tmp_path / "loop.conf").write_text(f"Host twice\n User b\nInclude {tmp_path}/loop.conf\n")
    done = imported(f"Include {tmp_path}/more.conf\nHost outer\n User c\n")
    assert [line for line in done.out.splitlines() if line.startswith("[")] == [
        "[host.inner]",
        "[host.outer]",
    ]
    done = imported(f"Include {tmp_path}/loop.conf\n")
    # ssh(1) refuses it, and is believed.
    assert done.status == 78 and "Too many recursive configuration includes" in done.err


def test_jumps_become_hosts(imported: Import) -> None:
    found = imported.hosts(
        """
        Host bastion
            HostName gw.example.org
            User jump
        Host inside
            User deploy
        Host deep
            User deploy
            ProxyJump root@[fd00::9]:2200,bastion
        Host old
            User deploy
            ProxyCommand ssh -q -W %h:%p bastion
        Host *
            ProxyJump bastion
        """
    )
    chains = {
        name: [host.name for host in found.chain(found.find(name))]
        for name in ("bastion", "inside", "deep", "old")
    }
    assert chains == {
        "bastion": ["bastion"],
        "inside": ["bastion", "inside"],
        "deep": ["bastion", "ip6-fd00--9", "bastion-2", "deep"],
        "old": ["bastion", "old"],
    }


def test_what_cannot_be_taken_over_is_named(imported: Import) -> None:
    done = imported(
        """
        Host proxied
            User a
            ProxyCommand nc -X connect -x proxy:3128 %h %p
        Host odd
            HostName -x
            User a
        Host wide
            User a
            ForwardAgent yes
            StrictHostKeyChecking no
            LocalForward 8080 localhost:80
        """,
        "proxied",
        "wide",
    )
    assert (done.status, done.err) == (0, "")
    assert list(parse(done.out, "out").hosts) == ["wide"]
    lines = done.out.splitlines()
    assert (
        "# not usable as it is: ProxyCommand nc -X connect -x proxy:3128 %h %p: "
        "give it a jump host instead"
    ) in lines
    assert "#[host.proxied]" in lines
    assert "# forwardagent yes is not taken over" in lines
    assert (
        "# stricthostkeychecking false is not taken over: host keys are always checked" in lines
        or "# stricthostkeychecking no is not taken over: host keys are always checked" in lines
    )
    assert any(line.startswith("# localforward ") for line in lines)
    done = imported(imported.path.read_text(), "odd")
    assert "-x" in done.out + done.err and "\n[host" not in done.out


def test_a_key_is_named_by_its_fingerprint(imported: Import, tmp_path: Path) -> None:
    private = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", private], check=True)
    found = imported.hosts(f"Host a\n User a\n IdentityFile {private}\n")
    key = asyncssh.read_public_key(f"{private}.pub")
    assert found.find("a").key == key.get_fingerprint("sha256")
    done = imported(f"Host a\n User a\n IdentityFile {private}\n IdentityFile {private}.2\n")
    assert parse(done.out, "out").find("a").key == ""
    assert f"# keys: {private}, {private}.2; whichever of them" in done.out


def test_two_that_would_have_one_name_are_told_apart(imported: Import) -> None:
    found = imported.hosts(
        """
        Host gw
            User a
        Host behind
            User b
            ProxyJump root@gw
        Host again
            User b
            ProxyJump root@gw
        """
    )
    assert {name: host.user for name, host in found.hosts.items()} == {
        "gw": "a",
        "gw-2": "root",
        "behind": "b",
        "again": "b",
    }
    assert (found.find("behind").jump, found.find("again").jump) == ("gw-2", "gw-2")


def test_what_is_printed_is_checked_as_a_whole(imported: Import) -> None:
    done = imported("Host web\n User a\nHost Web\n User b\n HostName other\n")
    assert done.status == 78
    assert "'Web' differs from 'web' by case only" in done.err
    assert "[host.web]" in done.out


def test_configurations_that_are_none(imported: Import, cli: Callable[..., Done]) -> None:
    done = imported("Host *\n User a\n")
    assert (done.status, done.out) == (66, "")
    assert f"no host is named in {imported.path}" in done.err
    done = imported("Host a\n Nonsense yes\n")
    assert done.status == 78 and "ssh -G a" in done.err
    done = cli("ssh", "import", "--config", "/nonexistent/config")
    assert done.status == 66
    done = imported("Host a\n User a\n", "a b")
    assert (done.status, done.out) == (78, "")


@pytest.mark.parametrize(
    ("command", "host"),
    [
        ("ssh -W %h:%p gw", "gw"),
        ("/usr/bin/ssh -q gw -W %h:%p", "gw"),
        ("exec ssh -W [%h]:%p root@gw", "root@gw"),
        ("ssh -W %h:%p -i key gw", ""),
        ("ssh -W %h:%p gw; true", ""),
        ("ssh -W %h:%p a,b", ""),
        ("ssh gw nc %h %p", ""),
        ("nc %h %p", ""),
        ("'", ""),
        ("", ""),
    ],
)
def test_the_old_name_of_a_jump(command: str, host: str) -> None:
    assert _forwarding(command) == host
