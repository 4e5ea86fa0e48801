"""The first packet decides the role that is then checked; places are bounded."""

from __future__ import annotations

import asyncio
import socket

import pytest

from relay_shell.broker.handshake import PENDING, Origin, Pending, role_of
from relay_shell.wire.errors import RelayError
from relay_shell.wire.frame import encode


def role(*packets: bytes, close: bool = False, timeout: float = 5) -> str:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    right.setblocking(False)
    with left, right:
        for packet in packets:
            left.send(packet)
        if close:
            left.close()
        found = asyncio.run(role_of(right, timeout))
        assert right.recv(70000) == packets[0], "the hello stays for the link to read"
        return found


@pytest.mark.parametrize("name", ["front", "worker", "operator"])
def test_a_hello_names_its_role(name: str) -> None:
    hello = encode({"m": f"hello_{name}", "i": 1, "b": {"version": 1}})
    assert role(*hello) == name
    assert role(*hello, b"\x03{}", close=True) == name


@pytest.mark.parametrize(
    "packet",
    [
        b"\x03{}",
        b"\x03[]",
        b"\x03nothing",
        b"\x01" + b'{"m":"hello_front"}',
        b"\x03" + b'{"m":["hello_front"]}',
        b"\x03" + b'{"m":"begin"}',
        b"\x03" + b"[" * 60000,
        b"\xff\x00",
        b"\x03",
        encode({"m": "hello_front", "x": "y" * 100_000})[0],
    ],
)
def test_anything_else_is_no_hello(packet: bytes) -> None:
    with pytest.raises(RelayError, match="no hello"):
        role(packet)


def test_silence_and_departure_are_told_apart() -> None:
    with pytest.raises(RelayError, match=r"no hello in 0\.05 s"):
        role(timeout=0.05)
    with pytest.raises(RelayError, match="closed without a hello"):
        role(close=True)


def test_descriptors_on_the_hello_are_not_taken_by_the_look() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    right.setblocking(False)
    (hello,) = encode({"m": "hello_front", "i": 1, "b": {"version": 1}})
    with left, right:
        socket.send_fds(left, [hello], [0])
        before = set_of_fds()
        assert asyncio.run(role_of(right, 5)) == "front"
        assert set_of_fds() == before


def set_of_fds() -> int:
    import os

    return len(os.listdir("/proc/self/fd"))


def test_one_account_cannot_take_all_places() -> None:
    pending = Pending()
    for _ in range(PENDING // 2):
        pending.take(1000)
    with pytest.raises(RelayError, match="too many links"):
        pending.take(1000)
    for _ in range(PENDING // 2):
        pending.take(1001)
    with pytest.raises(RelayError):
        pending.take(1002)
    pending.leave(1000)
    pending.take(1002)
    assert len(pending) == PENDING


def test_the_origin_inside_one_process_is_this_process() -> None:
    import os

    origin = Origin.local()
    assert origin.listener == "local" and origin.peer.pid == os.getpid()
