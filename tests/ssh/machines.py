"""Machines to reach: SSH servers on loopback, an ssh-agent with a key, an inventory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from relay_shell.shell.children import Children
from relay_shell.shell.confined import Enforcer
from relay_shell.shell.environment import Account
from relay_shell.shell.outputs import OutputStore
from relay_shell.shell.run import Shell
from relay_shell.ssh.fleet import Fleet
from relay_shell.ssh.reach import Route

SERVER = Path(__file__).with_name("server.py")


class Call:
    """A call as far as a run needs one."""

    def __init__(self) -> None:
        self.listening = True
        self.partial: Any = None
        self.said: list[str] = []

    def progress(self, message: str) -> None:
        self.said.append(message)


class Site:
    """A fleet with its machines."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.settings: dict[str, Any] = {
            "paths.inventory": str(place / "inventory.toml"),
            "paths.known_hosts": str(place / "known_hosts"),
            "ssh.connect_timeout": 60,
        }
        self.inventory: dict[str, dict[str, Any]] = {}
        self.processes: list[subprocess.Popen[str]] = []
        self.servers: dict[str, subprocess.Popen[str]] = {}
        self.agent = place / "agent"
        self.key = place / "id"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fleet", "-f", self.key],
            check=True,
        )
        self.started = self._start(["ssh-agent", "-D", "-a", str(self.agent)])
        assert self.started.stdout is not None and "SSH_AUTH_SOCK" in self.started.stdout.readline()
        self.add_key(self.key)

    def add_key(self, key: Path) -> None:
        env = os.environ | {"SSH_AUTH_SOCK": str(self.agent)}
        subprocess.run(["ssh-add", "-q", key], check=True, env=env)

    def new_key(self, name: str) -> Path:
        path = self.place / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return path

    def _start(self, argv: list[str]) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
        self.processes.append(process)
        return process

    def server(
        self,
        name: str,
        *,
        known: bool = True,
        listed_as: str = "",
        authorized: list[str] | None = None,
        host_key_file: Path | None = None,
        at: int = 0,
        sessions: int = 10,
        mute: bool = False,
        **row: Any,
    ) -> None:
        """Start a machine and enter it in the inventory, with `row` beside its address.

        Args:
            known: whether known_hosts gets its key, under `listed_as`.
            authorized: public keys that it lets in; by default that of the agent.
            host_key_file: its key; a new one by default.
            at: its port.
            sessions: most sessions at once on a connection.
            mute: it never says how a command ended.
        """
        host_key = host_key_file or self.new_key(f"host-{name}")
        public = [self.key.with_suffix(".pub").read_text()] if authorized is None else authorized
        options = {
            "host_key": str(host_key),
            "authorized": public,
            "port": at,
            "sessions": sessions,
            "mute": mute,
        }
        process = self._start([sys.executable, str(SERVER), json.dumps(options)])
        assert process.stdout is not None
        port = int(process.stdout.readline())
        self.servers[name] = process
        self.inventory[name] = {"address": "127.0.0.1", "port": port, "user": "deploy"} | row
        if known:
            key = " ".join(host_key.with_suffix(".pub").read_text().split()[:2])
            with open(self.settings["paths.known_hosts"], "a") as file:
                file.write(f"{listed_as or f'[127.0.0.1]:{port}'} {key}\n")
        self.write()

    def stop(self, name: str) -> None:
        """End a machine at once."""
        self.servers[name].kill()
        self.servers[name].wait()

    def write(self) -> None:
        """Write the inventory as it is now."""
        lines = []
        for name, row in self.inventory.items():
            lines += [f'[host."{name}"]', *(f"{key} = {json.dumps(row[key])}" for key in row)]
        (self.place / "inventory.toml").write_text("\n".join(lines) + "\n")

    @contextlib.asynccontextmanager
    async def fleet(self, **settings: Any) -> AsyncIterator[Fleet]:
        """A fleet in the running loop, with the agent on a passed descriptor."""
        self.settings.update(settings)
        account = Account()
        children = Children(None)
        outputs = OutputStore("w", self.settings, str(self.place))
        shell = Shell(children, outputs, account, self.settings, Enforcer(account, self.settings))
        with socket.socket(socket.AF_UNIX) as agent:
            agent.connect(str(self.agent))
            fleet = Fleet(self.settings, shell, agent.detach())
        self.outputs = outputs
        try:
            yield fleet
        finally:
            async with asyncio.timeout(60):
                await fleet.close()
            outputs.clear()
            shell.close()
            children.close()

    def close(self) -> None:
        for process in self.processes:
            assert process.stdin is not None and process.stdout is not None
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


async def route(fleet: Fleet, name: str) -> Route:
    """The way to one machine."""
    reached = await fleet.reach([name], one=True)
    assert reached.error is None
    return reached.routes[0]
