"""Kernel facts of a peer, from real sockets and processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from relay_shell.broker import peer
from relay_shell.broker.peer import PeerError


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def test_the_other_end_is_this_process() -> None:
    left, right = pair()
    with left, right:
        found = peer.of(left)
    assert (found.pid, found.uid, found.gid) == (os.getpid(), os.geteuid(), os.getegid())
    assert set(found.groups) == set(os.getgroups())
    assert found.facts is not None and found.facts.parent == os.getppid()
    assert peer.runs(found.pid, found.start)
    assert not peer.runs(found.pid, found.start + 1)


def test_a_listener_and_a_network_socket_have_no_peer(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(PeerError):
        peer.of(sock)
    with socket.socket(socket.AF_INET) as sock, pytest.raises(PeerError, match="not a unix"):
        peer.of(sock)


CONNECTOR = """
import socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
sock.connect(sys.argv[1])
print("up", flush=True)
sys.stdin.read()
"""


def connector(path: Path) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A child that connects to us, and our end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen()
        child = subprocess.Popen(
            [sys.executable, "-c", CONNECTOR, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None and child.stdout.readline() == b"up\n"
        return child, listening.accept()[0]


def test_a_pidfd_tells_the_end_of_the_peer(tmp_path: Path) -> None:
    child, sock = connector(tmp_path / "s")
    with sock, child:
        found = peer.of(sock)
        assert found.pid == child.pid and found.facts is not None
        assert found.facts.parent == os.getpid()
        pidfd = peer.open_pidfd(sock, found.pid)
        assert peer.alive(pidfd)
        child.kill()
        child.wait()
        assert not peer.alive(pidfd)
        assert not peer.runs(found.pid, found.start)
        os.close(pidfd)


def test_a_peer_that_is_gone_has_credentials_but_no_facts(tmp_path: Path) -> None:
    child, sock = connector(tmp_path / "s")
    with sock, child:
        child.kill()
        child.wait()
        found = peer.of(sock)
    assert found.uid == os.geteuid()
    assert found.facts is None and found.unit == "" and found.start == 0


def test_a_process_name_with_parentheses_does_not_shift_the_facts(tmp_path: Path) -> None:
    # A process chooses its name (PR_SET_NAME), so it must not choose its parent by it.
    script = (
        "import ctypes,sys\n"
        "ctypes.CDLL(None).prctl(15, b'x) S 1 (y', 0, 0, 0)\n"
        "print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == b"up\n"
        assert Path(f"/proc/{child.pid}/comm").read_text() == "x) S 1 (y\n"
        assert peer.facts(child.pid).parent == os.getpid()
        child.kill()


@pytest.mark.parametrize(
    ("text", "cgroup"),
    [
        ("0::/system.slice/a.service\n", "/system.slice/a.service"),
        ("9:name=systemd:/system.slice/a.service\n4:memory:/x\n0::/\n", "/system.slice/a.service"),
        ("9:name=systemd:/\n0::/system.slice/a.service\n", "/system.slice/a.service"),
        ("1:cpu,cpuacct:/system.slice/b.service\n0::/\n", "/"),
        ("0::/a:b.service\n", "/a:b.service"),
        ("", ""),
    ],
)
def test_systemd_s_hierarchy_is_found(text: str, cgroup: str) -> None:
    assert peer.systemd_cgroup(text) == cgroup


WORKER = (
    "/system.slice/system-relay\\x2dshell\\x2dworker.slice/relay-shell-worker@0-12-1000.service"
)


@pytest.mark.parametrize(
    ("cgroup", "unit", "inner"),
    [
        ("/system.slice/relay-shell-front.service", "relay-shell-front.service", ""),
        (WORKER + "/main", "relay-shell-worker@0-12-1000.service", "main"),
        (WORKER + "/call-k-1/x", "relay-shell-worker@0-12-1000.service", "call-k-1/x"),
        # What a user manager's units are called is that user's choice.
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/relay-shell-front.service",
            "user@1000.service",
            "app.slice/relay-shell-front.service",
        ),
        ("/user.slice/user-1000.slice/session-4.scope", "session-4.scope", ""),
        ("/system.slice/_cpu.service", "cpu.service", ""),
        ("/system.slice/docker-abc.scope/relay-shell-front.service", "docker-abc.scope", None),
        # Outside of this cgroup namespace, and what is no unit at all.
        ("/../relay-shell-front.service", "", ""),
        ("/machine/relay-shell-front.service", "", ""),
        ("/relay-shell-front.serviceX", "", ""),
        ("/", "", ""),
        ("", "", ""),
    ],
)
def test_the_unit_is_the_first_component_that_is_no_slice(
    cgroup: str, unit: str, inner: str | None
) -> None:
    found, below = peer.unit_of(cgroup)
    assert found == unit
    if inner is not None:
        assert below == inner
