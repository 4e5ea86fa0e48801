"""The machines of the inventory, as the worker's tools use them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ..wire.errors import RelayError
from .inventory import Host, Inventory, listed_as, load
from .reach import Reached, Route, reach

if TYPE_CHECKING:
    from .command import Call, Done, Shell
    from .pool import Pool

INVENTORY = "/etc/relay-shell/inventory.toml"
KNOWN_HOSTS = "/etc/relay-shell/known_hosts"

ATTEMPTS = 8
"""Connections on which one command is tried, where it was refused before it ran: one may have died
unseen, or carry as many sessions as the host allows (MaxSessions of sshd_config(5))."""

ALGORITHMS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
"""Kinds of host keys that a scan asks for: those that sshd makes by itself (ssh-keygen -A)."""


class Fleet:
    """Reaches machines for a worker.

    Args:
        settings: the live mapping of settings.
        shell: keeps and redacts output.
        agent_fd: a connected descriptor of the key agent, -1 for none.
    """

    def __init__(self, settings: Mapping[str, Any], shell: Shell, agent_fd: int = -1) -> None:
        self._settings = settings
        self._shell = shell
        self._agent_fd = agent_fd
        self._pool: Pool | None = None
        self._inventory: Inventory | None = None
        self._read: tuple[int, int, int] | None = None

    def inventory(self) -> Inventory:
        """The inventory as it is now.

        Raises:
            RelayError: kind Config, if the file cannot be used.
        """
        path = str(self._settings.get("paths.inventory", INVENTORY))
        try:
            status = os.stat(path)
            now = (status.st_ino, status.st_mtime_ns, status.st_size)
        except OSError:
            now = None
        if self._inventory is None or now is None or now != self._read:
            self._inventory, self._read = load(path), now
        return self._inventory

    async def reach(self, words: Sequence[str], *, one: bool = False) -> Reached:
        """Which machines these words mean, and where they are; an error is part of the answer.

        Args:
            words: names, globs and @groups; with `one` a single name.
        """
        most = 0 if one else int(self._settings.get("limits.fanout", 100))
        try:
            return await reach(self.inventory(), words, most)
        except RelayError as error:
            return Reached(error=error)

    @staticmethod
    def fits(host: Host, patterns: Sequence[str] | None) -> bool:
        """Whether a grant covers a host, for a list; the broker decides when it is reached."""
        if patterns is None:
            return True
        for pattern in patterns:
            if "/" in pattern:
                with contextlib.suppress(ValueError):
                    if ipaddress.ip_address(host.address) in ipaddress.ip_network(pattern):
                        return True
            elif any(
                fnmatchcase(name.lower(), pattern.lower()) for name in (host.name, host.address)
            ):
                return True
        return False

    async def run(
        self,
        route: Route,
        command: str,
        call: Call,
        *,
        stdin: bytes = b"",
        timeout: float,
        max_output: int,
        merge_stderr: bool = False,
        keep: bool = True,
    ) -> Done:
        """Run a command on a machine; `timeout` seconds are for all of it.

        Raises:
            RelayError: kinds Unreachable, HostKey, HostAuth, Unavailable, Config, Busy and
                Timeout: nothing ran there.
        """
        from .command import run

        deadline = time.monotonic() + timeout
        for attempt in range(ATTEMPTS):
            try:
                async with asyncio.timeout(deadline - time.monotonic()) as bound:
                    async with self.pool.lane(route) as lane:
                        # From here on the command's own bound holds.
                        bound.reschedule(None)
                        try:
                            done = await run(
                                route.host.name,
                                lane.connection,
                                command,
                                self._shell,
                                call,
                                stdin=stdin,
                                timeout=max(0.001, deadline - time.monotonic()),
                                max_output=max_output,
                                merge_stderr=merge_stderr,
                                keep=keep,
                            )
                            if done.completed.timeout is not None:
                                done.completed.timeout = timeout
                            return done
                        except RelayError:
                            last = attempt == ATTEMPTS - 1
                            if last or (lane.alive and not lane.full()):
                                raise
            except TimeoutError:
                raise RelayError("Timeout", seconds=f"{timeout:g}") from None
        raise AssertionError

    async def check(self, route: Route) -> dict[str, Any]:
        """Connect and log in, and run nothing.

        Raises:
            RelayError: as `run`.
        """
        from .connect import printable
        from .hostkeys import print_of

        began = time.monotonic()
        async with self.pool.lane(route) as lane:
            connection = lane.connection
            peer = connection.get_extra_info("peername")
            key = connection.get_server_host_key()
            return {
                "address": str(peer[0]) if peer else "",
                "server": printable(str(connection.get_extra_info("server_version", ""))),
                "host_key": print_of(key),
                "ms": round((time.monotonic() - began) * 1000),
            }

    async def keys(self, route: Route) -> list[dict[str, str]]:
        """The host keys that a machine shows, and what is known of each; no login there.

        Raises:
            RelayError: as `run`.
        """
        from .connect import seen_key
        from .hostkeys import print_of

        host = route.host
        known = self.pool.known.find(host)
        patience = float(self._settings.get("ssh.connect_timeout", 10))
        found = []
        async with self.pool.before(route) as tunnel:
            for algorithm in ALGORITHMS:
                key = await seen_key(route, tunnel, algorithm, patience)
                if key is None:
                    continue
                text = key.export_public_key("openssh").decode().split()
                found.append(
                    {
                        "type": text[0],
                        "fingerprint": print_of(key),
                        "state": known.state(key),
                        "line": f"{listed_as(host)} {text[0]} {text[1]}",
                    }
                )
        if not found:
            raise RelayError("Unreachable", host=host.name, reason="it shows no host key")
        return found

    async def close(self) -> None:
        """End every connection."""
        if self._pool is not None:
            await self._pool.close()
            self._pool.keys.close()
        elif self._agent_fd >= 0:
            os.close(self._agent_fd)
        self._agent_fd = -1

    @property
    def pool(self) -> Pool:
        """The pool; asyncssh is imported by the first call that connects."""
        if self._pool is None:
            from .agent import KeyAgent
            from .hostkeys import KnownHosts
            from .pool import Pool

            known = KnownHosts(str(self._settings.get("paths.known_hosts", KNOWN_HOSTS)))
            self._pool = Pool(KeyAgent(self._agent_fd), known, self._settings)
        return self._pool
