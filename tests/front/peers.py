"""A broker, workers and clients for the front's tests, speaking the real wire and the real MCP."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import pwd
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from relay_shell.front.app import Front
from relay_shell.tools.registry import TOOLS
from relay_shell.wire.errors import RelayError
from relay_shell.wire.link import Link
from relay_shell.wire.sockets import pair

Body = dict[str, Any]

BOUND = 60.0

PRINCIPAL = f"unix:{pwd.getpwuid(os.getuid()).pw_name}"
"""Whom the broker takes every client of these tests for."""


def gone(pid: int) -> bool:
    """Whether a process has ended, and at most waits for its parent."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


async def until(condition: Callable[[], Any], bound: float = BOUND) -> Any:
    """Poll until the condition holds; fail after `bound` seconds."""
    deadline = asyncio.get_running_loop().time() + bound
    while not (value := condition()):
        assert asyncio.get_running_loop().time() < deadline, f"never: {condition}"
        await asyncio.sleep(0.005)
    return value


def credentials(fd: int) -> tuple[int, int, int]:
    """pid, uid and gid of the peer of a passed socket (SO_PEERCRED)."""
    sock = socket.socket(fileno=os.dup(fd))
    with sock:
        size = struct.calcsize("3i")
        return struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))


class Broker:
    """Answers a front, and remembers what it was told."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.said: list[tuple[str, Body]] = []
        self.access: Body = {"mode": "open", "ceiling": 3, "groups": ["*"]}
        self.settings: Body = {}
        self.refusal: RelayError | None = None
        self.live: list[Body] = []
        self.tickets: dict[str, str] = {}
        self.users: dict[str, str] = {}
        self.down = False
        self.allowed = True

    def names(self) -> list[str]:
        return [name for name, _ in self.said]

    def bodies(self, name: str) -> list[Body]:
        return [body for said, body in self.said if said == name]

    async def dial(self) -> socket.socket:
        if self.down:
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = pair()
        self.serve(ours)
        return theirs

    def serve(self, sock: socket.socket) -> None:
        """Speak with a front on a connected socket."""
        handlers = {
            name: self._handler(name)
            for name in (
                "hello_front",
                "connect",
                "ticket",
                "workers",
                "adopt",
                "rejected",
                "observe",
                "disconnect",
            )
        }
        self.links.append(
            Link(
                sock,
                "broker",
                "front",
                requests=handlers,
                notices={"client": lambda link, body: self.said.append(("client", body))},
            )
        )

    def _handler(self, name: str) -> Callable[[Link, Body, list[int]], Awaitable[Body]]:
        async def handle(link: Link, body: Body, fds: list[int]) -> Body:
            self.said.append((name, body))
            return getattr(self, name)(body, fds)

        return handle

    def hello_front(self, body: Body, fds: list[int]) -> Body:
        return {"instance": "test", "settings": self.settings}

    def connect(self, body: Body, fds: list[int]) -> Body:
        if self.refusal is not None:
            raise self.refusal
        user = pwd.getpwuid(credentials(fds[0])[1]).pw_name
        conn = body.get("conn") or f"c-{secrets.token_hex(6)}"
        user = self.users.get(conn, user)
        return {
            "conn": conn,
            "principal": f"unix:{user}",
            "user": user,
            "posture": "scoped",
            **self.access,
        }

    def ticket(self, body: Body, fds: list[int]) -> Body:
        ticket = secrets.token_urlsafe(32)
        self.tickets[ticket] = body["conn"]
        return {"ticket": ticket}

    def workers(self, body: Body, fds: list[int]) -> Body:
        return {"workers": self.live}

    def adopt(self, body: Body, fds: list[int]) -> Body:
        return {}

    def rejected(self, body: Body, fds: list[int]) -> Body:
        return {}

    def observe(self, body: Body, fds: list[int]) -> Body:
        return {"allowed": self.allowed, "reason": "" if self.allowed else "frozen: test"}

    def disconnect(self, body: Body, fds: list[int]) -> Body:
        return {}

    def restart(self) -> None:
        """End every link, as a broker that is restarted does."""
        for link in self.links:
            link.close("restarted")
        self.links.clear()


_asked = itertools.count(1)


class Worker:
    """One worker process's place: runs `echo`, `sleep`, `fail` and `die` without a shell."""

    def __init__(
        self, broker: Broker, sock: socket.socket, gate: asyncio.Event | None = None
    ) -> None:
        self.gate = gate
        """Until this is set it is still starting, and answers nothing."""
        self.refusal = ""
        """Why the broker does not admit it."""
        self.id = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(8))
        self.said: list[tuple[str, Body]] = []
        self.calls: list[Body] = []
        self.cancelled: list[Body] = []
        self.detached: list[Body] = []
        self.sessions: list[str] = []
        self.asked = 0
        """The how manieth that was told for whom it is; until then, with 0, it is a spare."""
        self._broker = broker
        self._ends: dict[str, asyncio.Event] = {}
        self.link = Link(
            sock,
            "worker",
            "front",
            requests={"start": self.start, "attach": self.attach, "call": self.call},
            notices={"cancel": self.cancel, "detach": self.detach},
        )

    async def start(self, link: Link, body: Body, fds: list[int]) -> Body:
        self.asked = next(_asked)
        if self.gate is not None:
            await self.gate.wait()
        if self.refusal:
            raise RelayError("PermissionDenied", reason=self.refusal)
        conn = self._broker.tickets.pop(body["ticket"], None)
        if conn != body["conn"]:
            raise RelayError("PermissionDenied", reason="the ticket is unknown")
        return {"worker": self.id, "pid": os.getpid()}

    async def attach(self, link: Link, body: Body, fds: list[int]) -> Body:
        self.said.append(("attach", body))
        return {"worker": self.id}

    def cancel(self, link: Link, body: Body) -> None:
        self.cancelled.append(body)
        if body["call"] in self._ends:
            self._ends[body["call"]].set()

    def detach(self, link: Link, body: Body) -> None:
        self.detached.append(body)
        if self.sessions:
            link.notify("holding", {"sessions": len(self.sessions), "outputs": 0})
        else:
            link.close("nothing left")

    async def call(self, link: Link, body: Body, fds: list[int]) -> Body:
        self.calls.append(body)
        tool, args = body["tool"], body["args"]
        if tool == "session_list":
            rows = [
                {"session": s, "command": "bash", "running": True, "idle": 0, "unread": 0}
                for s in self.sessions
            ]
            return {"result": {"sessions": rows}, "is_error": False}
        if tool == "shell_spawn":
            self.sessions.append(f"s{len(self.sessions) + 1}.{self.id}")
            return {
                "result": {"session": self.sessions[-1], "pid": os.getpid()},
                "is_error": False,
            }
        if tool == "session_send":
            if args["session"] not in self.sessions:
                return failed("NotFound", f"no session {args['session']}")
            return {"result": {"session": args["session"], "output": "ok"}, "is_error": False}
        words = args.get("command", "true").split(" ", 1)
        return await getattr(self, words[0])(link, body, words[-1])

    async def true(self, link: Link, body: Body, rest: str) -> Body:
        return done("")

    async def echo(self, link: Link, body: Body, rest: str) -> Body:
        return done(rest + "\n")

    async def big(self, link: Link, body: Body, rest: str) -> Body:
        return done("x" * int(rest))

    async def fail(self, link: Link, body: Body, rest: str) -> Body:
        raise RelayError("BrokerUnavailable", reason="gone")

    async def die(self, link: Link, body: Body, rest: str) -> Body:
        link.close("killed")
        return done("")

    async def count(self, link: Link, body: Body, rest: str) -> Body:
        """Report progress 1..n, each twice and once backwards."""
        for n in range(1, int(rest) + 1):
            for value in (n, n, n - 1):
                link.notify(
                    "progress", {"call": body["call"], "progress": value, "message": f"line {n}"}
                )
            await asyncio.sleep(0.03)
        return done("counted\n")

    async def sleep(self, link: Link, body: Body, rest: str) -> Body:
        end = self._ends[body["call"]] = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(rest)):
                await end.wait()
                return failed("Cancelled", "cancelled: by the client")
        return done("slept\n")


def done(stdout: str) -> Body:
    facts = {
        "exit": 0,
        "stdout": stdout,
        "duration_ms": 1,
        "bytes": len(stdout),
        "truncated": False,
    }
    return {"result": facts, "is_error": False}


def failed(kind: str, message: str) -> Body:
    error = {"kind": kind, "message": message, "next_step": "Look again."}
    return {"result": {"error": error}, "is_error": True}


class Store:
    """An fd store that can be looked into."""

    def __init__(self) -> None:
        self.held: dict[str, socket.socket] = {}

    def put(self, name: str, fd: int) -> None:
        self.held[name] = socket.socket(fileno=os.dup(fd))

    def drop(self, name: str) -> None:
        if name in self.held:
            self.held.pop(name).close()


def listener(path: Path, kind: int, on_socket: Callable[[socket.socket], Any]) -> socket.socket:
    """Listen on a path and hand over each accepted socket."""
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(str(path))
    sock.listen(512)
    sock.setblocking(False)
    asyncio.get_running_loop().add_reader(sock, lambda: on_socket(sock.accept()[0]))
    return sock


class House:
    """A front with its broker and workers, and a socket to connect to."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.broker = Broker()
        self.begun: list[Worker] = []
        self.store = Store()
        self.no_workers: OSError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.options: Body = {"wait": 1.0}
        self.front: Front

    async def spawn(self) -> socket.socket:
        if self.no_workers is not None:
            raise self.no_workers
        ours, theirs = pair()
        self.begun.append(Worker(self.broker, ours, self.gate))
        return theirs

    @property
    def workers(self) -> list[Worker]:
        """The workers that were told for whom they are, in that order."""
        return sorted((w for w in self.begun if w.asked), key=lambda worker: worker.asked)

    @property
    def spares(self) -> list[Worker]:
        """The spares that are there."""
        return [worker for worker in self.begun if not (worker.asked or worker.link.closed)]

    async def start(self, restored: list[tuple[str, socket.socket]] | None = None) -> Front:
        self.front = Front(
            TOOLS,
            broker=self.broker.dial,
            worker=self.spawn,
            store=self.store,
            restored=restored or [],
            **self.options,
        )
        await self.front.start(wait=0.2 if self.broker.down else 5.0)
        listener = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        listener.bind(self.path)
        listener.listen(512)
        self.front.listen(listener)
        return self.front

    async def connect(self) -> Raw:
        reader, writer = await asyncio.open_unix_connection(self.path, limit=64 * 1024 * 1024)
        return Raw(reader, writer)

    async def legacy(self, version: str = "2025-11-25") -> Raw:
        """A raw client past the handshake."""
        raw = await self.connect()
        answer = await raw.ask("initialize", initialize(version))
        assert answer["result"]["protocolVersion"] == version
        raw.say("notifications/initialized")
        return raw


@contextlib.asynccontextmanager
async def house(path: Path, settings: Body | None = None, **options: Any) -> AsyncIterator[House]:
    """A running house, whose broker tells these settings; everything is closed at the end."""
    home = House(path / "mcp.sock")
    home.broker.settings = settings or {}
    home.options.update(options)
    try:
        await home.start()
        yield home
    finally:
        await home.front.stop("test over", wait=1.0)
        for worker in home.begun:
            worker.link.close()
        home.broker.restart()


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def initialize(version: str = "2025-11-25") -> Body:
    return {
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    }


class Raw:
    """A client that writes frames by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.ident = 0
        self.heard: list[Body] = []

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    def say(self, method: str, params: Body | None = None) -> None:
        self.send({"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})})

    def send(self, frame: object) -> None:
        self.write(json.dumps(frame).encode() + b"\n")

    def request(self, method: str, params: Body | None = None, *, modern: bool = False) -> int:
        self.ident += 1
        params = dict(params or {})
        if modern:
            params["_meta"] = META | params.get("_meta", {})
        self.send({"jsonrpc": "2.0", "id": self.ident, "method": method, "params": params})
        return self.ident

    async def hear(self, bound: float = BOUND) -> Body:
        """The next frame; {} at the end of the stream."""
        line = await asyncio.wait_for(self.reader.readline(), bound)
        frame = json.loads(line) if line else {}
        self.heard.append(frame)
        return frame

    async def answer(self, ident: int | str | None) -> Body:
        """The response to a request; what comes before it stays in `heard`."""
        while True:
            frame = await self.hear()
            assert frame, "the server closed the connection"
            if "id" in frame and frame["id"] == ident:
                return frame

    async def ask(self, method: str, params: Body | None = None, *, modern: bool = False) -> Body:
        return await self.answer(self.request(method, params, modern=modern))

    async def call(self, name: str, args: Body | None = None, **options: Any) -> Body:
        """tools/call; the result, or the frame where it is an error."""
        params: Body = {"name": name, "arguments": args or {}}
        if "token" in options:
            params["_meta"] = {"progressToken": options.pop("token")}
        frame = await self.ask("tools/call", params, **options)
        return frame.get("result", frame)

    async def silence(self, seconds: float = 0.2) -> None:
        """Fail if the server says anything in this time."""
        with contextlib.suppress(TimeoutError):
            frame = await self.hear(seconds)
            raise AssertionError(f"said {frame}")

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
