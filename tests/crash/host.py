"""Broker, front and workers as processes of this host that a trial may kill at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from relay_shell.broker.keys import CREDENTIAL
from relay_shell.evidence.keyfile import PUBLIC, publish
from relay_shell.evidence.signing import Signer, generate

BOUND = 120.0
"""Seconds after which something that must happen is taken not to."""

_BROKER = Path(__file__).with_name("broker_main.py")
# LISTEN_PID is of the process itself (sd_listen_fds(3)).
_ACCEPTED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, "-m", "relay_shell.worker"])
"""


async def until(what: str, condition: Callable[[], object]) -> None:
    """Wait for a condition, bounded."""
    deadline = asyncio.get_running_loop().time() + BOUND
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"never came true: {what}")
        await asyncio.sleep(0.01)


class Host:
    """The three programs, with sockets and runtime files in `home`, record and state in `kept`.

    Args:
        settings: as environment variables, without their prefix.
        sync: False builds the broker without fdatasync(2).
    """

    def __init__(self, home: Path, kept: Path, *, sync: bool = True, **settings: str) -> None:
        self.home, self.log = home, home / "log"
        # A socket's name has 107 bytes at most, which the directory of a test may exceed.
        self._short = tempfile.TemporaryDirectory(prefix="rs-")
        short = Path(self._short.name)
        self.run = home / "run"
        self.credentials, self.public = home / "credentials", home / PUBLIC
        if not self.credentials.exists():
            self.credentials.mkdir()
            pem = generate()
            (self.credentials / CREDENTIAL).write_bytes(pem)
            publish(self.public, Signer(lambda: pem))
        self.environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
        self.environ["CREDENTIALS_DIRECTORY"] = str(self.credentials)
        self.environ["NOTIFY_SOCKET"] = str(short / "notify")
        for name in ("socket", "broker", "worker", "operator"):
            self.environ[f"RELAY_SHELL_PATHS_{name.upper()}"] = str(short / f"{name}.sock")
        self.environ["RELAY_SHELL_PATHS_RUNTIME"] = str(self.run)
        self.environ |= {f"RELAY_SHELL_{name}": value for name, value in settings.items()}
        if not sync:
            self.environ["CRASH_NO_SYNC"] = "1"
        self.keep(kept)
        self.run.mkdir(mode=0o700, exist_ok=True)
        self.mcp = str(short / "socket.sock")
        self._listeners = [_listening(short / f"{name}.sock") for name in ("broker", "operator")]
        self._workers = _listening(short / "worker.sock")
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(short / "notify"))
        for sock in (self._notify, self._workers):
            sock.setblocking(False)
        self.broker: asyncio.subprocess.Process | None = None
        self.front: asyncio.subprocess.Process | None = None
        self.workers: list[asyncio.subprocess.Process] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, kept: Path) -> None:
        """Have record and state in this directory from the next start on."""
        self.audit = kept / "log" / "audit.jsonl"
        for directory in (kept / "log", kept / "state"):
            directory.mkdir(mode=0o700, exist_ok=True)
        self.environ["RELAY_SHELL_PATHS_AUDIT"] = str(self.audit)
        self.environ["RELAY_SHELL_PATHS_STATE"] = str(kept / "state")

    async def start_broker(self) -> None:
        """Start the broker and wait until it serves."""
        _drain(self._notify)
        fds = [sock.fileno() for sock in self._listeners]
        self.broker = await self._spawn(str(_BROKER), *map(str, fds), fds=fds)
        broker, said = self.broker, b""

        def ready() -> bool:
            nonlocal said
            said += _drain(self._notify)
            if broker.returncode is not None:
                raise RuntimeError(f"the broker ended: {self.log.read_text()[-2000:]}")
            return b"READY=1" in said

        await until("the broker serves", ready)

    async def start_front(self) -> None:
        """Start the front, which also makes the MCP socket, and wait until it serves."""
        environ = {name: value for name, value in self.environ.items() if name != "NOTIFY_SOCKET"}
        self.front = await self._spawn("-m", "relay_shell.front", "--listen", environ=environ)

        def ready() -> bool:
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(self.mcp)
                return True
            return False

        await until("the front serves", ready)

    async def start(self) -> None:
        """Start everything; a worker is started when the front connects to its socket."""
        await self.start_broker()
        asyncio.get_running_loop().add_reader(self._workers, self._accept)
        await self.start_front()

    def _accept(self) -> None:
        try:
            accepted, _ = self._workers.accept()
        except BlockingIOError:
            return
        task = asyncio.get_running_loop().create_task(self._work(accepted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, accepted: socket.socket) -> None:
        with accepted:
            fd = accepted.fileno()
            environ = {k: v for k, v in self.environ.items() if k != "NOTIFY_SOCKET"}
            worker = await self._spawn("-c", _ACCEPTED, str(fd), fds=[fd], environ=environ)
        self.workers.append(worker)

    async def _spawn(
        self, *words: str, fds: list[int] | None = None, environ: dict[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            # What is ended while it runs a trial leaves none of them behind.
            return await asyncio.create_subprocess_exec(
                "setpriv",
                "--pdeathsig=KILL",
                sys.executable,
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=environ or self.environ,
                pass_fds=fds or [],
            )

    # ---- ending ------------------------------------------------------------------------------

    def living(self) -> list[asyncio.subprocess.Process]:
        """The workers that run."""
        return [worker for worker in self.workers if worker.returncode is None]

    async def kill(self, *processes: asyncio.subprocess.Process | None) -> None:
        """SIGKILL to each, at once; wait for their ends."""
        killed = [p for p in processes if p is not None and p.returncode is None]
        for process in killed:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
        for process in killed:
            await process.wait()

    async def kill_all(self) -> None:
        """SIGKILL to all three programs, and to workers that are just being started."""
        await self.kill(self.broker, self.front, *self.living())
        asyncio.get_running_loop().remove_reader(self._workers)
        await asyncio.gather(*self._tasks)
        await self.kill(*self.living())

    async def stop_broker(self) -> int:
        """SIGTERM; the exit status."""
        assert self.broker is not None
        self.broker.terminate()
        async with asyncio.timeout(BOUND):
            return await self.broker.wait()

    async def close(self) -> None:
        """End everything."""
        await self.kill_all()
        for sock in (*self._listeners, self._workers, self._notify):
            sock.close()
        self._short.cleanup()


def _listening(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.bind(str(path))
    sock.listen(512)
    return sock


def _drain(sock: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            said += sock.recv(65536) + b"\n"
    return said
