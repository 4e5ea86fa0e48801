"""The sockets that links run over."""

from __future__ import annotations

import asyncio
import socket


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends for links inside one process (standalone composition, tests)."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


async def connect(path: str, timeout: float = 5.0) -> socket.socket:
    """Connect to a listening SOCK_SEQPACKET socket.

    Raises:
        OSError: it does not exist, may not be used, or nobody accepts within `timeout` seconds.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    sock.setblocking(False)
    try:
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            try:
                sock.connect(path)
                return sock
            except BlockingIOError:
                # unix(7): a full backlog answers EAGAIN and the socket never becomes writable.
                if asyncio.get_running_loop().time() > deadline:
                    raise TimeoutError(f"{path}: backlog is full") from None
                await asyncio.sleep(0.01)
    except BaseException:
        sock.close()
        raise
