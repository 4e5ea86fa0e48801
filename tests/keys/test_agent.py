from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.conftest import make, sign
from relay_shell.keys import agent as module
from relay_shell.keys.agent import Agent, AgentError, AgentGone
from relay_shell.keys.files import examine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="keys must belong to root")


def test_keys_come_and_go(agent: str, directory: Path, tmp_path: Path) -> None:
    asked = Agent(agent)
    assert asked.held() == set()
    key = make(directory / "-one")
    sign(make(tmp_path / "authority"), key)
    plain, certificate = examine(str(key)).blobs
    asked.add(str(key))
    assert asked.held() == {plain, certificate}
    asked.remove(certificate)
    assert asked.held() == {plain}
    asked.remove(plain)
    assert asked.held() == set()


def test_a_passphrase_is_asked_of_nobody(agent: str, directory: Path) -> None:
    key = make(directory / "one", phrase="a phrase")
    with pytest.raises(AgentError):
        Agent(agent).add(str(key))
    assert Agent(agent).held() == set()


def test_an_agent_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="connecting to"):
        Agent(str(tmp_path / "none")).held()


def test_a_program_that_is_not_there_is_an_error(
    agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRAM", str(tmp_path / "none"))
    with pytest.raises(AgentError, match="No such file"):
        Agent(agent).held()


def test_an_agent_that_does_not_answer_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", 0.2)
    with listening(tmp_path / "agent.sock") as path, pytest.raises(AgentGone, match="did not end"):
        Agent(path).held()


def test_an_agent_that_has_ended_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", 600)
    with listening(tmp_path / "agent.sock") as path:
        process = subprocess.Popen(["sleep", "7200"])
        asked = Agent(path, process.pid)
        try:
            process.kill()
            with pytest.raises(AgentGone, match="has ended"):
                asked.held()
        finally:
            asked.close()
            process.wait()
        with pytest.raises(AgentGone, match="has ended"):
            Agent(path, process.pid)


@contextlib.contextmanager
def listening(path: Path) -> Iterator[str]:
    """A socket whose connections nobody serves."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        yield str(path)
