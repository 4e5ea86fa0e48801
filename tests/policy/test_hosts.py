"""Canonical forms of addresses."""

from __future__ import annotations

import pytest

from relay_shell.policy.hosts import canonical_addresses, canonical_ip


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("10.1", "10.0.0.1"),
        ("10.0.1", "10.0.0.1"),
        ("0x0a.0.0.01", "10.0.0.1"),
        ("167772161", "10.0.0.1"),
        ("0xa000001", "10.0.0.1"),
        ("::FFFF:10.0.0.1", "10.0.0.1"),
        ("::ffff:a00:1", "10.0.0.1"),
        ("[2001:DB8:0:0::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("10.0.0.256", None),
        ("1.2.3.4.5", None),
        ("08.1", None),
        ("web1", None),
        ("", None),
        ("4294967296", None),
    ],
)
def test_canonical_ip(text: str, canonical: str | None) -> None:
    assert canonical_ip(text) == canonical


def test_addresses_in_a_command_are_rewritten() -> None:
    assert canonical_addresses("ssh root@0x7f.1 -p 22") == ["ssh root@127.0.0.1 -p 22"]
    assert canonical_addresses("curl http://[::ffff:7f00:1]:80/") == ["curl http://127.0.0.1:80/"]
    assert canonical_addresses("head -n 20 file") == []
    assert canonical_addresses("ssh 10.0.0.1") == []
