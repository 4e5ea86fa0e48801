"""Keys and terminals."""

from __future__ import annotations

import os
import struct
from fcntl import ioctl
from termios import TIOCGWINSZ

import pytest

from relay_shell.shell import pty
from relay_shell.wire.errors import RelayError


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
