"""Calls: latency, throughput, 1 MB of output, memory a connection; each next to the floor.

Usage: python -m bench.calls [--socket PATH --front-pid PID --broker-pid PID] [--json]
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import tempfile
from typing import Any

from bench.client import Agent, cpu, floor, rate, summary, timed
from bench.host import Host, report

MEGABYTE = 1024 * 1024
_appended = tempfile.NamedTemporaryFile(prefix="relay-shell-bench-")  # noqa: SIM115
WORKERS = (b"relay_shell.worker", b"relay-shell-worker")
INSTALLED = "/run/relay-shell/relay-shell.sock"
"""Where the front listens that a worker serves whose environment names no other."""


def private(pid: int) -> int:
    """Octets of memory that only this process has (proc(5), smaps_rollup)."""
    total = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def workers(path: str) -> list[int]:
    """Process ids of the workers on this host whose front listens at `path`."""
    named = b"RELAY_SHELL_PATHS_SOCKET="
    found = []
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
            # The interpreter itself, not systemd-socket-activate, which names it too.
            if not (b"python" in words[0] and any(w.endswith(WORKERS) for w in words[1:3])):
                continue
            with open(f"/proc/{name}/environ", "rb") as environ:
                given = [v for v in environ.read().split(b"\0") if v.startswith(named)]
            if (given[0].removeprefix(named).decode() if given else INSTALLED) == path:
                found.append(int(name))
    return found


def megabytes(octets: float) -> float:
    return round(octets / 1e6, 2)


async def synced() -> None:
    """The other floor: no command runs before its intent is on the disk."""
    with open(_appended.name, "ab", buffering=0) as file:
        file.write(b"x" * 700)
        os.fdatasync(file.fileno())


async def _latency(at: Host, rounds: int, found: dict[str, Any]) -> None:
    agent = await Agent.connect(at.socket)
    await agent.run(command="true")
    # In turns, so that a disturbance of the host meets all of them alike.
    floors, calls, argvs, syncs = [], [], [], []
    for _ in range(rounds):
        floors += await timed(floor, 4)
        syncs += await timed(synced, 4)
        calls += await timed(functools.partial(agent.run, command="true"), 4)
        argvs += await timed(functools.partial(agent.run, argv=["true"]), 4)
    found["floor sh -c true, ms"] = summary(floors)
    found["shell_exec true, ms"] = summary(calls)
    found["shell_exec argv true, ms"] = summary(argvs)
    call, least, sync = summary(calls), summary(floors), summary(syncs)
    found["floor append and fdatasync, ms"] = sync
    found["shell_exec / floor"] = {key: round(call[key] / least[key], 2) for key in call}
    found["shell_exec / (floor + fdatasync)"] = {
        key: round(call[key] / (least[key] + sync[key]), 2) for key in call
    }
    big = functools.partial(
        agent.run, command="head -c 1048576 /dev/zero | tr '\\0' x", max_output=1048576
    )
    size = len((await big())["stdout"])
    if size != 1048576:
        raise RuntimeError(f"{size} octets of 1048576")
    found["1 MB of output, ms"] = summary(await timed(big, max(rounds // 5, 5)))
    await agent.close()


async def _throughput(at: Host, rounds: int, found: dict[str, Any]) -> None:
    each = max(rounds // 2, 5)
    for connections in (1, 8):
        agents = [await Agent.connect(at.socket) for _ in range(connections)]
        work = [functools.partial(agent.run, command="true") for agent in agents]
        await asyncio.gather(*(one() for one in work))
        for flight in (1, 16):
            # Calls in flight over all connections together.
            lanes = [work[n % connections] for n in range(max(flight, connections))]
            label = f"{connections} connections, {max(flight, connections)} in flight"
            found[f"{label}, calls/s"] = round(await rate(lanes, each * 16 // len(lanes) + 1))
        await asyncio.gather(*(agent.close() for agent in agents))
    for flight in (1, 16):
        found[f"floor, {flight} in flight, runs/s"] = round(
            await rate([floor] * flight, each * 16 // flight + 1)
        )


async def _cost(at: Host, rounds: int, found: dict[str, Any]) -> None:
    """CPU of each of our processes for a call, children not counted."""
    before = set(workers(at.socket))
    agent = await Agent.connect(at.socket)
    await agent.run(command="true")
    pids = {"front": at.front, "broker": at.broker}
    pids["worker"] = next(iter(set(workers(at.socket)) - before), 0)
    pids = {name: pid for name, pid in pids.items() if pid}
    used = {name: cpu(pid) for name, pid in pids.items()}
    count = max(rounds * 10, 100)
    await timed(functools.partial(agent.run, command="true"), count)
    found["CPU a call, ms"] = {
        name: round((cpu(pid) - used[name]) * 1000 / count, 2) for name, pid in pids.items()
    }
    await agent.close()


async def _memory(at: Host, found: dict[str, Any]) -> None:
    if not at.front:
        return
    before = set(workers(at.socket))
    base = private(at.front)
    broker = private(at.broker) if at.broker else 0
    agents: list[Agent] = []
    for count in (1, 20, 100):
        while len(agents) < count:
            agents.append(await Agent.connect(at.socket))
            await agents[-1].run(command="true")
        mine = [pid for pid in workers(at.socket) if pid not in before]
        if len(mine) != count:
            raise RuntimeError(f"{len(mine)} workers for {count} connections")
        each = [private(pid) for pid in mine]
        front = (private(at.front) - base) / count
        row = {
            "worker": megabytes(sum(each) / count),
            "front share": megabytes(front),
            "broker share": megabytes((private(at.broker) - broker) / count) if at.broker else 0,
        }
        row["together"] = round(sum(row.values()), 2)
        found[f"private memory a connection at {count}, MB"] = row
    found["front alone, MB"] = megabytes(base)
    await asyncio.gather(*(agent.close() for agent in agents))


async def _measure(at: Host, rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    await _latency(at, rounds, found)
    await _cost(at, rounds, found)
    await _throughput(at, rounds, found)
    await _memory(at, found)
    return found


def measure(at: Host, rounds: int = 50) -> dict[str, Any]:
    """All figures of this bench."""
    return asyncio.run(_measure(at, rounds))


def main() -> None:
    """Measure and print."""
    report("python -m bench.calls", __doc__, measure)


if __name__ == "__main__":
    main()
