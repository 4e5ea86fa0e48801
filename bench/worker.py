"""What a worker adds to starting a process, next to the floor in the same run.

    python bench/worker.py [calls]

Rounds are interleaved, so that load on the machine meets every row alike. "worker" is the whole
way from the front's link and back, with a broker that answers at once: no policy, no fdatasync.
CPU is this process's own, without the children's.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from relay_shell.shell import confine
from relay_shell.shell.cgroup import Groups
from relay_shell.shell.children import Children
from relay_shell.shell.confined import Enforcer
from relay_shell.shell.environment import Account
from relay_shell.shell.outputs import OutputStore
from relay_shell.shell.run import Shell
from relay_shell.wire.link import Link
from relay_shell.wire.sockets import pair
from relay_shell.worker.worker import Worker

COMMAND = ["/bin/sh", "-c", "true"]
ROUND = 20


class Call:
    """A call of the bench."""

    enforcement = "none"
    listening = False
    partial = None

    def __init__(self, ident: str) -> None:
        self.id = ident

    def progress(self, message: str) -> None:
        """Nobody listens."""


class Peers:
    """A broker that allows everything and a front that asks."""

    def __init__(self) -> None:
        ours, theirs = pair()
        self.front = Link(ours, "front", "worker")
        self.worker = Worker(theirs, self.dial, own_process=False)
        self.count = 0

    async def dial(self) -> socket.socket:
        ours, theirs = pair()
        hello = {
            "worker": "bench",
            "resume": "",
            "principal": "unix:bench",
            "user": "bench",
            "posture": "standalone",
            "settings": {},
            "mode": "open",
            "ceiling": 3,
            "groups": [],
        }
        verdict = {
            "decision": "allow",
            "tier": 1,
            "mode": "open",
            "enforcement": "none",
            "reasons": [],
            "hint": "",
        }

        def answering(body: dict[str, Any]) -> Any:
            async def answer(link: Link, asked: Any, fds: list[int]) -> dict[str, Any]:
                return body

            return answer

        requests = {
            "hello_worker": answering(hello),
            "begin": answering(verdict),
            "end": answering({}),
        }
        quiet = {"busy": lambda link, body: None, "note": lambda link, body: None}
        self.broker = Link(ours, "broker", "worker", requests=requests, notices=quiet)
        return theirs

    async def call(self) -> None:
        self.count += 1
        await self.front.request(
            "call",
            {
                "call": f"k-{self.count}",
                "conn": "c-1",
                "tool": "shell_exec",
                "args": {"argv": COMMAND},
                "progress": False,
            },
        )


class Row:
    """Timings of one way."""

    def __init__(self, name: str, once: Callable[[], Awaitable[Any]]) -> None:
        self.name = name
        self.once = once
        self.wall: list[float] = []
        self.cpu = 0.0

    async def round(self) -> None:
        cpu = time.process_time()
        for _ in range(ROUND):
            began = time.perf_counter()
            await self.once()
            self.wall.append(time.perf_counter() - began)
        self.cpu += time.process_time() - cpu

    def show(self, floor: float) -> None:
        wall = sorted(self.wall)
        p50, p90 = wall[len(wall) // 2] * 1e3, wall[len(wall) * 9 // 10] * 1e3
        cpu = self.cpu / len(wall) * 1e3
        print(
            f"{self.name:34} p50 {p50:6.2f} ms  p90 {p90:6.2f} ms"
            f"  cpu {cpu:5.2f} ms  {p50 / floor:4.2f} x"
        )

    def p50(self) -> float:
        return statistics.median(self.wall) * 1e3


async def latency(calls: int) -> None:
    """One command after the other."""
    groups = Groups.find()
    print("cgroup for each call:", "no" if groups is None else groups.base)
    children, account = Children(groups), Account()
    outputs = OutputStore("bench", {}, "/tmp")
    shell = Shell(children, outputs, account, {}, Enforcer(account, {}))
    number = 0

    async def floor() -> None:
        os.waitpid(os.posix_spawn(COMMAND[0], COMMAND, {}, setsid=True), 0)

    async def through_asyncio() -> None:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        await process.communicate()

    async def through_shell() -> None:
        nonlocal number
        number += 1
        await shell.run(COMMAND, call=Call(f"b{number}"), timeout=60, max_output=65_536)

    peers = Peers()
    await peers.front.request("start", {"ticket": "t", "conn": "c-1"})
    rows = [
        Row("posix_spawn and wait", floor),
        Row("asyncio.create_subprocess_exec", through_asyncio),
        Row("Shell.run", through_shell),
        Row("worker, front link to front link", peers.call),
    ]
    for row in rows:
        await row.round()
        row.wall.clear()
        row.cpu = 0.0
    for _ in range(max(1, calls // ROUND)):
        for row in rows:
            await row.round()
    for row in rows:
        row.show(rows[1].p50())
    peers.worker.stop("done")
    await peers.worker.done
    peers.front.close()
    began = time.perf_counter()
    await shell.run(
        ["/bin/sh", "-c", "head -c 1000000000 /dev/zero"],
        call=Call("gigabyte"),
        timeout=120,
        max_output=65_536,
    )
    print(f"1 GB of output: {time.perf_counter() - began:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"peak memory of this process: {peak} MiB")


def start() -> None:
    """CPU time until the worker's program is imported, least of ten."""
    source = str(Path(__file__).parent.parent / "src")
    for name, body in (
        ("python", "pass"),
        ("with asyncio", "import asyncio"),
        ("worker", "import relay_shell.worker.__main__"),
    ):
        program = f"import sys; sys.path.insert(0, {source!r}); {body}; import time"
        program += "; print(time.process_time())"
        argv = [sys.executable, "-I", "-S", "-c", program]
        times = [float(subprocess.check_output(argv)) for _ in range(10)]
        print(f"start, {name:14} {min(times) * 1e3:5.1f} ms CPU")


if __name__ == "__main__":
    confine.adopt_orphans()
    start()
    asyncio.run(latency(int(sys.argv[1]) if len(sys.argv) > 1 else 400))
