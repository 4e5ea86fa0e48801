"""Keys made by ssh-keygen, and an ssh-agent that listens on a socket it was given."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def make(path: Path, *arguments: str, phrase: str = "") -> Path:
    """A new key at `path`, with its comment for a name; `arguments` are ssh-keygen's."""
    kind = () if "-t" in arguments else ("-t", "ed25519")
    subprocess.run(
        ["ssh-keygen", "-q", *kind, "-C", path.name, "-N", phrase, *arguments, "-f", path],
        check=True,
    )
    return path


def sign(authority: Path, key: Path, *arguments: str) -> Path:
    """A certificate for the key, beside it."""
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "it", "-n", "root", *arguments, f"{key}.pub"],
        check=True,
    )
    return Path(f"{key}-cert.pub")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty key directory."""
    made = tmp_path / "keys"
    made.mkdir(0o700)
    return made


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The path of an ssh-agent's socket."""
    path = str(tmp_path / "agent.sock")
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        assert process.stdout is not None
        # It listens before it says where.
        assert process.stdout.readline().startswith(b"SSH_AUTH_SOCK=")
        yield path
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def connected(path: str) -> socket.socket:
    """A connection to the agent, as a worker holds it."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(path)
    return sock


def identities(sock: socket.socket) -> int:
    """How many keys the agent offers on this connection (SSH_AGENTC_REQUEST_IDENTITIES)."""
    sock.sendall(b"\0\0\0\1\x0b")
    data = b""
    while len(data) < 9:
        more = sock.recv(65536)
        assert more, "the agent closed the connection"
        data += more
    while len(data) < 4 + int.from_bytes(data[:4]):
        data += sock.recv(65536)
    return int.from_bytes(data[5:9])


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """The journal lines since the last look."""
    return lambda: capsys.readouterr().err.splitlines()
