"""Ring, keys, terminal and screen."""

from __future__ import annotations

import asyncio
import os
import struct
from fcntl import ioctl
from termios import TIOCGWINSZ

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.shell import pty
from relay_shell.shell.ring import Ring
from relay_shell.shell.screen import Screen
from relay_shell.wire.errors import RelayError


@given(st.lists(st.binary(max_size=50), max_size=40), st.integers(1, 60), st.integers(0, 2000))
def test_ring_addresses_by_the_streams_own_offsets(
    chunks: list[bytes], size: int, offset: int
) -> None:
    ring = Ring(size)
    for chunk in chunks:
        ring.append(chunk)
    whole = b"".join(chunks)
    assert ring.end == len(whole)
    assert ring.end - ring.start >= min(size, len(whole))
    assert ring.end - ring.start <= 2 * size
    assert ring.read(offset) == whole[max(offset, ring.start) :]
    assert ring.read(offset, 7) == whole[max(offset, ring.start) :][:7]


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("C-c", "\x03"),
        ("c-C", "\x03"),
        ("^D", "\x04"),
        ("C-[", "\x1b"),
        ("C-?", "\x7f"),
        ("C-space", "\0"),
        ("enter", "\r"),
        ("Enter", "\r"),
        ("up", "\x1b[A"),
        ("F12", "\x1b[24~"),
        ("M-x", "\x1bx"),
        ("M-C-a", "\x1b\x01"),
        ("q", "q"),
        ("\u20ac", "\u20ac"),
    ],
)
def test_keys(name: str, sent: str) -> None:
    assert pty.key(name) == sent


@pytest.mark.parametrize("name", ["C-", "C-\u20ac", "hyper-x", "f13", "^", "M-nothing"])
def test_keys_that_there_are_not(name: str) -> None:
    if name == "^":
        assert pty.key(name) == "^"
        return
    with pytest.raises(RelayError, match="no key"):
        pty.key(name)


def test_terminal_has_its_size_and_erases_whole_characters() -> None:
    master, slave = pty.open_pty(30, 100)
    fd = os.open(slave, os.O_RDWR | os.O_NOCTTY)
    try:
        assert struct.unpack("HHHH", ioctl(fd, TIOCGWINSZ, bytes(8)))[:2] == (30, 100)
        pty.resize(master, 10, 20)
        assert struct.unpack("HHHH", ioctl(fd, TIOCGWINSZ, bytes(8)))[:2] == (10, 20)
        os.write(master, "a\u20ac\x7fb\n".encode())
        assert os.read(fd, 100) == b"ab\n"
    finally:
        os.close(fd)
        os.close(master)


def test_screen_takes_anything_and_goes_on() -> None:
    async def main() -> None:
        ring = Ring(100_000)
        screen = Screen(5, 20)
        for hostile in (
            b"\x1b[999999999;999999999H",
            b"\x1b[1;2;3;4;5;6;7;8;9c\x1b[?1;2;3h",
            b"\x1b[" + b"9" * 5000 + b"A",
            b"\x1b[>1;2c\x1b[=5u\x1b[0;0;0r\x1b[-1K",
            bytes(range(256)) * 4,
        ):
            ring.append(hostile)
            await screen.look(ring, 5, 20)
        ring.append(b"\x18\x1b\\\x07\x1bc\x1b[2J\x1b[Hstill here")
        facts = await screen.look(ring, 5, 20)
        assert facts["lines"] == ["still here"]

    asyncio.run(main())


def test_screen_that_lost_its_past_starts_afresh() -> None:
    async def main() -> None:
        ring = Ring(50)
        screen = Screen(3, 30)
        ring.append(b"first picture")
        assert (await screen.look(ring, 3, 30))["lines"] == ["first picture"]
        ring.append(b"x" * 500 + b"\x1b[2J\x1b[Hnew")
        assert (await screen.look(ring, 3, 30))["lines"] == ["new"]

    asyncio.run(main())
