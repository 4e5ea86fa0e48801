"""From connect to the first response, and what the front costs a call.

Usage: python -m bench.front [--socket PATH --connect COMMAND --front-pid PID] [--json]
"""

from __future__ import annotations

import asyncio
import subprocess
from time import perf_counter
from typing import Any

from bench.client import FIRST, Agent, cpu, first_response, floor, summary, timed
from bench.host import Host, report

CALLS = 400

READY = 2.5
"""Seconds in which a spare is begun and has started."""


def through_command(words: list[str], request: bytes) -> float:
    """Milliseconds from the start of a stdio command to the first response."""
    at = perf_counter()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request)
        process.stdin.flush()
        answer = process.stdout.readline()
        took = (perf_counter() - at) * 1000
        process.stdin.close()
    if b'"result"' not in answer:
        raise RuntimeError(f"no answer through {words}: {answer!r}")
    return took


async def first_result(path: str) -> float:
    """Milliseconds from connect to the first tool result."""
    at = perf_counter()
    agent = await Agent.connect(path)
    await agent.run(command="true")
    took = (perf_counter() - at) * 1000
    await agent.close()
    return took


async def first_results(path: str, rounds: int) -> tuple[list[float], list[float]]:
    """Times of connections for which a spare is ready, and of those that wait for a new worker.

    The second of each pair comes before the front has begun another spare.
    """
    stays = await Agent.connect(path)
    spare, new = [], []
    for _ in range(rounds):
        await asyncio.sleep(READY)
        spare.append(await first_result(path))
        new.append(await first_result(path))
    await stays.close()
    return spare, new


async def _measure(at: Host, rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(3):
        await first_result(at.socket)
    found["floor sh -c true, ms"] = summary(await timed(floor, rounds))
    for method, request in FIRST.items():
        times = [first_response(at.socket, request) for _ in range(rounds)]
        found[f"socket, connect to {method}, ms"] = summary(times)
        times = [through_command(at.connect, request) for _ in range(rounds)]
        found[f"relay-shell connect, start to {method}, ms"] = summary(times)
    spare, new = await first_results(at.socket, max(rounds // 4, 5))
    found["connect to first tool result, new worker, ms"] = summary(new)
    found["connect to first tool result, spare worker, ms"] = summary(spare)
    agent = await Agent.connect(at.socket)

    async def call() -> None:
        await agent.ask("tools/call", {"name": "server_info", "arguments": {}})

    async def ping() -> None:
        await agent.ask("ping", {})

    found["ping, ms"] = summary(await timed(ping, CALLS))
    used = cpu(at.front) if at.front else 0.0
    found["server_info, ms"] = summary(await timed(call, CALLS))
    if at.front:
        found["front CPU per call, ms"] = round((cpu(at.front) - used) * 1000 / CALLS, 3)
    await agent.close()
    return found


def measure(at: Host, rounds: int = 50) -> dict[str, Any]:
    """All figures of this bench."""
    return asyncio.run(_measure(at, rounds))


def main() -> None:
    """Measure and print."""
    report("python -m bench.front", __doc__, measure, spare=1)


if __name__ == "__main__":
    main()
