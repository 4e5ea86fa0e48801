"""Pseudo-terminals (pty(7)): the master's end, and the keys that a person would press."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from ..wire.errors import RelayError

_IUTF8 = 0o40000
"""Erase whole characters in canonical mode (termios(3)); Python's termios does not name it."""

_TIOCSPTLCK = 0x40045431
_TIOCGPTN = 0x80045430

_KEYS = {
    "enter": "\r",
    "return": "\r",
    "tab": "\t",
    "backtab": "\x1b[Z",
    "space": " ",
    "esc": "\x1b",
    "escape": "\x1b",
    "backspace": "\x7f",
    "bspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[1~",
    "insert": "\x1b[2~",
    "delete": "\x1b[3~",
    "end": "\x1b[4~",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "f1": "\x1b[[A",
    "f2": "\x1b[[B",
    "f3": "\x1b[[C",
    "f4": "\x1b[[D",
    "f5": "\x1b[[E",
    "f6": "\x1b[17~",
    "f7": "\x1b[18~",
    "f8": "\x1b[19~",
    "f9": "\x1b[20~",
    "f10": "\x1b[21~",
    "f11": "\x1b[23~",
    "f12": "\x1b[24~",
}
"""What the keys send on TERM=linux (terminfo(5), entry linux)."""


def key(name: str) -> str:
    """The characters of one key: a name of the table, "C-x" (or "^X"), "M-x", or a character.

    Raises:
        RelayError: kind InvalidArguments, for a key that there is not.
    """
    if len(name) == 1:
        return name
    known = _KEYS.get(name.lower())
    if known is not None:
        return known
    if name[:2] in ("M-", "m-"):
        return "\x1b" + key(name[2:] or "-")
    character = name[1:] if name[0] == "^" else name[2:] if name[:2] in ("C-", "c-") else ""
    if character == "?":
        return "\x7f"
    if len(character) == 1 and "@" <= character.upper() <= "_":
        return chr(ord(character.upper()) - 64)
    if character.lower() == "space":
        return "\0"
    raise RelayError(
        "InvalidArguments",
        reason=f"no key {name[:32]!r}; there are C-<letter>, M-<key>, {', '.join(sorted(_KEYS))}",
    )


def open_pty(rows: int, columns: int) -> tuple[int, str]:
    """Make a terminal; return the master's descriptor, non-blocking, and the slave's path.

    Raises:
        OSError: no terminal is left (/proc/sys/kernel/pty/max).
    """
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    master = os.open("/dev/ptmx", flags)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        (number,) = struct.unpack("i", fcntl.ioctl(master, _TIOCGPTN, bytes(4)))
        attributes = termios.tcgetattr(master)
        attributes[0] |= _IUTF8
        termios.tcsetattr(master, termios.TCSANOW, attributes)
        resize(master, rows, columns)
    except BaseException:
        os.close(master)
        raise
    return master, f"/dev/pts/{number}"


def resize(master: int, rows: int, columns: int) -> None:
    """Set the size; the foreground process group gets SIGWINCH if it changes (tty_ioctl(4))."""
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
