"""When what is typed is a secret."""

from __future__ import annotations

import os
import termios

import pytest

from relay_shell.shell import prompts, pty


@pytest.mark.parametrize(
    "shown",
    [
        b"[sudo] password for alice: ",
        b"x\r\nEnter passphrase for key '/root/.ssh/id_ed25519': ",
        b"\x1b[1mPassword:\x1b[0m ",
        b"Verification code: ",
        b"Enter PIN: ",
        b"Passwort: ",
        b"Please unlock disk cryptroot: ",
        b"Vault token> ",
    ],
)
def test_prompts_for_secrets(shown: bytes) -> None:
    assert prompts.prompts(shown)


@pytest.mark.parametrize(
    "shown",
    [
        b"",
        b"alice@host:~$ ",
        b"Password: \r\nalice@host:~$ ",
        b"changing the password\r\n",
        b"Continue? [y/N] ",
        b"mysql> ",
    ],
)
def test_other_prompts(shown: bytes) -> None:
    assert not prompts.prompts(shown)


def test_a_long_line_costs_little() -> None:
    assert not prompts.prompts(b"password" * 100_000)


def test_the_terminal_decides_without_words() -> None:
    master, path = pty.open_pty(24, 80)
    slave = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        flags = termios.tcgetattr(slave)

        def local(value: int) -> None:
            flags[3] = value
            termios.tcsetattr(slave, termios.TCSANOW, flags)

        both = flags[3]
        assert not prompts.secret(master, b"$ ")
        local(both & ~termios.ECHO)
        assert prompts.secret(master, b"$ ")
        # A line editor reads letter by letter and paints them itself.
        local(both & ~termios.ECHO & ~termios.ICANON)
        assert not prompts.secret(master, b"$ ")
        assert prompts.secret(master, b"bob@far's password: ")
    finally:
        os.close(slave)
        os.close(master)
    assert prompts.secret(master, b"$ "), "a terminal that cannot be asked hides"


def test_a_mask_tells_neither_text_nor_length() -> None:
    assert prompts.masked(b"a\r") == prompts.masked(b"abcdef\n") == b"[masked]\r"
    assert prompts.masked(b"abc") == b"[masked]"
