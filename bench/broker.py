"""What the broker costs a call: begin and end over a real socket, with and without the disk.

Prints milliseconds, calls a second, and the CPU time of the broker for one call. "without sync"
replaces fdatasync(2) by nothing, so what is left is the broker: two round trips, classification,
redaction, two records.

    python bench/broker.py [--calls N] [--dir DIR] [--uvloop]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# In place of this directory, where a module of this name would hide the package of helpers.
sys.path[:1] = [str(ROOT / "src"), str(ROOT / "tests")]

from broker.office import Office, accounts, listening  # noqa: E402
from relay_shell.broker.server import Broker  # noqa: E402

COMMANDS = (
    "df -h",
    "systemctl status nginx --no-pager",
    "journalctl -u ssh --since '1 hour ago' | tail -n 50",
    'for f in /etc/*.conf; do grep -l listen "$f"; done',
)


def serve(root: str, sync: bool, uvloop: bool, ready: Connection) -> None:
    """The broker, in a process of its own as in production."""
    if not sync:
        os.fdatasync = lambda fd: None  # type: ignore[assignment]

    async def main() -> None:
        office = Office(Path(root), limits__calls=1024)
        broker = Broker(office.settings, accounts=accounts())
        for name in ("broker", "operator"):
            broker.listen(listening(office.settings[f"paths.{name}"]), name)
        ready.send("ready")
        began = time.process_time()
        while not ready.poll():
            await asyncio.sleep(0.2)
        usage = time.process_time() - began
        await broker.close()
        ready.send(usage)

    _run(main(), uvloop)


def _run(coroutine: Any, uvloop: bool) -> Any:
    if not uvloop:
        return asyncio.run(coroutine)
    import uvloop as implementation

    with asyncio.Runner(loop_factory=implementation.new_event_loop) as runner:
        return runner.run(coroutine)


@contextmanager
def broker(root: Path, sync: bool, uvloop: bool) -> Any:
    """A running broker; yields a list that holds its CPU seconds afterwards."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(str(root), sync, uvloop, theirs))
    process.start()
    assert ours.recv() == "ready"
    used: list[float] = []
    try:
        yield used
    finally:
        ours.send("end")
        used.append(ours.recv())
        process.join()


async def measure(root: Path, calls: int, in_flight: int) -> dict[str, float]:
    """Begin and end `calls` calls, `in_flight` at once over one worker's link."""
    office = Office(root)
    _, worker = await office.at_work()
    times: list[float] = []
    begins: list[float] = []
    numbers = iter(range(calls))

    async def lane() -> None:
        for n in numbers:
            started = time.perf_counter()
            await worker.begin(f"k-{in_flight}-{n}", COMMANDS[n % len(COMMANDS)])
            begun = time.perf_counter()
            await worker.end(f"k-{in_flight}-{n}", exit=0, sha256="0" * 64, bytes=512)
            times.append(time.perf_counter() - started)
            begins.append(begun - started)

    started = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(in_flight)))
    elapsed = time.perf_counter() - started
    for peer in office.peers:
        peer.link.close()
    office.mcp.close()
    times.sort()
    return {
        "p50_ms": round(statistics.median(times) * 1000, 3),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 3),
        "begin_p50_ms": round(statistics.median(begins) * 1000, 3),
        "calls_per_s": round(calls / elapsed),
    }


def main() -> None:
    """Measure the four cases and print a table, then one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--dir", help="where the record is written; decides what a sync costs")
    parser.add_argument("--uvloop", action="store_true")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    print(f"{'case':40}{'p50 ms':>9}{'p99 ms':>9}{'begin':>9}{'calls/s':>9}{'cpu ms':>9}")
    for sync in (False, True):
        for in_flight in (1, 16):
            with tempfile.TemporaryDirectory(dir=args.dir) as directory:
                root = Path(directory)
                # The client's Office makes the MCP socket anew; the broker only compares its name.
                with broker(root, sync, args.uvloop) as used:
                    row = _run(measure(root, args.calls, in_flight), args.uvloop)
                row["cpu_ms"] = round(used[0] / args.calls * 1000, 3)
            name = f"begin+end, {'with' if sync else 'without'} sync, {in_flight} in flight"
            found[name] = row
            print(
                f"{name:40}{row['p50_ms']:9.3f}{row['p99_ms']:9.3f}"
                f"{row['begin_p50_ms']:9.3f}{row['calls_per_s']:9d}{row['cpu_ms']:9.3f}"
            )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
