"""`relay-shell ssh trust`: OpenSSH's own programs ask a real server for its keys."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from .conftest import environment
from .fleet import Fleet, Server, fingerprint


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def closed() -> Iterator[int]:
    """A port that nobody listens on, and nobody else can take."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_keys_are_added_once_a_fingerprint_says_so(fleet: Fleet, server: Server) -> None:
    ed25519, ecdsa = server.show("ssh-ed25519", "ecdsa-sha2-nistp256")
    fleet.write(server.port)
    done = fleet("trust", "web1")
    assert done.status == 64 and "nobody to ask" in done.err
    assert fingerprint(ed25519) in done.out and fingerprint(ecdsa) in done.out
    done = fleet("trust", "web1", "--fingerprint", fingerprint("a " + "A" * 64))
    assert done.status == 65 and "no key of web1 has that fingerprint" in done.err
    assert not fleet.known_hosts.exists()

    done = fleet("trust", "web1", "--fingerprint", fingerprint(ed25519))
    assert (done.status, done.err) == (0, "")
    listed = f"[127.0.0.1]:{server.port}"
    assert fleet.trusted() == [f"{listed} {ed25519}"]
    assert fleet.known_hosts.stat().st_mode & 0o777 == 0o644
    again = fleet("trust", "web1", "--fingerprint", fingerprint(ed25519))
    assert again.status == 0 and again.out.endswith("nothing to add\n")
    # Another kind of key of a host that shows a known one is only new.
    assert fleet("trust", "web1", "--yes").status == 0
    assert fleet.trusted() == [f"{listed} {ed25519}", f"{listed} {ecdsa}"]
    (web1,) = json.loads(fleet("hosts", "web1", "--json").out)
    assert web1["host_key_known"] is True


def test_what_is_there_stays_as_it_is(fleet: Fleet, server: Server) -> None:
    (key,) = server.show("ssh-ed25519")
    fleet.write(server.port)
    before = "# ours\n@cert-authority *.example.org ssh-ed25519 AAAA\nlast.example.org ssh-rsa AAAA"
    fleet.known_hosts.write_text(before)
    fleet.known_hosts.chmod(0o600)
    done = fleet("trust", "web1", "alias", "--yes")
    assert (done.status, done.err) == (0, "")
    listed = f"[127.0.0.1]:{server.port}"
    assert fleet.known_hosts.read_text() == f"{before}\n{listed} {key}\nother {key}\n"


@pytest.mark.parametrize("hashed", [False, True])
def test_another_key_is_never_put_in_the_place_of_a_known_one(
    fleet: Fleet, server: Server, hashed: bool
) -> None:
    (old,) = server.show("ssh-ed25519")
    fleet.write(server.port)
    assert fleet("trust", "web1", "--yes").status == 0
    if hashed:
        subprocess.run(
            ["ssh-keygen", "-q", "-H", "-f", fleet.known_hosts], check=True, capture_output=True
        )
    before = fleet.known_hosts.read_text()
    for kinds in (["ssh-ed25519"], ["ecdsa-sha2-nistp256"], ["ssh-ed25519", "ssh-rsa"]):
        new = server.show(*kinds)
        for options in (["--yes"], ["--fingerprint", fingerprint(new[0])]):
            done = fleet("trust", "web1", *options)
            assert done.status == 65 and "web1 shows another key" in done.err
            assert fleet.known_hosts.read_text() == before
    command = done.err.partition("right: ")[2].partition(" removes")[0]
    subprocess.run(["sh", "-euc", command], check=True, capture_output=True)
    assert fleet("trust", "web1", "--fingerprint", fingerprint(new[0])).status == 0
    assert fleet.trusted() == [f"[127.0.0.1]:{server.port} {new[0]}"]
    assert old not in fleet.known_hosts.read_text()


def test_a_revoked_key_is_not_trusted_again(fleet: Fleet, server: Server) -> None:
    (key,) = server.show("ssh-ed25519")
    fleet.write(server.port)
    fleet.known_hosts.write_text(f"@revoked * {key}\n")
    fleet.known_hosts.chmod(0o644)
    done = fleet("trust", "web1", "--yes")
    assert done.status == 65 and "key of web1 is revoked" in done.err
    assert fleet.trusted() == [f"@revoked * {key}"]


def test_hosts_that_show_nothing_are_named_and_the_others_go_on(
    fleet: Fleet, server: Server, closed: int
) -> None:
    (key,) = server.show("ssh-ed25519")
    fleet.write(server.port, closed)
    done = fleet("trust", "closed", "--yes")
    assert done.status == 69
    assert f"relay-shell: 127.0.0.1 port {closed} shows no host key" in done.err
    done = fleet("trust", "*", "--yes")
    assert done.status == 69
    assert f"127.0.0.1 port {closed} shows no host key" in done.err
    assert "inside is behind web1: its key cannot be asked for from here" in done.err
    assert "relay-shell ssh trust inside --keys FILE" in done.err
    assert fleet.trusted() == [f"[127.0.0.1]:{server.port} {key}", f"other {key}"]


def test_keys_of_a_host_behind_another_are_taken_from_a_file(fleet: Fleet, tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    file = tmp_path / "keys.pub"
    file.write_text(f"# scanned\n{key} root@inside\ngarbage\ninside {key}\nssh-rsa AAAA\n")
    done = fleet("trust", "inside", "--keys", str(file), "--fingerprint", fingerprint(key))
    assert (done.status, done.err) == (0, "")
    assert fleet.trusted() == [f"192.0.2.1 {' '.join(key.split()[:2])}"]
    done = fleet("trust", "inside", "--keys", "-", "--yes", stdin=key)
    assert done.status == 0 and done.out.endswith("nothing to add\n")
    for words in (["inside", "--keys", "/dev/null"], ["web*", "inside", "--keys", str(file)]):
        assert fleet("trust", *words, "--yes").status == 64


def test_a_human_types_yes(fleet: Fleet, server: Server) -> None:
    (key,) = server.show("ssh-ed25519")
    fleet.write(server.port)
    for answer, status in (("no", 75), ("y", 75), ("yes", 0)):
        master, slave = pty.openpty()
        try:
            os.write(master, f"{answer}\n".encode())
            done = subprocess.run(
                [sys.executable, "-m", "relay_shell.cli", "ssh", "trust", "web1"],
                stdin=slave,
                env=environment(**fleet.env),
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        finally:
            os.close(master)
            os.close(slave)
        assert done.returncode == status, done.stderr
        assert fingerprint(key) in done.stdout and "Type yes: " in done.stdout
        assert fleet.known_hosts.exists() == (status == 0)
    assert fleet.trusted() == [f"[127.0.0.1]:{server.port} {key}"]


def test_nothing_is_asked_that_could_not_be_kept(fleet: Fleet, tmp_path: Path) -> None:
    fleet.env["RELAY_SHELL_PATHS_KNOWN_HOSTS"] = str(tmp_path / "gone" / "known_hosts")
    done = fleet("trust", "web1")
    assert done.status == 77 and "gone cannot be written" in done.err
    done = fleet("trust", "web1", "--fingerprint", "MD5:00")
    assert done.status == 64 and "'MD5:00' is no fingerprint" in done.err
