"""Where exported events go: a file, standard output, or a syslog receiver.

On TCP and TLS an event counts as sent when the receiver's kernel has acknowledged it (SIOCOUTQ,
tcp(7)), as syslog itself has no acknowledgement: what was under way when a connection breaks is
sent again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

from ..evidence.syslog import counted
from ..wire.errors import RelayError

TIMEOUT = 30.0
"""Seconds to connect, and for the receiver to take what was sent."""

SETTLE = 10.0
"""Seconds that a receiver without session tickets costs at most, once a connection."""

TLS_PORT = 6514
SHORTEST = 512
"""Bytes that any datagram holds."""

_SIOCOUTQ = 0x5411
KINDS = ("unix", "udp", "tcp", "tls")


class Address(NamedTuple):
    """A receiver: for unix the path is in `host`."""

    kind: str
    host: str
    port: int

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}:{host}:{self.port}"


def address(text: str) -> Address:
    """The receiver named by unix:PATH, udp:HOST:PORT, tcp:HOST:PORT or tls:HOST[:PORT].

    Raises:
        ValueError: it is none of these.
    """
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest.startswith("/"):
        return Address(kind, rest, 0)
    if kind in KINDS[1:] and rest and "/" not in rest and "@" not in rest:
        parts = urlsplit(f"//{rest}")
        port = parts.port or (TLS_PORT if kind == "tls" else 0)
        if parts.hostname and port and not parts.query and not parts.fragment:
            return Address(kind, parts.hostname, port)
    raise ValueError(f"{text!r} is not unix:PATH, udp:HOST:PORT, tcp:HOST:PORT or tls:HOST[:PORT]")


class Tls(NamedTuple):
    """Files for TLS: the CA of the receiver (None for the system's), our certificate and key."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or later; the receiver's certificate must be of the CA and name the host.

        Raises:
            RelayError: InvalidArguments, if a file cannot be used.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.cert:
                # Never asks for a passphrase: a service could not answer.
                context.load_cert_chain(self.cert, self.key, password=lambda: "")
        except (ssl.SSLError, OSError) as error:
            named = ", ".join(name for name in self if name)
            raise RelayError("InvalidArguments", reason=f"{named}: {error}") from None
        return context


class Target:
    """Takes messages; `send` returns when they are out of this host's hands or on its disk.

    Raises (all methods):
        OSError: not all were taken; which is not known.
    """

    returns = True
    """Whether what cannot be sent now may be sent later; not so for a pipe whose reader is gone."""

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages, in order."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of it; what is open again is opened at the next `send`."""


class Lines(Target):
    """A message a line, on a file or on standard output."""

    def __init__(self, file: IO[bytes], *, durable: bool = False) -> None:
        self._file = file
        self._durable = self.returns = durable

    def send(self, messages: Sequence[bytes]) -> None:
        self._file.write(b"".join(message + b"\n" for message in messages))
        self._file.flush()
        if self._durable:
            os.fsync(self._file.fileno())


def appended(path: Path) -> Lines:
    """A file that is appended to, made with mode 0600; a line that was cut off is ended first."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return Lines(file, durable=True)


class Datagrams(Target):
    """A message a datagram (RFC 5426, or /dev/log)."""

    def __init__(self, to: Address) -> None:
        self._to = to
        self._sock: socket.socket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        if self._sock is None:
            self._sock = self._connected()
        for message in messages:
            self._send(self._sock, message)

    def _send(self, sock: socket.socket, message: bytes) -> None:
        """Send one. What no datagram holds is cut, for nothing must keep back the others; its
        number leads to the whole record."""
        size = len(message)
        while True:
            try:
                sock.send(message if size == len(message) else _cut(message, size))
                return
            except OSError as error:
                if error.errno != errno.EMSGSIZE or size < SHORTEST:
                    raise
                size = min(size * 3 // 4, 65000)

    def _connected(self) -> socket.socket:
        if self._to.kind == "unix":
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            where: Any = self._to.host
        else:
            found = socket.getaddrinfo(self._to.host, self._to.port, type=socket.SOCK_DGRAM)
            family, _, _, _, where = found[0]
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            sock.settimeout(TIMEOUT)
            sock.connect(where)
        except BaseException:
            sock.close()
            raise
        return sock

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _cut(message: bytes, size: int) -> bytes:
    return message[:size].decode("utf-8", "ignore").encode()


class Octets(Target):
    """Messages on a TCP or TLS connection, by octet counting."""

    def __init__(self, to: Address, context: ssl.SSLContext | None = None) -> None:
        self._to = to
        self._context = context
        self._sock: socket.socket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        if self._sock is not None and self._gone():
            self.close()
        if self._sock is None:
            self._sock = self._connected()
        self._sock.sendall(b"".join(counted(message) for message in messages))
        self._drain()

    def _connected(self) -> socket.socket:
        sock = socket.create_connection((self._to.host, self._to.port), TIMEOUT)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(TIMEOUT * 1000))
            if self._context is None:
                return sock
            # From here on the descriptor is the new object's.
            sock = secured = self._context.wrap_socket(sock, server_hostname=self._to.host)
            _settle(secured)
            return secured
        except BaseException:
            sock.close()
            raise

    def _gone(self) -> bool:
        """Whether the receiver has ended the connection. It has nothing to say else, but for what
        TLS itself says."""
        sock = self._sock
        assert sock is not None
        sock.setblocking(False)
        try:
            while select.select([sock], [], [], 0)[0] or self._context is not None:
                if not sock.recv(4096):
                    return True
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            with contextlib.suppress(OSError):
                sock.settimeout(TIMEOUT)
        return False

    def _drain(self) -> None:
        sock = self._sock
        assert sock is not None
        deadline, pause = time.monotonic() + TIMEOUT, 0.0005
        while struct.unpack("i", fcntl.ioctl(sock.fileno(), _SIOCOUTQ, b"\0" * 4))[0]:
            if time.monotonic() > deadline:
                raise TimeoutError(110, f"the receiver took nothing for {TIMEOUT:g} s")
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        if self._gone():
            raise ConnectionResetError(104, "the receiver ended the connection")

    def close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is None:
            return
        if isinstance(sock, ssl.SSLSocket):
            # RFC 5425, section 4.4: close_notify before the connection ends.
            with contextlib.suppress(OSError, ValueError):
                sock.settimeout(2)
                sock.unwrap()
        sock.close()


def _settle(sock: ssl.SSLSocket) -> None:
    """Wait until the receiver has judged our certificate. In TLS 1.3 the handshake is done for us
    before that; what it then says first is a session ticket, or that it refuses (RFC 8446, 4.6.1
    and 4.4.2.4). One that gives no tickets says nothing, and is taken to agree.

    Raises:
        OSError: it refuses.
    """
    if sock.version() != "TLSv1.3":
        return
    deadline = time.monotonic() + SETTLE
    sock.setblocking(False)
    while (left := deadline - time.monotonic()) > 0 and select.select([sock], [], [], left)[0]:
        with contextlib.suppress(ssl.SSLWantReadError):
            if not sock.recv(4096):
                raise ConnectionResetError(104, "the receiver ended the connection")
        if sock.session is not None and sock.session.has_ticket:
            break
    sock.settimeout(TIMEOUT)


def receiver(to: Address, tls: Tls) -> Target:
    """The target for an address."""
    if to.kind in ("unix", "udp"):
        return Datagrams(to)
    return Octets(to, tls.context() if to.kind == "tls" else None)
