"""known_hosts: what is known, changed, revoked, and under which name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import asyncssh
import pytest

from relay_shell.ssh.hostkeys import KnownHosts, print_of
from relay_shell.ssh.inventory import Host, listed_as
from relay_shell.wire.errors import RelayError


def host(address: str = "web1.example.org", port: int = 22, host_key: str = "") -> Host:
    return Host("web1", address, port, "deploy", "", (), "", host_key, "")


def key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519").convert_to_public()


def line(name: str, of: asyncssh.SSHKey) -> str:
    return f"{name} {of.export_public_key('openssh').decode()}"


def write(path: Path, *lines: str) -> KnownHosts:
    path.write_text("".join(lines))
    return KnownHosts(str(path))


def test_name_is_that_of_ssh() -> None:
    assert listed_as(host()) == "web1.example.org"
    assert listed_as(host(port=2222)) == "[web1.example.org]:2222"
    assert listed_as(host("2001:db8::1", 2222)) == "[2001:db8::1]:2222"
    assert listed_as(host(port=2222, host_key="web")) == "web"


def test_key_is_known_changed_unknown_or_revoked(tmp_path: Path) -> None:
    mine, other, revoked = key(), key(), key()
    known = write(
        tmp_path / "known_hosts",
        line("web1.example.org", mine),
        line("@revoked *", revoked),
        line("db.example.org", other),
    ).find(host())
    assert known.state(mine) == "known"
    assert known.state(other) == "changed"
    assert known.state(revoked) == "revoked"
    kind = asyncssh.generate_private_key("ecdsa-sha2-nistp256").convert_to_public()
    assert known.state(kind) == "unknown"


def test_key_of_one_port_says_nothing_of_another(tmp_path: Path) -> None:
    """Who may listen on a high port of the machine is not who is root there."""
    mine = key()
    known = write(tmp_path / "known_hosts", line("web1.example.org", mine))
    assert known.find(host()).keys
    assert not known.find(host(port=2222)).keys
    known = write(tmp_path / "known_hosts", line("[web1.example.org]:2222", mine))
    assert known.find(host(port=2222)).keys
    assert not known.find(host()).keys


def test_names_that_ssh_keygen_hashed_are_found(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    write(path, line("web1.example.org", key()))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    assert "web1" not in path.read_text()
    assert KnownHosts(str(path)).find(host()).keys


def test_authority_is_one_for_the_names_it_is_listed_for(tmp_path: Path) -> None:
    known = write(tmp_path / "known_hosts", line("@cert-authority *.example.org", key()))
    assert known.find(host()).authorities
    assert not known.find(host("web1.example.net")).authorities


def test_changes_of_the_file_count_at_once(tmp_path: Path) -> None:
    path, mine = tmp_path / "known_hosts", key()
    known = KnownHosts(str(path))
    assert not known.find(host()).keys
    path.write_text(line("web1.example.org", mine))
    assert known.find(host()).keys
    path.unlink()
    assert not known.find(host()).keys


def test_file_that_others_can_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    known = write(path, line("web1.example.org", key()))
    path.chmod(0o666)
    with pytest.raises(RelayError) as caught:
        known.find(host())
    assert caught.value.kind == "Config" and "can be changed by others" in caught.value.message


@pytest.mark.parametrize("text", ["web1 ssh-ed25519", "|1|x web1", "\x00\xff", "@x a b c"])
def test_file_that_is_none_is_an_error_and_trusts_nobody(tmp_path: Path, text: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(text.encode("latin-1"))
    known = KnownHosts(str(path))
    try:
        assert not known.find(host()).keys
    except RelayError as error:
        assert error.kind == "Config"


def test_fingerprint_is_that_of_ssh_keygen(tmp_path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True
    )
    said = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "key.pub"], capture_output=True, text=True, check=True
    ).stdout
    assert print_of(asyncssh.read_public_key(tmp_path / "key.pub")) == said.split()[1]
    assert print_of(None) == ""
