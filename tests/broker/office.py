"""A broker on real sockets, and peers that speak to it as front, worker and operator do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from relay_shell.broker.access_file import load_access
from relay_shell.broker.principals import Accounts
from relay_shell.broker.server import Broker
from relay_shell.config.settings import Settings
from relay_shell.evidence.generate import json_schema
from relay_shell.wire import sockets
from relay_shell.wire.errors import RelayError
from relay_shell.wire.link import Link
from relay_shell.wire.messages import VERSION

Body = dict[str, Any]
SCHEMA = jsonschema.Draft202012Validator(json_schema())


def settings_in(root: Path, **changes: Any) -> Settings:
    """Settings whose paths are all below `root`; changes by name, with "__" for the dot."""
    for name in ("state", "runtime", "recordings"):
        (root / name).mkdir(mode=0o700, exist_ok=True)
    values: dict[str, Any] = {
        "paths.socket": str(root / "mcp.sock"),
        "paths.broker": str(root / "broker.sock"),
        "paths.operator": str(root / "operator.sock"),
        "paths.audit": str(root / "audit.jsonl"),
        "paths.state": str(root / "state"),
        "paths.runtime": str(root / "runtime"),
        "paths.recordings": str(root / "recordings"),
    }
    return Settings(values | {name.replace("__", "."): value for name, value in changes.items()})


def accounts() -> Accounts:
    """Front and workers run as this very account; no service manager started them."""
    uid = os.geteuid()
    return Accounts(
        front=uid, workers={uid: "scoped"}, operators=None, check_units=False, observer=uid
    )


def listening(path: str, kind: socket.SocketKind = socket.SOCK_SEQPACKET) -> socket.socket:
    """A listening unix socket at `path`, whatever was there before."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(path)
    sock.listen(512)
    return sock


def records_of(path: Path) -> list[Body]:
    """The record, line by line, as it is on disk now."""
    if not path.exists():
        return []
    # Of a line that crosses a page, another process's reader may see the beginning alone.
    *whole, _ = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in whole if line]


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait for a condition, bounded; return what it returned."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := condition()):
        assert asyncio.get_running_loop().time() < deadline, "the condition never came true"
        await asyncio.sleep(0.01)
    return found


class Peer:
    """One end of a link that notes what it hears."""

    def __init__(self, sock: socket.socket, role: str) -> None:
        self.heard: list[tuple[str, Body]] = []
        self.closed = ""
        self.hello: Body = {}
        names = {
            "front": ("close", "access", "front_settings"),
            "worker": ("stop", "abort", "settings"),
            "observer": ("observer_settings",),
            "operator": (),
        }[role]
        notices = {name: self._hear(name) for name in names}
        self.link = Link(sock, role, "broker", notices=notices, on_close=self._on_close)

    def _hear(self, name: str) -> Callable[[Link, Body], None]:
        return lambda link, body: self.heard.append((name, body))

    def _on_close(self, link: Link, reason: str) -> None:
        self.closed = reason

    async def ask(self, name: str, body: Body | None = None, fds: tuple[int, ...] = ()) -> Body:
        return await self.link.request(name, body or {}, fds=fds, timeout=60)

    async def refused(self, name: str, body: Body | None = None, fds: tuple[int, ...] = ()) -> str:
        """Ask for what must be refused; return "Kind: message"."""
        with pytest.raises(RelayError) as caught:
            await self.ask(name, body, fds)
        return str(caught.value)

    async def hears(self, name: str) -> Body:
        """The body of the first notice of that name."""
        found = await until(lambda: [body for heard, body in self.heard if heard == name])
        return found[0]


class Worker(Peer):
    """A worker's end."""

    def __init__(self, sock: socket.socket, conn: str) -> None:
        super().__init__(sock, "worker")
        self.conn = conn

    @property
    def id(self) -> str:
        return self.hello["worker"]

    async def begin(self, call: str, command: str = "true", **more: Any) -> Body:
        body = {"call": call, "conn": self.conn, "tool": "shell_exec", "args": {"command": command}}
        return await self.ask("begin", body | more)

    async def begin_refused(self, call: str, command: str = "true", **more: Any) -> str:
        with pytest.raises(RelayError) as caught:
            await self.begin(call, command, **more)
        return str(caught.value)

    async def end(self, call: str, status: str = "ok", **more: Any) -> Body:
        return await self.ask("end", {"call": call, "status": status, "duration_ms": 1} | more)


class Office:
    """A broker with its sockets in one directory."""

    def __init__(self, root: Path, **changes: Any) -> None:
        self.root = root
        self.rules = load_access(root)
        self.settings = settings_in(root, **changes)
        self.audit = Path(self.settings["paths.audit"])
        self.mcp = listening(self.settings["paths.socket"], socket.SOCK_STREAM)
        self.peers: list[Peer] = []
        self.clients: list[socket.socket] = []
        self.broker: Broker | None = None

    def open(self) -> Broker:
        """Start a broker on the sockets."""
        self.broker = Broker(self.settings, accounts=accounts(), rules=self.rules)
        for name in ("broker", "operator"):
            self.broker.listen(listening(self.settings[f"paths.{name}"]), name)
        return self.broker

    async def restart(self, between: Callable[[], object] = lambda: None) -> Broker:
        """Stop the broker and start another, with `between` done between them."""
        assert self.broker is not None
        await self.broker.close()
        between()
        return self.open()

    async def close(self) -> None:
        """Stop everything."""
        for peer in self.peers:
            peer.link.close("the test ends")
        if self.broker is not None:
            await self.broker.close()
        for sock in (self.mcp, *self.clients):
            sock.close()

    def records(self, *events: str, **facts: Any) -> list[Body]:
        """The records of these events (all if none is named) with these facts."""
        return [
            record
            for record in records_of(self.audit)
            if (not events or record["event"] in events)
            and all(record.get(name) == value for name, value in facts.items())
        ]

    def client(self, uid: int = -1) -> socket.socket:
        """A client connects; return the accepted end, as the front has it."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if uid >= 0:
            self.root.chmod(0o711)
            os.chmod(self.settings["paths.socket"], 0o666)
            directory = os.open(self.root, os.O_PATH)
            # SO_PEERCRED is of the effective ids; the magic link needs no way through the parents.
            os.seteuid(uid)
            try:
                sock.connect(f"/proc/self/fd/{directory}/mcp.sock")
            finally:
                os.seteuid(0)
                os.close(directory)
        else:
            sock.connect(self.settings["paths.socket"])
        accepted, _ = self.mcp.accept()
        self.clients += [sock, accepted]
        return accepted

    async def dial(self, name: str = "broker") -> socket.socket:
        return await sockets.connect(self.settings[f"paths.{name}"])

    async def front(self) -> Peer:
        """A front that has said hello."""
        front = Peer(await self.dial(), "front")
        self.peers.append(front)
        front.hello = await front.ask("hello_front", {"version": VERSION})
        return front

    async def connect(self, front: Peer, uid: int = -1, **more: Any) -> Body:
        """A client connects and the front announces it."""
        accepted = self.client(uid)
        return await front.ask("connect", {"transport": "unix"} | more, (accepted.fileno(),))

    async def worker(self, front: Peer, conn: str) -> Worker:
        """A worker for a connection, that has said hello with a ticket."""
        ticket = (await front.ask("ticket", {"conn": conn}))["ticket"]
        worker = Worker(await self.dial(), conn)
        self.peers.append(worker)
        worker.hello = await worker.ask("hello_worker", {"version": VERSION, "ticket": ticket})
        return worker

    async def at_work(self, uid: int = -1) -> tuple[Peer, Worker]:
        """A front with one client, and its worker."""
        front = await self.front()
        connected = await self.connect(front, uid)
        return front, await self.worker(front, connected["conn"])

    async def returned(self, worker: Worker, **changes: Any) -> Worker:
        """The worker's second hello, after a loss of its link."""
        again = Worker(await self.dial(), worker.conn)
        self.peers.append(again)
        body = {"version": VERSION, "worker": worker.id, "resume": worker.hello["resume"]}
        again.hello = await again.ask("hello_worker", body | changes)
        return again

    async def resumed(self, worker: Worker, client: socket.socket) -> Peer:
        """Another front, that announces the connection of a worker again."""
        front = await self.front()
        body = {"transport": "unix", "conn": worker.conn}
        assert (await front.ask("connect", body, (client.fileno(),)))["conn"] == worker.conn
        return front

    def worker_state(self) -> Path:
        """The file in which the broker keeps the only worker."""
        (path,) = Path(self.settings["paths.runtime"]).glob("worker-*.json")
        return path

    async def observer(self) -> Peer:
        """An observer that has said hello."""
        observer = Peer(await self.dial(), "observer")
        self.peers.append(observer)
        observer.hello = await observer.ask("hello_observer", {"version": VERSION})
        return observer

    async def operator(self) -> Peer:
        """An operator that has said hello."""
        operator = Peer(await self.dial("operator"), "operator")
        self.peers.append(operator)
        operator.hello = await operator.ask("hello_operator", {"version": VERSION})
        return operator


@contextlib.asynccontextmanager
async def office_in(root: Path, **changes: Any) -> AsyncIterator[Office]:
    """An open office, closed at the end."""
    office = Office(root, **changes)
    office.open()
    try:
        yield office
    finally:
        await office.close()


def story(root: Path, tell: Callable[[Office], Awaitable[None]], **changes: Any) -> None:
    """Run one scenario against a fresh broker."""

    async def run() -> None:
        async with asyncio.timeout(120), office_in(root, **changes) as office:
            await tell(office)

    asyncio.run(run())
    conform(root / "audit.jsonl")


def conform(path: Path) -> None:
    """Whatever a broker wrote fits the published schema: the first record of each shape."""
    shapes: dict[tuple[Any, ...], Body] = {}
    with contextlib.suppress(OSError, ValueError):
        # Some stories end with a file that is gone, or damaged on purpose.
        for record in records_of(path):
            shape = (record.get("event"), record.get("what"), *sorted(record))
            shapes.setdefault(shape, record)
    for record in shapes.values():
        SCHEMA.validate(record)
