"""Runs `broker_process.py` as a service manager would: sockets, notify socket, kill, restart."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from broker.office import Office, listening, until

SCRIPT = Path(__file__).with_name("broker_process.py")


class Machine(Office):
    """An office whose broker is a process; its sockets outlive it, as under systemd."""

    def __init__(self, root: Path, **changes: Any) -> None:
        super().__init__(root, **changes)
        (root / "etc").mkdir(exist_ok=True)
        self.listeners = [listening(self.settings[f"paths.{n}"]) for n in ("broker", "operator")]
        self.told: list[str] = []
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(root / "notify"))
        self._notify.setblocking(False)
        self.process: asyncio.subprocess.Process | None = None
        self.environ: dict[str, str] = {}

    async def start(self) -> None:
        """Start the broker and wait for READY=1."""
        asyncio.get_running_loop().add_reader(self._notify, self._hear)
        self.told.clear()
        for sock in self.listeners:
            sock.set_inheritable(True)
        fds = [sock.fileno() for sock in self.listeners]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SCRIPT),
            str(self.root),
            *map(str, fds),
            pass_fds=fds,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "NOTIFY_SOCKET": str(self.root / "notify"),
                **self.environ,
            },
        )
        await until(lambda: any("READY=1" in line for line in self.told), 30)

    def _hear(self) -> None:
        while True:
            try:
                self.told.append(self._notify.recv(65_536).decode())
            except BlockingIOError:
                return

    def states(self) -> list[str]:
        """The assignments that the manager was told, in order."""
        return [line for message in self.told for line in message.split("\n")]

    async def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; return the exit status."""
        assert self.process is not None
        self.process.terminate()
        async with asyncio.timeout(60):
            return await self.process.wait()

    async def close(self) -> None:
        for peer in self.peers:
            peer.link.close("the test ends")
        if self.process is not None and self.process.returncode is None:
            await self.kill()
        asyncio.get_running_loop().remove_reader(self._notify)
        for sock in (self.mcp, self._notify, *self.listeners, *self.clients):
            sock.close()


def tell_machine(
    root: Path, tell: Callable[[Machine], Awaitable[None]], toml: str = "", **environ: str
) -> None:
    """Run one scenario against a broker in its own process.

    Args:
        toml: its settings.
        environ: what is in its environment besides.
    """

    async def run() -> None:
        machine = Machine(root)
        machine.environ = environ
        if toml:
            (root / "etc" / "relay-shell.toml").write_text(toml)
        try:
            async with asyncio.timeout(120):
                await machine.start()
                await tell(machine)
        finally:
            await machine.close()

    asyncio.run(run())
