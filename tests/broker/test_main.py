"""The program's entry: what it refuses to start with, and how it says so."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

WRAPPER = """
export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES="$1"
a=$2 b=$3; shift 3
exec 103<&"$a" 104<&"$b"; exec 3<&103 4<&104; exec "$@"
"""


def broker(
    config: Path, names: str = "", kind: socket.SocketKind = socket.SOCK_SEQPACKET
) -> subprocess.CompletedProcess[str]:
    """Run relay-shell-broker to its end, with two listening sockets if they are named."""
    argv = [sys.executable, "-m", "relay_shell.broker", "--config", str(config)]
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
    socks = []
    for n in range(2 if names else 0):
        sock = socket.socket(socket.AF_UNIX, kind)
        sock.bind(str(config / f"{n}.sock"))
        sock.listen()
        socks.append(sock)
    fds = [sock.fileno() for sock in socks]
    if names:
        argv = ["bash", "-c", WRAPPER, "bash", names, *map(str, fds), *argv]
    try:
        return subprocess.run(
            argv, env=env, capture_output=True, text=True, timeout=60, pass_fds=fds, check=False
        )
    finally:
        for sock in socks:
            sock.close()


def test_bad_settings_are_listed_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "relay-shell.toml").write_text('[policy]\nmode = "wild"\n\n[limit]\ncalls = 1\n')
    done = broker(tmp_path)
    assert done.returncode == 78
    assert "relay-shell.toml:2" in done.stderr and "relay-shell.toml:4" in done.stderr
    assert all(line.startswith("<3>") for line in done.stderr.splitlines())


def test_without_sockets_it_says_how_to_start_it(tmp_path: Path) -> None:
    done = broker(tmp_path)
    assert done.returncode == 78
    assert "no socket named broker or operator" in done.stderr
    assert "relay-shell.service" in done.stderr


@pytest.mark.parametrize(
    ("names", "kind", "why"),
    [
        ("broker:broker", socket.SOCK_SEQPACKET, "unexpected socket 'broker'"),
        ("broker:other", socket.SOCK_SEQPACKET, "unexpected socket 'other'"),
        ("broker:operator", socket.SOCK_STREAM, "ListenSequentialPacket="),
    ],
)
def test_sockets_that_do_not_fit_are_named(
    tmp_path: Path, names: str, kind: socket.SocketKind, why: str
) -> None:
    done = broker(tmp_path, names, kind)
    assert done.returncode == 78 and why in done.stderr


def test_missing_accounts_are_named(tmp_path: Path) -> None:
    try:
        import pwd

        pwd.getpwnam("relay-shell-front")
        pytest.skip("relay-shell is installed here")
    except KeyError:
        pass
    done = broker(tmp_path, "broker:operator")
    assert done.returncode == 78
    assert "relay-shell-front" in done.stderr and "systemd-sysusers" in done.stderr


def test_nothing_that_parses_mcp_or_executes_is_imported() -> None:
    script = (
        "import sys, relay_shell.broker.__main__, relay_shell.broker.service;"
        "bad = ('mcp', 'asyncssh', 'multiprocessing', 'pty',"
        " 'relay_shell.front', 'relay_shell.worker', 'relay_shell.tools',"
        " 'relay_shell.shell', 'relay_shell.ssh', 'relay_shell.cli');"
        "print([name for name in bad if name in sys.modules])"
    )
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
