"""Cost of the record: one line, durable lines by many writers at once, reading, verifying.

Run: ``python bench/evidence.py [--directory DIR]``. The floor beside the durable rate is a bare
write(2) and fdatasync(2) of the same lines, one after the other, on the same file system.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from relay_shell.evidence.canonical import body
from relay_shell.evidence.chain import seal
from relay_shell.evidence.journal import Journal, encode
from relay_shell.evidence.reader import iter_records
from relay_shell.evidence.record import GENESIS
from relay_shell.evidence.signing import Signer
from relay_shell.evidence.signing import generate as generate_key
from relay_shell.evidence.verify import verify_chain
from relay_shell.evidence.writer import Writer

CALL = {
    "event": "intent",
    "conn": "c-0123456789ab",
    "principal": "unix:alice",
    "client": "inspector/1.0",
    "uid": 1000,
    "pid": 4711,
    "unit": "relay-shell-worker@7-123-1000.service",
    "posture": "scoped",
    "worker": "abcdefgh",
    "tool": "shell_exec",
    "tier": 0,
    "mode": "open",
    "enforcement": "none",
    "decision": "allow",
    "reasons": ["df only reads"],
    "args": {"command": "df -h", "timeout": 60},
    "args_sha256": "0" * 64,
    "args_bytes": 33,
    "request_id": "17",
}

JOURNALD = """
import socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind(sys.argv[1])
print(flush=True)
while True:
    sock.recv(1 << 20)
"""


def show(name: str, figure: str) -> None:
    print(f"{name:44} {figure}", flush=True)


def each(work: Callable[[], object], count: int, rounds: int) -> float:
    """Median over the rounds of the time for one piece of work, in microseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(count):
            work()
        times.append((time.perf_counter() - start) / count * 1e6)
    return statistics.median(times)


def floor(path: Path, count: int) -> float:
    """Durable lines a second without any of this."""
    line = b"x" * 800 + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    start = time.perf_counter()
    for _ in range(count):
        os.write(fd, line)
        os.fdatasync(fd)
    os.close(fd)
    return count / (time.perf_counter() - start)


async def durable(writer: Writer, writers: int, seconds: float) -> tuple[float, list[float]]:
    """Records a second by so many at once, and the latency of each in milliseconds."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def one(name: int) -> None:
        n = 0
        while (start := time.perf_counter()) < end:
            await writer.append({**CALL, "call_id": f"k-{name}-{n}"})
            latencies.append((time.perf_counter() - start) * 1e3)
            n += 1

    begin = time.perf_counter()
    await asyncio.gather(*map(one, range(writers)))
    return len(latencies) / (time.perf_counter() - begin), sorted(latencies)


async def measure(directory: Path, seconds: float) -> None:
    """Print all figures of the writer."""
    journald = subprocess.Popen(
        [sys.executable, "-c", JOURNALD, str(directory / "journal")], stdout=subprocess.PIPE
    )
    assert journald.stdout is not None
    journald.stdout.readline()
    record = {"v": 1, "seq": 1, "ts": "2026-01-01T00:00:00.000000Z", "boot_id": "0" * 32, **CALL}
    cost = each(lambda: seal(GENESIS, body(record, GENESIS)), 5000, 5)
    show("canonical JSON and chain", f"{cost:9.1f} us")
    cost = each(lambda: encode(record), 5000, 5)
    show("journal entry, encoded", f"{cost:9.1f} us")
    writer = Writer(directory / "plain.jsonl")
    cost = each(lambda: writer.append_now(CALL), 5000, 5)
    show("append, not durable", f"{cost:9.1f} us   budget 100")
    writer.close()
    writer = Writer(directory / "both.jsonl", journal=Journal(path=str(directory / "journal")))
    cost = each(lambda: writer.append_now(CALL), 2000, 5)
    show("append, not durable, and journal", f"{cost:9.1f} us")
    writer.close()
    rate = floor(directory / "floor", 1000)
    show("floor: write and fdatasync, one by one", f"{rate:9.0f} /s")
    for writers in (1, 8, 16, 64):
        writer = Writer(directory / f"durable-{writers}.jsonl")
        rate, latencies = await durable(writer, writers, seconds)
        half, most = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
        batch = writer.status()["largest_batch"]
        text = f"{rate:9.0f} /s   p50 {half:.2f} ms  p99 {most:.2f} ms  at most {batch} a sync"
        show(f"durable, {writers} at once", text + ("   budget 2000" if writers == 16 else ""))
        writer.close()
    journald.kill()
    journald.communicate()


def reading(path: Path, count: int) -> None:
    """Print all figures of reading a file of so many records."""
    writer = Writer(path)
    for n in range(count):
        writer.append_now({**CALL, "call_id": f"k-{n}"})
        writer.append_now({"event": "outcome", "call_id": f"k-{n}", "status": "ok", "exit": 0})
    writer.close()
    size = path.stat().st_size / 1e6
    jobs: dict[str, Callable[[], object]] = {
        "start: tail and unfinished calls": lambda: Writer(path).close(),
        "read all": lambda: deque(iter_records(path), 0),
        "find one call": lambda: deque(iter_records(path, filters={"call_id": "k-1"}), 0),
        "last 100 of a principal": lambda: list(
            islice(iter_records(path, filters={"principal": "unix:alice"}, reverse=True), 100)
        ),
    }
    jobs["since now, no checkpoints"] = since_now(path)
    verifying(path, 2 * count)
    for name, job in jobs.items():
        elapsed = each(job, 1, 3) / 1e6
        rate = 2 * count / elapsed / 1e3
        show(name, f"{elapsed * 1e3:9.1f} ms   {size / elapsed:6.0f} MB/s  {rate:6.0f} k/s")


def since_now(path: Path) -> Callable[[], object]:
    """What reads backwards all that is of now or later."""
    filters = {"since": time.time()}
    return lambda: deque(iter_records(path, filters=filters, reverse=True), 0)


def sealed(path: Path, count: int) -> None:
    """Print what it costs to look for what is later than all, in a file with checkpoints."""
    pem = generate_key()
    writer = Writer(path, signer=Signer(lambda: pem))
    for n in range(count):
        writer.append_now({**CALL, "call_id": f"k-{n}"})
    writer.close()
    show("since now, with checkpoints", f"{each(since_now(path), 1, 5) / 1e3:9.1f} ms")


def verifying(path: Path, count: int) -> None:
    """Print the speed of a verification next to that of SHA-256 alone over the same bytes, which
    the chain cannot do without. Each is the best of three, taken in turns."""
    data = path.read_bytes()
    lines = data.split(b"\n")
    processors = len(os.sched_getaffinity(0))
    ways: dict[str, Callable[[], object]] = {
        "floor: SHA-256 of the file": lambda: hashlib.sha256(data).digest(),
        "floor: SHA-256 of each line": lambda: deque(map(hashlib.sha256, lines), 0),
        "verify, 1 process": lambda: verify_chain(path),
        f"verify, {processors} processes": lambda: verify_chain(path, jobs=processors),
    }
    best: dict[str, tuple[float, float]] = {}
    for _ in range(3):
        for name, job in ways.items():
            elapsed, busy = time.perf_counter(), processor_time()
            job()
            taken = time.perf_counter() - elapsed, processor_time() - busy
            best[name] = tuple(map(min, taken, best.get(name, taken)))
    least = best["floor: SHA-256 of each line"][1]
    for name, (elapsed, busy) in best.items():
        rate = f"{len(data) / 1e6 / elapsed:6.0f} MB/s  {count / elapsed / 1e3:6.0f} k/s"
        use = f"processor {busy * 1e3:6.0f} ms, {busy / least:4.1f} x each line"
        show(name, f"{elapsed * 1e3:9.1f} ms   {rate}   {use}")


def processor_time() -> float:
    """Seconds of this process and of the children that it has waited for."""
    times = os.times()
    return sum(times[:4])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="where to write")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each durable rate")
    parser.add_argument("--records", type=int, default=100_000, help="calls in the file read")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.directory) as name:
        asyncio.run(measure(Path(name), args.seconds))
        print(f"a file of {2 * args.records} records:")
        reading(Path(name) / "read.jsonl", args.records)
        sealed(Path(name) / "sealed.jsonl", args.records)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    show("peak memory", f"{peak:9.1f} MiB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
