"""The front as systemd runs it: descriptors passed, notifications, idle exit, SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from front.peers import BOUND, PRINCIPAL, Broker, Raw, Worker, initialize, listener, until

SRC = Path(__file__).parents[2] / "src"


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario, 300))


class Manager:
    """What of systemd a service can see: sockets, NOTIFY_SOCKET, the fd store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broker = Broker()
        self.begun: list[Worker] = []
        self.said: list[str] = []
        self.stored: dict[str, int] = {}
        self.fronts: list[asyncio.subprocess.Process] = []
        self.mcp = socket.socket(socket.AF_UNIX)
        self.mcp.bind(str(path / "mcp.sock"))
        self.mcp.listen(512)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(path / "notify"))
        self.notify.setblocking(False)
        self.open = [
            listener(path / "broker.sock", socket.SOCK_SEQPACKET, self.broker.serve),
            listener(
                path / "worker.sock",
                socket.SOCK_SEQPACKET,
                lambda sock: self.begun.append(Worker(self.broker, sock)),
            ),
            self.mcp,
            self.notify,
        ]
        asyncio.get_running_loop().add_reader(self.notify, self._notified)

    def _notified(self) -> None:
        data, fds, _, _ = socket.recv_fds(self.notify, 4096, 4)
        lines = data.decode().splitlines()
        self.said += lines
        names = [line.partition("=")[2] for line in lines if line.startswith("FDNAME=")]
        if "FDSTORE=1" in lines:
            self.stored[names[0]] = fds[0]
        elif "FDSTOREREMOVE=1" in lines:
            os.close(self.stored.pop(names[0]))

    async def start(self, **environment: str) -> asyncio.subprocess.Process:
        """Start the front with the listener and what is in the store as descriptors 3 and on."""
        fds = [self.mcp.fileno(), *self.stored.values()]
        names = ":".join(["clients", *self.stored])
        # Descriptors move to 3 and on, and LISTEN_PID must be the front's own.
        code = (
            "import fcntl, os, sys\n"
            f"fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in {fds!r}]\n"
            "for n, fd in enumerate(fds): os.dup2(fd, 3 + n, True); os.close(fd)\n"
            "os.environ['LISTEN_PID'] = str(os.getpid())\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'relay_shell.front', *sys.argv[1:]])"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            *("--broker", str(self.path / "broker.sock")),
            *("--worker", str(self.path / "worker.sock")),
            pass_fds=fds,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(SRC),
                "LISTEN_FDS": str(len(fds)),
                "LISTEN_FDNAMES": names,
                "NOTIFY_SOCKET": str(self.path / "notify"),
                **environment,
            },
        )
        self.fronts.append(process)
        return process

    @property
    def workers(self) -> list[Worker]:
        """The workers that were told for whom they are, in that order."""
        return sorted((w for w in self.begun if w.asked), key=lambda worker: worker.asked)

    async def legacy(self) -> Raw:
        reader, writer = await asyncio.open_unix_connection(
            self.path / "mcp.sock", limit=16 * 1024 * 1024
        )
        raw = Raw(reader, writer)
        assert "result" in await raw.ask("initialize", initialize())
        raw.say("notifications/initialized")
        return raw

    def statuses(self) -> list[str]:
        return [line.partition("=")[2] for line in self.said if line.startswith("STATUS=")]


@contextlib.asynccontextmanager
async def managed(path: Path) -> AsyncIterator[Manager]:
    manager = Manager(path)
    try:
        yield manager
    finally:
        for process in manager.fronts:
            if process.returncode is None:
                process.kill()
                await process.wait()
        for sock in manager.open:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        for fd in manager.stored.values():
            os.close(fd)
        manager.broker.restart()
        for worker in manager.begun:
            worker.link.close()


def test_ready_status_watchdog_and_sigterm(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managed(tmp_path) as manager:
            front = await manager.start(WATCHDOG_USEC="200000")
            await until(lambda: "READY=1" in manager.said)
            raw = await manager.legacy()
            ident = raw.request(
                "tools/call", {"name": "shell_exec", "arguments": {"command": "sleep 30"}}
            )
            assert ident
            await until(
                lambda: any(
                    "1 clients" in line and "1 workers" in line and "1 calls running" in line
                    for line in manager.statuses()
                )
            )
            user = PRINCIPAL.partition(":")[2]
            assert any(f"({user})" in line for line in manager.statuses())
            await until(lambda: manager.said.count("WATCHDOG=1") > 3)
            worker = manager.workers[0]
            front.send_signal(signal.SIGTERM)
            assert await raw.hear() == {}
            assert await asyncio.wait_for(front.wait(), BOUND) == 0
            assert "STOPPING=1" in manager.said
            assert worker.cancelled
            assert worker.detached
            reasons = [body["reason"] for body in manager.broker.bodies("disconnect")]
            assert reasons == ["the front is stopped"]

    run(scenario())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_sessions_outlive_the_front(tmp_path: Path, number: int) -> None:
    async def scenario() -> None:
        async with managed(tmp_path) as manager:
            front = await manager.start()
            raw = await manager.legacy()
            spawned = await raw.call("shell_spawn", {"command": "bash"})
            handle = spawned["structuredContent"]["session"]
            worker = manager.workers[0]
            await until(lambda: manager.stored)
            conn = manager.broker.bodies("ticket")[0]["conn"]
            front.send_signal(number)
            await front.wait()
            assert set(manager.stored) == {f"worker-{worker.id}"}
            assert not worker.link.closed
            manager.broker.live = [
                {"worker": worker.id, "principal": PRINCIPAL, "pid": 1, "conn": conn}
            ]
            await manager.start()
            again = await manager.legacy()
            sent = await again.call("session_send", {"session": handle, "text": "ls\n"})
            assert sent["isError"] is False, sent
            await again.call("shell_exec", {"command": "true"})
            assert len(manager.workers) == 1
            # The session ends: the worker has no reason to stay, and leaves the store.
            worker.sessions.clear()
            await again.close()
            await until(lambda: not manager.stored)

    run(scenario())


def test_idle_exit_leaves_the_listener_to_the_manager(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managed(tmp_path) as manager:
            manager.broker.settings = {"front.idle_exit": 1}
            front = await manager.start()
            raw = await manager.legacy()
            await until(lambda: "READY=1" in manager.said)
            await asyncio.sleep(1.5)
            assert front.returncode is None
            await raw.close()
            assert await asyncio.wait_for(front.wait(), BOUND) == 0
            # Who connects now waits in the backlog for the next front.
            waiting = asyncio.ensure_future(manager.legacy())
            await manager.start()
            assert await asyncio.wait_for(waiting, BOUND)

    run(scenario())


def test_idle_exit_ends_the_spare(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managed(tmp_path) as manager:
            manager.broker.settings = {"front.idle_exit": 1, "worker.spare": 1}
            front = await manager.start()
            raw = await manager.legacy()
            (spare,) = await until(lambda: manager.begun)
            await until(lambda: any("1 spare" in line for line in manager.statuses()))
            await raw.close()
            assert await asyncio.wait_for(front.wait(), BOUND) == 0
            await until(lambda: spare.link.closed)
            assert not spare.asked and not manager.stored

    run(scenario())


def test_a_killed_front_ends_the_spare(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managed(tmp_path) as manager:
            manager.broker.settings = {"worker.spare": 1}
            front = await manager.start()
            await manager.legacy()
            (spare,) = await until(lambda: manager.begun)
            front.kill()
            await front.wait()
            await until(lambda: spare.link.closed)
            assert not manager.stored

    run(scenario())


def test_without_a_socket_it_says_so() -> None:
    async def scenario() -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay_shell.front"),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SRC)},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert process.returncode == 69
        assert b"systemctl start relay-shell.socket" in said

    run(scenario())


def connected(path: Path) -> socket.socket | None:
    """A connection; None until listen(2), before which the path is there and refuses (unix(7))."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if sock.connect_ex(str(path)):
        sock.close()
        return None
    return sock


def test_listen_makes_a_socket_for_the_group_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "own.sock"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay_shell.front", "--listen", "--socket", str(path)),
            *("--broker", str(tmp_path / "none.sock")),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SRC)},
        )
        try:
            sock = await until(lambda: connected(path))
            assert path.stat().st_mode & 0o777 == 0o660
            raw = Raw(*await asyncio.open_unix_connection(sock=sock))
            # Without a broker it starts, and answers what needs none.
            assert "result" in await raw.ask("initialize", initialize())
        finally:
            process.terminate()
            assert await process.wait() == 0

    run(scenario())
