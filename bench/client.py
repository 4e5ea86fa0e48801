"""A lean MCP client for measurements: raw frames, nothing between clock and socket."""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def frame(ident: int, method: str, params: dict[str, Any]) -> bytes:
    """One request as a line."""
    return (
        json.dumps({"jsonrpc": "2.0", "id": ident, "method": method, "params": params}).encode()
        + b"\n"
    )


FIRST = {
    "initialize": frame(1, "initialize", INITIALIZE),
    "server/discover": frame(1, "server/discover", {"_meta": META}),
}


def first_response(path: str, request: bytes) -> float:
    """Milliseconds from connect to the first response."""
    at = perf_counter()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(request)
        answer = b""
        while not answer.endswith(b"\n"):
            piece = sock.recv(65536)
            if not piece:
                raise RuntimeError(f"closed after {answer!r}")
            answer += piece
    if b'"result"' not in answer:
        raise RuntimeError(answer.decode())
    return (perf_counter() - at) * 1000


class Agent:
    """One legacy connection that calls tools, any number at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._next = 1
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._task = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def connect(cls, path: str) -> Agent:
        """Connect and shake hands."""
        agent = cls(*await asyncio.open_unix_connection(path, limit=64 * 1024 * 1024))
        await agent.ask("initialize", INITIALIZE)
        agent._writer.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        return agent

    async def _read(self) -> None:
        while line := await self._reader.readline():
            answer = json.loads(line)
            if "id" in answer:
                self._waiting.pop(answer["id"]).set_result(answer)
        for future in self._waiting.values():
            future.set_exception(RuntimeError("the server closed the connection"))

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its result."""
        self._next += 1
        future = self._waiting[self._next] = asyncio.get_running_loop().create_future()
        self._writer.write(frame(self._next, method, params))
        answer = await future
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    async def run(self, **args: Any) -> dict[str, Any]:
        """shell_exec; the facts."""
        result = await self.ask("tools/call", {"name": "shell_exec", "arguments": args})
        if result["isError"]:
            raise RuntimeError(result["content"][0]["text"])
        return result["structuredContent"]

    async def close(self) -> None:
        """Leave."""
        self._writer.close()
        await self._task


async def floor() -> None:
    """What every figure stands next to: asyncio runs `sh -c true`."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", "true", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    await process.communicate()


async def timed(work: Callable[[], Awaitable[object]], count: int) -> list[float]:
    """Milliseconds of each of `count` runs, one after another."""
    times = []
    for _ in range(count):
        at = perf_counter()
        await work()
        times.append((perf_counter() - at) * 1000)
    return times


async def rate(work: list[Callable[[], Awaitable[object]]], each: int) -> float:
    """Runs a second, where each entry of `work` runs `each` times in a row, all side by side."""

    async def row(one: Callable[[], Awaitable[object]]) -> None:
        for _ in range(each):
            await one()

    at = perf_counter()
    await asyncio.gather(*map(row, work))
    return len(work) * each / (perf_counter() - at)


def summary(times: list[float]) -> dict[str, float]:
    """Least, median and 95th percentile."""
    row = sorted(times)
    return {
        "min": round(row[0], 2),
        "p50": round(row[len(row) // 2], 2),
        "p95": round(row[math.ceil(len(row) * 0.95) - 1], 2),
    }


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used (proc(5), fields 14 and 15 of stat)."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
