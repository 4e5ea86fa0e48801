"""A real SSH server in a process of its own, for the client's tests: runs commands with sh(1).

Started with one JSON object: host_key (path), authorized (public keys), port, sessions (most at
once on a connection), mute (never says how a command ended). Prints its port. Each session gets a
process group, as sshd gives it, which signals of the client reach (RFC 4254 section 6.9). The
command "refused" is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncssh


class Session(asyncssh.SSHServerSession[bytes]):
    """One command."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.input: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.pid = 0
        self.command = ""

    def connection_made(self, chan: Any) -> None:
        self.chan = chan

    def exec_requested(self, command: str) -> bool:
        self.command = command
        return command != "refused"

    def session_started(self) -> None:
        self.task = asyncio.ensure_future(self.run())

    async def run(self) -> None:
        pipe, loop = subprocess.PIPE, asyncio.get_running_loop()
        child = subprocess.Popen(
            ["/bin/sh", "-c", self.command],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": "/"},
        )
        self.pid = child.pid
        feeding = asyncio.ensure_future(self.feed(child.stdin))
        reading = asyncio.gather(self.pump(child.stdout, None), self.pump(child.stderr, 1))
        status = await loop.run_in_executor(None, child.wait)
        self.server.open -= 1
        if self.server.options["mute"]:
            return
        if status >= 0:
            # sshd tells the status when the command ends, whoever still holds its output.
            self.chan._send_request(b"exit-status", status.to_bytes(4, "big"))
        await reading
        feeding.cancel()
        if status < 0:
            self.chan.exit_with_signal(signal.Signals(-status).name[3:])
        else:
            self.chan.close()

    async def feed(self, sink: Any) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while (data := await self.input.get()) is not None:
                await loop.run_in_executor(None, os.write, sink.fileno(), data)
            sink.close()

    async def pump(self, source: Any, kind: int | None) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.run_in_executor(None, os.read, source.fileno(), 65536):
            with contextlib.suppress(OSError):
                self.chan.write(data, kind)

    def data_received(self, data: bytes, datatype: Any) -> None:
        self.input.put_nowait(data)

    def eof_received(self) -> bool:
        self.input.put_nowait(None)
        return True

    def signal_received(self, name: str) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.Signals[f"SIG{name}"])


class Server(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.open = 0

    def begin_auth(self, username: str) -> bool:
        return True

    def session_requested(self) -> Session | bool:
        if self.open >= self.options["sessions"]:
            return False
        self.open += 1
        return Session(self)

    def connection_requested(self, *where: Any) -> bool:
        return True


async def main() -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(256))
    options = json.loads(sys.argv[1])
    keys = asyncssh.import_authorized_keys("\n".join(options["authorized"]))
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        options["port"],
        server_factory=lambda: Server(options),
        server_host_keys=[options["host_key"]],
        authorized_client_keys=keys,
        encoding=None,
    )
    print(acceptor.get_port(), flush=True)
    # The test that started it keeps the other end open for as long as it wants the server.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
