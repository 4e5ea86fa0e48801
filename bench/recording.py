"""Sessions without and with a recording: a start, a line typed and its answer, and much output.

Usage: python -m bench.recording [--rounds N] [--megabytes N] [--json]

Brokers of each mode of `recording.mode` stand side by side and are asked in turns, so that a
disturbance of the host meets all of them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from time import perf_counter
from typing import Any

from bench.calls import workers
from bench.client import Agent, cpu, summary
from bench.host import Host, processes

MODES = ("off", "metadata", "output", "full")
TYPED = 20
"""Lines typed in a session."""

FLOOD = "head -c {} /dev/zero | tr '\\0' x | fold -w 79; echo; echo at'-'end"


class Side:
    """One mode: its processes, its agent, and what was measured of it."""

    def __init__(self, at: Host, agent: Agent) -> None:
        self.at, self.agent = at, agent
        self.starts: list[float] = []
        self.lines: list[float] = []
        self.rates: list[float] = []
        self.line_cpu = {"broker": 0.0, "worker": 0.0}
        self.flood_cpu = {"broker": 0.0, "worker": 0.0}

    async def tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        result = await self.agent.ask("tools/call", {"name": name, "arguments": arguments})
        if result["isError"]:
            raise RuntimeError(result["content"][0]["text"])
        found: dict[str, Any] = result["structuredContent"]
        return found

    def used(self) -> dict[str, float]:
        (worker,) = workers(self.at.socket)
        return {"broker": cpu(self.at.broker), "worker": cpu(worker)}

    async def dialogue(self) -> None:
        """Start a session that repeats what it is told, and type lines into it."""
        began = perf_counter()
        session = (await self.tool("shell_spawn", argv=["cat"]))["session"]
        self.starts.append((perf_counter() - began) * 1000)
        before = self.used()
        for number in range(TYPED):
            began = perf_counter()
            # The terminal shows it as it is typed, and cat once more.
            text, seen = f"line {number}.", rf"line {number}\.\s+line {number}\."
            await self.tool("session_send", session=session, text=text, submit=True, wait=seen)
            self.lines.append((perf_counter() - began) * 1000)
        for name, seconds in self.used().items():
            self.line_cpu[name] += seconds - before[name]
        await self.tool("session_kill", session=session)

    async def flood(self, octets: int) -> None:
        """Let a program print as fast as it can, and wait for its end."""
        before, began = self.used(), perf_counter()
        session = (await self.tool("shell_spawn", command=FLOOD.format(octets)))["session"]
        while True:
            seen = await self.tool(
                "session_recv", session=session, wait="at-end", timeout=60, offset=-256
            )
            if "at-end" in seen["output"] or not seen["running"]:
                break
        self.rates.append(octets / 1e6 / (perf_counter() - began))
        for name, seconds in self.used().items():
            self.flood_cpu[name] += seconds - before[name]

    def found(self, rounds: int, octets: int) -> dict[str, Any]:
        def share(used: dict[str, float], count: float) -> dict[str, float]:
            return {name: round(seconds * 1000 / count, 2) for name, seconds in used.items()}

        return {
            "start of a session, ms": summary(self.starts),
            "line typed and answered, ms": summary(self.lines),
            "CPU a line, ms": share(self.line_cpu, rounds * TYPED),
            "output, MB/s": summary(self.rates),
            "CPU a MB of output, ms": share(self.flood_cpu, rounds * octets / 1e6),
        }


async def measure(hosts: dict[str, Host], rounds: int, octets: int) -> dict[str, dict[str, Any]]:
    """What is found of each mode."""
    sides = {mode: Side(at, await Agent.connect(at.socket)) for mode, at in hosts.items()}
    for side in sides.values():
        await side.agent.run(command="true")
    for _ in range(rounds):
        for side in sides.values():
            await side.dialogue()
        for side in sides.values():
            await side.flood(octets)
    found = {mode: side.found(rounds, octets) for mode, side in sides.items()}
    await asyncio.gather(*(side.agent.close() for side in sides.values()))
    return found


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="bench.recording", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--megabytes", type=int, default=8, help="of output each time")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        hosts = {
            mode: stack.enter_context(
                processes({"recording.mode": mode, "recording.free_bytes": "0"})
            )
            for mode in MODES
        }
        found = asyncio.run(measure(hosts, options.rounds, options.megabytes * 1_000_000))
    if options.json:
        print(json.dumps(found))
        return
    for mode, rows in found.items():
        for name, value in rows.items():
            print(f"{mode:10}{name:32}", value)


if __name__ == "__main__":
    main()
