"""An inventory, and `relay-shell ssh` on it; a server whose host keys can be exchanged."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

import asyncssh

FLEET = """
[defaults]
user = "deploy"
[host.web1]
address = "127.0.0.1"
port = {port}
groups = ["web"]
description = "front end"
[host.alias]
address = "127.0.0.1"
port = {port}
host_key = "Other"
[host.closed]
address = "127.0.0.1"
port = {closed}
[host.inside]
address = "192.0.2.1"
jump = "web1"
groups = ["web"]
"""


class Done(Protocol):
    """What a run of the command left."""

    out: str
    err: str
    status: int


class Server:
    """An SSH server on the loopback address."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        # It listens all the time, so that no other process can get the port.
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._keys: list[asyncssh.SSHKey] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._call(self._start())

    def show(self, *kinds: str) -> list[str]:
        """Serve with new keys of these kinds from now on; returns them as 'type base64'."""
        self._keys = [asyncssh.generate_private_key(kind) for kind in kinds]
        return [" ".join(key.export_public_key().decode().split()[:2]) for key in self._keys]

    async def _start(self) -> None:
        self._keep(self._accept())

    async def _accept(self) -> None:
        while True:
            connection, _ = await self._loop.sock_accept(self._listener)
            self._keep(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            await asyncssh.run_server(connection, server_host_keys=self._keys)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        async def end() -> None:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._listener.close()


class Fleet:
    """An inventory, and the command that reads it."""

    def __init__(self, root: Path, cli: Callable[..., Done]) -> None:
        self._cli = cli
        self.inventory = root / "inventory.toml"
        self.known_hosts = root / "known_hosts"
        self.env = {
            "RELAY_SHELL_CONFIG": str(root),
            "RELAY_SHELL_PATHS_INVENTORY": str(self.inventory),
            "RELAY_SHELL_PATHS_KNOWN_HOSTS": str(self.known_hosts),
            # A busy machine is not an unreachable host.
            "RELAY_SHELL_SSH_CONNECT_TIMEOUT": "120",
        }

    def write(self, port: int, closed: int = 1) -> None:
        self.inventory.write_text(FLEET.format(port=port, closed=closed))
        self.inventory.chmod(0o644)

    def __call__(self, *words: str, stdin: str = "") -> Done:
        return self._cli("ssh", *words, env=self.env, stdin=stdin)

    def trusted(self) -> list[str]:
        return self.known_hosts.read_text().splitlines()


def fingerprint(key: str) -> str:
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
