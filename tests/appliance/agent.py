"""An agent at work in a machine: MCP as lines over `relay-shell connect`, one call at a time."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import time
from types import TracebackType
from typing import Any, Self

from .steps import Steps

PROTOCOL = "2025-06-18"


class Gone(ConnectionError):
    """The server closed the connection."""


class Agent:
    """A client connected as `user`; a context manager that disconnects."""

    def __init__(self, machine: Steps, user: str = "agent") -> None:
        self._process = machine.popen(
            "relay-shell",
            "connect",
            user=user,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._read = b""
        self._serial = 0
        client = {"name": "appliance-test", "version": "1"}
        hello = {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client}
        self.server = self.request("initialize", hello)
        self._send({"method": "notifications/initialized"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnects as a client does that ends; waits until the bridge has ended too."""
        assert self._process.stdin and self._process.stdout and self._process.stderr
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._process.stdout.close()
            self._process.stderr.close()

    def request(self, method: str, params: dict[str, Any], seconds: float = 180) -> dict[str, Any]:
        """The result of a request.

        Raises:
            Gone: the connection ended first; what `connect` said is in the message.
            RuntimeError: the server answered with a protocol error.
            TimeoutError: no answer within `seconds`.
        """
        return self.answer(self.start(method, params), seconds)

    def start(self, method: str, params: dict[str, Any]) -> int:
        """Sends a request and returns its id, for `answer`."""
        self._serial += 1
        self._send({"id": self._serial, "method": method, "params": params})
        return self._serial

    def answer(self, serial: int, seconds: float = 180) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            message = json.loads(self._line(deadline))
            if message.get("id") != serial or "method" in message:
                continue
            if "error" in message:
                raise RuntimeError(str(message["error"]))
            result: dict[str, Any] = message["result"]
            return result

    def call(self, tool: str, seconds: float = 180, **arguments: Any) -> str:
        """The text of a tool's result, whether it is an error or not."""
        result = self.request("tools/call", {"name": tool, "arguments": arguments}, seconds)
        return "\n".join(item["text"] for item in result["content"] if item["type"] == "text")

    def facts(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured content of a tool's result."""
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        facts: dict[str, Any] = result["structuredContent"]
        return facts

    def sh(self, command: str, **arguments: Any) -> str:
        """shell_exec."""
        return self.call("shell_exec", command=command, **arguments)

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._gone() from None

    def _line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._read:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise TimeoutError("no answer in time")
            chunk = self._process.stdout.read1(1 << 16)
            if not chunk:
                raise self._gone()
            self._read += chunk
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _gone(self) -> Gone:
        assert self._process.stderr is not None
        status = self._process.wait(60)
        said = self._process.stderr.read().decode(errors="replace").strip()
        return Gone(f"relay-shell connect: status {status}: {said}")
