"""Whether what is typed now is a secret that the terminal does not show."""

from __future__ import annotations

import re
import termios

LINE = 400
"""Octets of the last output in which a prompt is looked for."""

_ICANON = int(termios.ICANON)
_ECHO = int(termios.ECHO)

_ESCAPES = re.compile(rb"\x1b(\[[0-?]{0,32}[ -/]{0,8}[@-~]|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]")
_PROMPT = re.compile(
    rb"(?:pass\s?(?:word|phrase|code)|passwort|kennwort|mot de passe|contrase|senha|parola|"
    rb"\bpin\b|one.time|\botp\b|verification code|authenticat|security code|token|secret|"
    rb"\bkey\b|unlock)[^\n]{0,120}[:?>]\s*$",
    re.IGNORECASE,
)


def secret(master: int, shown: bytes) -> bool:
    """Whether input to this terminal must not be recorded.

    A program that asks for a password switches ECHO off and leaves ICANON on (getpass(3)). A
    line editor has both off, and so has a program that paints a mask or passes the question on
    from another host: there the words of the prompt decide. A terminal that cannot be asked counts
    as one that hides.

    Args:
        master: the terminal's master.
        shown: the last output.
    """
    if prompts(shown):
        return True
    try:
        flags = termios.tcgetattr(master)[3]
    except (OSError, ValueError, termios.error):
        return True
    return not flags & _ECHO and bool(flags & _ICANON)


def prompts(shown: bytes) -> bool:
    """Whether the last line of the output asks for a secret."""
    line = _ESCAPES.sub(b"", shown[-LINE:]).rpartition(b"\n")[2]
    return _PROMPT.search(line) is not None


MASK = b"[masked]"


def masked(typed: bytes) -> bytes:
    """What is recorded of a secret: neither its text nor its length, but that it was sent off."""
    return MASK + (b"\r" if typed[-1:] in (b"\r", b"\n") else b"")
