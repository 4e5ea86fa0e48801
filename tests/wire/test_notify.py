"""The service manager's protocols, against a datagram socket that stands for the manager."""

from __future__ import annotations

import array
import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_shell.wire import notify


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Listen where NOTIFY_SOCKET points."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_without_a_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify.ready() is False
    monkeypatch.setenv("NOTIFY_SOCKET", "relative/path")
    assert notify.ready() is False
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/notify")
    assert notify.ready() is False


def test_ready_carries_a_one_line_status(manager: socket.socket) -> None:
    assert notify.ready("two\nlines")
    assert manager.recv(4096) == b"READY=1\nSTATUS=two lines"


def test_reloading_states_the_monotonic_time(manager: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    assert notify.reloading()
    first, second = manager.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_an_abstract_socket_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"relay-shell-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        assert notify.status("busy")
        assert sock.recv(4096) == b"STATUS=busy"


def test_store_passes_the_descriptor(manager: socket.socket, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("content")
    with kept.open() as file:
        assert notify.store("worker-abc", file.fileno())
    data, fds, _, _ = socket.recv_fds(manager, 4096, 4)
    assert data == b"FDSTORE=1\nFDNAME=worker-abc"
    with os.fdopen(array.array("i", fds)[0]) as received:
        assert received.read() == "content"


def test_a_full_queue_drops_a_status_and_does_not_wait(manager: socket.socket) -> None:
    sent = 0
    while notify.status("x" * 1000):
        sent += 1
        assert sent < 100_000
    for _ in range(sent):
        manager.recv(4096)
    assert notify.status("y")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_watchdog_interval(
    environment: dict[str, str], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert notify.watchdog_interval() == seconds


def test_a_turning_loop_keeps_the_watchdog_quiet(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> list[bytes]:
        loop = asyncio.get_running_loop()
        notify.keep_alive(loop)
        manager.setblocking(False)
        return [await loop.sock_recv(manager, 4096) for _ in range(3)]

    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    assert asyncio.run(main()) == [b"WATCHDOG=1"] * 3


def test_without_a_watchdog_nothing_is_sent(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        notify.keep_alive(asyncio.get_running_loop())

    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    asyncio.run(main())
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


LISTENER = """
import os, sys
from relay_shell.wire import notify
print(notify.listen_fds(), notify.listen_fds(), os.get_inheritable(3),
      [name for name in os.environ if name.startswith("LISTEN_")])
"""


def _activated(prelude: str) -> str:
    done = subprocess.run(
        [
            "bash",
            "-c",
            f'{prelude}; exec 3</dev/null 4</dev/null; exec "$0" -c "$1"',
            sys.executable,
            LISTENER,
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return done.stdout.strip()


def test_descriptors_are_taken_once_and_by_name() -> None:
    printed = _activated("export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=broker:operator")
    assert printed == "[('broker', 3), ('operator', 4)] [] False []"


def test_a_descriptor_without_a_name_is_unknown() -> None:
    printed = _activated("export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=broker")
    assert printed == "[('broker', 3), ('unknown', 4)] [] False []"


def test_descriptors_for_another_process_are_left_alone() -> None:
    printed = _activated("export LISTEN_PID=1 LISTEN_FDS=2 LISTEN_FDNAMES=broker:operator")
    assert printed.startswith("[] []")
