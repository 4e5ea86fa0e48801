"""Receivers of syslog on loopback, and certificates for them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Receiver:
    """Takes TCP or TLS connections and notes each octet-counted message."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.messages: list[bytes] = []
        self.context = context
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
                if self.context is not None:
                    sock = self.context.wrap_socket(sock, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            self._connections.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        rest = b""
        try:
            while chunk := sock.recv(65536):
                rest += chunk
                while b" " in rest[:12]:
                    length, _, body = rest.partition(b" ")
                    if len(body) < int(length):
                        break
                    self.messages.append(body[: int(length)])
                    rest = body[int(length) :]
        except OSError:
            return
        finally:
            sock.close()

    def close(self) -> None:
        """Be away: no new connection, and the present ones end."""
        # A thread in accept(2) keeps a closed listener alive.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)
    return found


def authority(directory: Path, *names: str) -> None:
    """A CA and certificates of these names for 127.0.0.1, made by openssl(1)."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    ca = ("-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=ca", *ca)
    (directory / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext")
    for name in names:
        openssl(
            "req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"
        )
        openssl("x509", "-req", "-in", f"{name}.csr", *by, "-out", f"{name}.pem")
