"""Speak with the service manager: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).

The three protocols are declared stable by systemd and are datagrams and environment variables.
systemd.daemon.notify blocks while the manager does not read; a status line or a watchdog ping
must never hold up an event loop, so the datagram is sent here.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

FIRST_FD = 3
"""SD_LISTEN_FDS_START."""


def notify(*lines: str, fds: Sequence[int] = (), timeout: float = 5.0) -> bool:
    """Send assignments such as "READY=1" to the service manager.

    Args:
        fds: descriptors to pass (with "FDSTORE=1").
        timeout: seconds to wait while the manager's queue is full; 0 drops the message then.

    Returns:
        False if there is no manager to tell, or it did not take the message.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    if address[0] == "@":
        address = "\0" + address[1:]
    data = "\n".join(lines).encode("utf-8", "replace")
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.setblocking(False)
        try:
            sock.connect(address)
            while True:
                try:
                    socket.send_fds(sock, [data], list(fds))
                    return True
                except BlockingIOError:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return False
                    select.select([], [sock], [], min(left, 0.1))
        except OSError:
            return False


def status(text: str) -> bool:
    """Set the line that `systemctl status` shows; never waits."""
    return notify("STATUS=" + text.replace("\n", " "), timeout=0)


def ready(text: str = "") -> bool:
    """Say that start-up or a reload is complete."""
    return notify("READY=1", *(["STATUS=" + text.replace("\n", " ")] if text else []))


def reloading() -> bool:
    """Say that a reload begins (sd_notify(3), RELOADING=1)."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping(text: str = "") -> bool:
    """Say that the shutdown begins."""
    return notify("STOPPING=1", *(["STATUS=" + text.replace("\n", " ")] if text else []))


def watchdog() -> bool:
    """Say that the loop is alive; never waits."""
    return notify("WATCHDOG=1", timeout=0)


def watchdog_interval() -> float:
    """Seconds between two watchdog pings (half of WATCHDOG_USEC), 0 where none is expected."""
    pid = os.environ.get("WATCHDOG_PID", "")
    if pid and pid != str(os.getpid()):
        return 0.0
    try:
        return max(0, int(os.environ.get("WATCHDOG_USEC", "0"))) / 2_000_000
    except ValueError:
        return 0.0


def keep_alive(loop: asyncio.AbstractEventLoop) -> None:
    """Ping the watchdog for as long as `loop` turns; nothing where no ping is expected."""
    interval = watchdog_interval()

    def ping() -> None:
        watchdog()
        loop.call_later(interval, ping)

    if interval:
        ping()


def store(name: str, fd: int) -> bool:
    """Put a descriptor into the manager's fd store (FileDescriptorStoreMax=) under `name`."""
    return notify("FDSTORE=1", f"FDNAME={name}", fds=[fd])


def unstore(name: str) -> bool:
    """Take the descriptors of that name out of the fd store."""
    return notify("FDSTOREREMOVE=1", f"FDNAME={name}")


def listen_fds() -> list[tuple[str, int]]:
    """Take over the descriptors that the manager passed, as (FileDescriptorName=, fd).

    They are made close-on-exec and the environment variables are removed, so that a second call
    or a child never claims them again.
    """
    pid = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    found = []
    for n in range(int(count)):
        fd = FIRST_FD + n
        os.set_inheritable(fd, False)
        name = names[n] if n < len(names) and names[n] else "unknown"
        found.append((name, fd))
    return found
