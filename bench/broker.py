"""What the broker costs a call: begin and end over a real socket, with and without the disk.

Prints milliseconds, calls a second, and the CPU time of the broker for one call. "without sync"
replaces fdatasync(2) by nothing, so what is left is the broker: two round trips, classification,
redaction, two records.

    python bench/broker.py [--calls N] [--dir DIR]

The client sends what was encoded before, so that it takes as little as may be of a machine that
has two processors for both.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import operator
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# In place of this directory, where a module of this name would hide the package of helpers.
sys.path[:1] = [str(ROOT / "src"), str(ROOT / "tests")]

from broker.office import Office, Worker, accounts, listening  # noqa: E402
from relay_shell.broker.__main__ import run_on_loop  # noqa: E402
from relay_shell.broker.server import Broker  # noqa: E402
from relay_shell.wire.frame import encode  # noqa: E402

COMMANDS = (
    "df -h /srv/{}",
    "systemctl status app-{} --no-pager",
    "journalctl -u app-{} --since '1 hour ago' | tail -n 50",
    'for f in /etc/app-{}/*.conf; do grep -l listen "$f"; done',
)

FIRST = 1000
"""Number of the first request; those of the hello are below."""


def serve(root: str, sync: bool, ready: Connection) -> None:
    """The broker, in a process of its own and on the loop that it has in production."""
    if not sync:
        os.fdatasync = lambda fd: None  # type: ignore[assignment]

    async def main() -> int:
        office = Office(Path(root), limits__calls=1024)
        broker = Broker(office.settings, accounts=accounts())
        for name in ("broker", "operator"):
            broker.listen(listening(office.settings[f"paths.{name}"]), name)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(ready.fileno(), ended.set)
        ready.send(os.getpid())
        await ended.wait()
        await broker.close()
        return 0

    run_on_loop(main())


@contextmanager
def broker(root: Path, sync: bool) -> Iterator[int]:
    """A running broker; yields its process id."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(str(root), sync, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join()


def used(pid: int) -> float:
    """Processor time of a process so far, in seconds."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        # sched(7): nanoseconds on a processor, which stat(5) has in ticks alone.
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


async def dial(root: Path) -> tuple[Office, Worker]:
    """A worker at work; its loop lets go of the link, which `drive` uses alone."""
    office = Office(root)
    _, worker = await office.at_work()
    asyncio.get_running_loop().remove_reader(worker.link.sock)
    worker.link.sock.setblocking(True)
    return office, worker


class Load:
    """Calls whose messages are ready to send, so that the client costs the machine little.

    Args:
        conn: the connection that they are for.
        name: begins the id of each.
        count: of calls.
        own: whether each command has words of its own, so that none is a repetition; else four
            commands come in turn.
    """

    def __init__(self, conn: str, name: str, count: int, own: bool) -> None:
        self.begins: list[bytes] = []
        self.ends: list[bytes] = []
        for n in range(count):
            call = f"{name}-{n}"
            words = call if own else "web"
            asked = {"command": COMMANDS[n % len(COMMANDS)].format(words)}
            begin = {"call": call, "conn": conn, "tool": "shell_exec", "args": asked}
            end = {"call": call, "status": "ok", "duration_ms": 1, "exit": 0}
            end |= {"sha256": "0" * 64, "bytes": 512}
            self.begins += encode({"m": "begin", "i": FIRST + 2 * n, "b": begin})
            self.ends += encode({"m": "end", "i": FIRST + 2 * n + 1, "b": end})

    def drive(self, sock: socket.socket, in_flight: int) -> dict[str, float]:
        """Begin and end every call, `in_flight` at once over one worker's link."""
        count, clock = len(self.begins), time.perf_counter
        started, begun, ended = [0.0] * count, [0.0] * count, [0.0] * count
        sent = min(in_flight, count)
        for n in range(sent):
            started[n] = clock()
            sock.send(self.begins[n])
        for _ in range(2 * count):
            packet = sock.recv(65_536)
            n, end = divmod(int(packet[6 : packet.index(b",")]) - FIRST, 2)
            if end:
                ended[n] = clock()
                assert b'"b":{}' in packet, packet
                if sent < count:
                    started[sent] = clock()
                    sock.send(self.begins[sent])
                    sent += 1
            else:
                begun[n] = clock()
                assert b'"decision":"allow"' in packet, packet
                sock.send(self.ends[n])
        times = sorted(map(operator.sub, ended, started))
        return {
            "least_ms": round(times[0] * 1000, 3),
            "p50_ms": round(statistics.median(times) * 1000, 3),
            "p99_ms": round(times[int(count * 0.99)] * 1000, 3),
            "begin_p50_ms": round(statistics.median(map(operator.sub, begun, started)) * 1000, 3),
            "calls_per_s": round(count / (max(ended) - started[0])),
        }


def measure(root: Path, calls: int, in_flight: int, own: bool, pid: int) -> dict[str, float]:
    """One case, after a first tenth of the calls has warmed the broker."""
    with asyncio.Runner() as runner:
        office, worker = runner.run(dial(root))
        sock = worker.link.sock
        Load(worker.conn, "w", calls // 10, own).drive(sock, in_flight)
        load = Load(worker.conn, "k", calls, own)
        before = used(pid)
        row = load.drive(sock, in_flight)
        row["cpu_ms"] = round((used(pid) - before) / calls * 1000, 3)
        office.mcp.close()
    return row


def main() -> None:
    """Measure each case and print a table, then one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--dir", help="where the record is written; decides what a sync costs")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    columns = ("least_ms", "p50_ms", "p99_ms", "begin_p50_ms", "calls_per_s", "cpu_ms")
    print(f"{'case':40}" + "".join(f"{name:>13}" for name in columns))
    for own, sync, in_flight in itertools.product((False, True), (False, True), (1, 16)):
        with tempfile.TemporaryDirectory(dir=args.dir) as directory:
            root = Path(directory)
            # The client's Office makes the MCP socket anew; the broker only compares its name.
            with broker(root, sync) as pid:
                row = measure(root, args.calls, in_flight, own, pid)
        name = "own commands" if own else "4 commands"
        name += f", {'with' if sync else 'without'} sync, {in_flight} in flight"
        found[name] = row
        print(f"{name:40}" + "".join(f"{row[name]:13}" for name in columns), flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
