from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keys.conftest import connected, identities, make, sign
from relay_shell.keys.__main__ import load
from relay_shell.keys.agent import Agent, AgentError
from relay_shell.keys.files import examine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="keys must belong to root")


def test_the_agent_has_what_the_directory_has(
    agent: str, directory: Path, tmp_path: Path, said: Any
) -> None:
    one, two = make(directory / "one"), make(directory / "two")
    sign(make(tmp_path / "authority"), two)
    assert load(str(directory), Agent(agent), agent)
    assert Agent(agent).held() == {*examine(str(one)).blobs, *examine(str(two)).blobs}
    assert said() == ["<6>2 of 2 keys in use"]
    one.unlink()
    three = make(directory / "three")
    assert load(str(directory), Agent(agent), agent)
    assert Agent(agent).held() == {*examine(str(two)).blobs, *examine(str(three)).blobs}
    assert said() == ["<6>2 of 2 keys in use, 1 dropped"]


def test_a_connection_outlasts_a_load(agent: str, directory: Path) -> None:
    make(directory / "one")
    load(str(directory), Agent(agent), agent)
    with connected(agent) as sock:
        assert identities(sock) == 1
        make(directory / "two")
        load(str(directory), Agent(agent), agent)
        assert identities(sock) == 2
        (directory / "one").unlink()
        (directory / "two").unlink()
        load(str(directory), Agent(agent), agent)
        assert identities(sock) == 0


def test_a_renewed_certificate_takes_the_place_of_the_old(
    agent: str, directory: Path, tmp_path: Path
) -> None:
    authority, key = make(tmp_path / "authority"), make(directory / "one")
    sign(authority, key, "-z", "1")
    load(str(directory), Agent(agent), agent)
    old = examine(str(key)).blobs
    sign(authority, key, "-z", "2")
    load(str(directory), Agent(agent), agent)
    new = examine(str(key)).blobs
    assert old[0] == new[0]
    assert old[1] != new[1]
    assert Agent(agent).held() == set(new)


def test_a_bad_file_keeps_no_other_out_and_is_dropped(
    agent: str, directory: Path, said: Any
) -> None:
    good, bad = make(directory / "good"), make(directory / "bad")
    load(str(directory), Agent(agent), agent)
    said()
    bad.chmod(0o644)
    assert not load(str(directory), Agent(agent), agent)
    assert Agent(agent).held() == set(examine(str(good)).blobs)
    assert said() == [
        f"<3>not used: {bad}: has mode 0644, so that others can use it",
        "<6>1 of 2 keys in use, 1 dropped",
    ]


def test_a_file_that_ssh_add_does_not_take_keeps_no_other_out(
    agent: str, directory: Path, said: Any
) -> None:
    good, bad = make(directory / "good"), make(directory / "bad")
    lines = bad.read_text().splitlines(keepends=True)
    # The public part is whole, the private part is not.
    lines[-2] = "A" * (len(lines[-2]) - 1) + "\n"
    bad.write_text("".join(lines))
    assert not load(str(directory), Agent(agent), agent)
    assert Agent(agent).held() == set(examine(str(good)).blobs)
    first, second = said()
    assert first.startswith(f"<3>not used: {bad}: ")
    assert second == "<6>1 of 2 keys in use"


def test_a_key_with_a_passphrase_is_named_with_the_command(
    agent: str, directory: Path, tmp_path: Path, said: Any
) -> None:
    key = make(directory / "one", phrase="a phrase")
    assert load(str(directory), Agent(agent), agent)
    assert Agent(agent).held() == set()
    command = f"SSH_AUTH_SOCK={agent} ssh-add {key}"
    assert said() == [
        f"<4>{key} has a passphrase; to use it, as root: {command}",
        "<6>0 of 1 keys in use",
    ]
    ask = tmp_path / "ask"
    ask.write_text("#!/bin/sh\necho a phrase\n")
    ask.chmod(0o755)
    subprocess.run(
        ["/bin/sh", "-c", command],
        env={**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"},
        check=True,
        capture_output=True,
    )
    assert load(str(directory), Agent(agent), agent)
    assert said() == ["<6>1 of 1 keys in use"]
    key.unlink()
    load(str(directory), Agent(agent), agent)
    assert Agent(agent).held() == set()


def test_a_directory_that_others_can_change_has_no_keys(
    agent: str, directory: Path, said: Any
) -> None:
    make(directory / "one")
    load(str(directory), Agent(agent), agent)
    said()
    directory.chmod(0o777)
    assert not load(str(directory), Agent(agent), agent)
    assert Agent(agent).held() == set()
    assert said() == [
        f"<3>no key is used: {directory}: can be changed by others than root",
        "<6>0 of 0 keys in use, 1 dropped",
    ]


def test_without_an_agent_nothing_is_said_to_be_in_use(directory: Path, tmp_path: Path) -> None:
    make(directory / "one")
    with pytest.raises(AgentError):
        load(str(directory), Agent(str(tmp_path / "none")))


def test_nobody_else_starts_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relay_shell.keys", "now"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 64
    assert "relay-shell-keys.service" in done.stderr
