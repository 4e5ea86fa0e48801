"""`relay-shell ssh hosts`, and what every action says of a bad inventory."""

from __future__ import annotations

import json
import subprocess

import asyncssh

from .fleet import Fleet


def test_hosts_are_listed_with_what_is_known_of_them(fleet: Fleet) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    fleet.known_hosts.write_text(f"127.0.0.1 {key}")
    fleet.known_hosts.chmod(0o644)
    done = fleet("hosts")
    assert (done.status, done.err) == (0, "")
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0] == "HOST ADDRESS USER JUMP GROUPS HOST KEY DESCRIPTION".split()
    assert rows[1] == "web1 127.0.0.1 deploy - web known front end".split()
    assert rows[3] == "closed 127.0.0.1:1 deploy - - unknown".split()
    assert rows[4] == "inside 192.0.2.1 deploy web1 web unknown".split()
    assert done.out.endswith("3 without a host key: 'relay-shell ssh trust HOST' adds it\n")
    subprocess.run(
        ["ssh-keygen", "-q", "-H", "-f", fleet.known_hosts], check=True, capture_output=True
    )
    (found, _) = json.loads(fleet("hosts", "@web", "--json").out)
    assert found["name"] == "web1" and found["listed_as"] == "127.0.0.1"
    assert found["host_key_known"] is True


def test_a_key_that_signs_those_of_hosts_makes_them_known(fleet: Fleet) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    fleet.known_hosts.write_text(f"@cert-authority 192.0.2.* {key}@revoked other {key}")
    fleet.known_hosts.chmod(0o644)
    rows = json.loads(fleet("hosts", "--json").out)
    assert [row["name"] for row in rows if row["host_key_known"]] == ["inside"]


def test_a_word_that_fits_no_host(fleet: Fleet) -> None:
    for action in ("hosts", "trust"):
        done = fleet(action, "wbe1")
        assert (done.status, done.out) == (66, "")
        assert done.err.splitlines() == [
            "relay-shell: no host 'wbe1' in the inventory; did you mean 'web1'?",
            "'relay-shell ssh hosts' lists the hosts that there are.",
        ]
    fleet.inventory.write_text("")
    assert fleet("hosts").out == f"no hosts: {fleet.inventory} names none\n"
    assert f"Add the host to {fleet.inventory}" in fleet("hosts", "web1").err


def test_a_bad_inventory_or_an_open_file_of_keys_is_refused(fleet: Fleet) -> None:
    fleet.known_hosts.write_text("")
    fleet.known_hosts.chmod(0o666)
    done = fleet("hosts")
    assert done.status == 78 and "known_hosts can be changed by others" in done.err
    fleet.inventory.write_text("[host.a]\n")
    done = fleet("hosts")
    assert done.status == 78 and f"{fleet.inventory}:1: 'a' has no 'user'" in done.err
