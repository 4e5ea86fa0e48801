"""A worker program that begins and ends calls as fast as the broker takes them, and runs none.

It takes the place of relay-shell-worker in its unit, so that front, identity, sandbox and sockets
are the real ones. A call of the client is answered after the flood: FLOOD_CALLS calls, or as many
as fit into FLOOD_SECONDS, FLOOD_LANES of them at once.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from typing import Any

sys.path += ["/usr/lib/relay-shell", "/usr/lib/python3/dist-packages"]

from relay_shell.worker import worker
from relay_shell.worker.__main__ import main

COMMANDS = (
    "df -h",
    "systemctl status nginx --no-pager",
    "journalctl -u ssh --since '1 hour ago' | tail -n 50",
    'for f in /etc/*.conf; do grep -l listen "$f"; done',
)


class Flood(worker.Worker):
    """A worker whose calls of shell_exec begin with a flood of others."""

    async def _call(self, link: Any, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        calls = int(os.environ.get("FLOOD_CALLS", "0"))
        end = time.monotonic() + float(os.environ.get("FLOOD_SECONDS", "0"))
        count = 0

        async def lane() -> None:
            nonlocal count
            while count < calls or time.monotonic() < end:
                count += 1
                call = f"k-{secrets.token_hex(8)}"
                begin = {"call": call, "conn": body["conn"], "tool": "shell_exec"}
                # Each with words of its own, so that nothing is judged twice.
                args = {"command": f"{COMMANDS[count % len(COMMANDS)]} # {call}"}
                await self._broker.request("begin", begin | {"args": args})
                ended = {"call": call, "status": "ok", "duration_ms": 1, "exit": 0}
                await self._broker.request("end", ended | {"sha256": "0" * 64, "bytes": 512})

        await asyncio.gather(*(lane() for _ in range(int(os.environ["FLOOD_LANES"]))))
        return await super()._call(link, body, fds)


if __name__ == "__main__":
    from relay_shell.worker import __main__ as program

    program.Worker = Flood  # type: ignore[misc]
    sys.exit(main())
