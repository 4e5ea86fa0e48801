"""What runs on this host, as tests look for it."""

from __future__ import annotations

import contextlib
import os


def mark(number: int) -> str:
    """A number that another run of the tests on this host does not have: seconds of a sleep(1)
    that is looked for. None begins with another."""
    return f"{number}{os.getpid():07}"


def processes_with(text: str) -> list[int]:
    """Pids of other living processes whose command line contains a text."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                if text.encode() in file.read():
                    found.append(int(name))
    return found
