"""Clients that call without pause, and note what they started and what they were told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "crash", "version": "1"},
}
_REFUSALS = ("[ERROR: EvidenceUnavailable", "[ERROR: BrokerUnavailable", "[ERROR: Busy")


class Gone(ConnectionError):
    """The server closed the connection."""


class Lane:
    """One client, one call after the other, each of which leaves a mark of its own.

    Args:
        socket: of the front. name: unique among the lanes. marks: where commands leave marks.
    """

    def __init__(self, socket: str, name: str, marks: Path) -> None:
        self._socket, self._name, self._marks = socket, name, marks
        self._next = 0
        self.stopped = False
        self.started: list[str] = []
        """Marks, in the order in which their calls were made."""
        self.answered: dict[str, str] = {}
        """The text that each call returned."""

    async def run(self) -> None:
        """Call until stopped; connect anew whenever the connection ends."""
        while not self.stopped:
            with contextlib.suppress(OSError, Gone):
                await self._connection()
            await asyncio.sleep(0.02)

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self._socket, limit=1 << 22)
        try:
            await self._ask(reader, writer, "initialize", HELLO)
            writer.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
            while not self.stopped:
                mark = f"{self._name}-{len(self.started)}"
                self.started.append(mark)
                arguments = {"command": command(mark, self._marks)}
                params = {"name": "shell_exec", "arguments": arguments}
                result = await self._ask(reader, writer, "tools/call", params)
                self.answered[mark] = str(result["content"][0]["text"])
        finally:
            writer.close()

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: str,
        params: dict[str, Any],
    ) -> dict[str, Any]:
        self._next += 1
        request = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}
        writer.write(json.dumps(request).encode() + b"\n")
        while line := await reader.readline():
            answer = json.loads(line)
            if answer.get("id") == self._next:
                if "result" not in answer:
                    raise Gone(str(answer))
                found: dict[str, Any] = answer["result"]
                return found
        raise Gone


def refused(text: str) -> bool:
    """Whether an answer promises that the command did not run."""
    return text.startswith(_REFUSALS) or (text.startswith("[ERROR:") and "nothing ran" in text)


def command(mark: str, marks: Path) -> str:
    """A command that leaves its mark where the cut does not reach."""
    return f"echo {mark} >> {marks}"
