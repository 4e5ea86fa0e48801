from __future__ import annotations

import os
from pathlib import Path

import pytest

from keys.conftest import make
from relay_shell.cli.checks import keys
from relay_shell.cli.checks.base import Host
from relay_shell.keys.files import examine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="keys must belong to root")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "etc/relay-shell/keys").mkdir(parents=True)
    (tmp_path / "etc/relay-shell/keys").chmod(0o700)
    return Host(tmp_path, live=False)


def found(host: Host) -> dict[str, tuple[str, str]]:
    return {Path(f.subject).name: (f.status, f.reason) for f in keys.check(host)}


def test_a_host_without_keys_is_sound(host: Host) -> None:
    assert found(host) == {"keys": ("ok", "no keys")}


def test_each_key_is_a_finding(host: Host) -> None:
    directory = host.path(keys.DIRECTORY)
    make(directory / "one")
    make(directory / "two", phrase="a phrase")
    make(directory / "three").chmod(0o640)
    assert found(host) == {
        "one": ("ok", "can be used"),
        "two": ("ok", "has a passphrase"),
        "three": ("fail", "has mode 0640, so that others can use it"),
    }
    directory.chmod(0o770)
    assert found(host) == {"keys": ("fail", "can be changed by others than root")}


def test_a_key_that_the_agent_has_not_is_a_warning(host: Host) -> None:
    one = str(make(host.path(keys.DIRECTORY) / "one"))
    two = str(make(host.path(keys.DIRECTORY) / "two", phrase="a phrase"))
    held = set(examine(one).blobs)
    assert keys.judge(one, held).status == "ok"
    assert keys.judge(one, set()).fix == "systemctl reload relay-shell-keys.service"
    locked = keys.judge(two, held)
    assert (locked.status, locked.fix) == ("warn", f"SSH_AUTH_SOCK={keys.SOCKET} ssh-add {two}")
