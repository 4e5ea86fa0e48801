"""Ways to see what a call executes, side by side: what each one misses, and what it costs.

    python -m bench.observers [--runs N] [--audit]

Each runs the same shell loop of N short programs, each with an argument of its own, and says how
many of them it saw with their arguments, how long one took, and the processor time of the programs
and of the observer; other work on the machine disturbs that least. The kernel's own clock says what
one run of each eBPF program takes. Needs root and a writable cgroup2. --audit switches the kernel's
audit on for a moment: not on a host where auditd runs.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import os
import resource
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Self

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from relay_shell.observer import layout
from relay_shell.observer.kernel import Kernel, cgroup_id

LOOP = "n=0; while [ $n -lt {runs} ]; do /bin/true seen-$n; n=$((n+1)); done"
UNIT = "relay-shell-worker@bench.service"
GROUP = "call-k-bench"
ROUNDS = 10
RAN: dict[str, list[int]] = {}
STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")

Seen = set[bytes]
Way = Callable[[str, int], AbstractContextManager[Seen]]


def arguments(pid: int) -> bytes:
    """The first argument of a process that may be gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).split(b"\0")
    except OSError:
        return b""
    return words[1] if len(words) > 1 else b""


@contextlib.contextmanager
def nothing(base: str, runs: int) -> Iterator[Seen]:
    """The floor."""
    yield set()


@contextlib.contextmanager
def ebpf(base: str, runs: int) -> Iterator[Seen]:
    """Programs at sched_process_fork, _exec and _exit, and their ring."""
    seen: Seen = set()
    kernel = Kernel(cgroup_id(base), runs + 10)
    ended = threading.Event()

    def drain() -> None:
        for record in kernel.ring.read():
            if layout.EVENT.unpack_from(record)[0] == layout.EXEC:
                words = record[layout.HEADER + layout.PATH :].split(b"\0")
                seen.add(words[1] if len(words) > 1 else b"")

    def read() -> None:
        while not ended.is_set():
            kernel.ring.wait(0.2)
            drain()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        ended.set()
        reader.join()
        drain()
        for tracepoint, row in kernel.statistics().items():
            ran = RAN.setdefault(tracepoint, [0, 0])
            ran[0] += row.nanoseconds
            ran[1] += row.runs
        kernel.close()


def polling(interval: float) -> Way:
    """Look into cgroup.procs again and again."""

    @contextlib.contextmanager
    def way(base: str, runs: int) -> Iterator[Seen]:
        seen: Seen = set()
        ended = threading.Event()
        procs = f"{base}/{UNIT}/{GROUP}/cgroup.procs"

        def look() -> None:
            while not ended.wait(interval):
                with contextlib.suppress(OSError), open(procs, encoding="ascii") as file:
                    for pid in file.read().split():
                        seen.add(arguments(int(pid)))

        reader = threading.Thread(target=look)
        reader.start()
        try:
            yield seen
        finally:
            ended.set()
            reader.join()

    return way


@contextlib.contextmanager
def connector(base: str, runs: int) -> Iterator[Seen]:
    """Netlink's process connector: numbers of processes, whose arguments are read afterwards."""
    seen: Seen = set()
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 11)
    sock.bind((os.getpid(), 1))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.settimeout(0.2)

    def listen(on: bool) -> None:
        body = struct.pack("=IIIIHHI", 1, 1, 0, 0, 4, 0, 1 if on else 2)
        sock.send(struct.pack("=IHHII", 16 + len(body), 3, 0, 0, os.getpid()) + body)

    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                data = sock.recv(4096)
                what, pid = struct.unpack_from("=I12xi", data, 36)
                if what == 2:
                    seen.add(arguments(pid))

    reader = threading.Thread(target=read)
    listen(True)
    reader.start()
    try:
        yield seen
    finally:
        ended.set()
        reader.join()
        listen(False)
        sock.close()


# ---- seccomp user notification -----------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_EXECVE = {"x86_64": (59, 0xC000003E), "aarch64": (221, 0xC00000B7)}


def listener() -> int:
    """Install a filter that asks about execve(2), and return its listener."""
    number, arch = _EXECVE[os.uname().machine]
    code = [
        (0x20, 0, 0, 4),
        (0x15, 0, 3, arch),
        (0x20, 0, 0, 0),
        (0x15, 0, 1, number),
        (0x06, 0, 0, 0x7FC00000),
        (0x06, 0, 0, 0x7FFF0000),
    ]
    octets = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *row) for row in code))
    program = struct.pack("=H6xQ", len(code), ctypes.addressof(octets))
    _libc.prctl(38, 1, 0, 0, 0)
    call = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
    fd: int = _libc.syscall(call, 1, 8, ctypes.create_string_buffer(program))
    return fd


def answer(fd: int, seen: Seen) -> bool:
    """Serve one question: read the arguments, and let the call go on."""
    question = bytearray(80)
    try:
        fcntl.ioctl(fd, _RECEIVE, question)
    except OSError:
        return False
    ident, pid = struct.unpack_from("=QI", question)
    argv = struct.unpack_from("=Q", question, 16 + 16 + 8)[0]
    with contextlib.suppress(OSError, struct.error), open(f"/proc/{pid}/mem", "rb", 0) as memory:
        memory.seek(argv + 8)
        pointer = struct.unpack("=Q", memory.read(8))[0]
        if pointer:
            memory.seek(pointer)
            seen.add(memory.read(64).partition(b"\0")[0])
    with contextlib.suppress(OSError):
        fcntl.ioctl(fd, _SEND, struct.pack("=QqiI", ident, 0, 0, 1))
    return True


def seccomp(base: str, runs: int) -> tuple[Cost, Seen]:
    """Cost of one program, and what was seen, under a listener in this process."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        fd = listener()
        socket.send_fds(theirs, [b"x"], [fd])
        os.close(fd)
        os.execv("/bin/sh", ["sh", "-c", LOOP.format(runs=runs)])
    _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    seen: Seen = set()
    reader = threading.Thread(target=lambda: all(iter(lambda: answer(fds[0], seen), False)))
    reader.daemon = True
    with Clock(runs) as clock:
        reader.start()
        os.waitpid(pid, 0)
    os.close(fds[0])
    return clock.cost, seen


# ---- audit -------------------------------------------------------------------------------------


@contextlib.contextmanager
def audit(base: str, runs: int) -> Iterator[Seen]:
    """A rule on execve(2), read from audit's multicast group."""
    seen: Seen = set()
    control = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)
    control.bind((0, 0))

    def ask(kind: int, body: bytes) -> None:
        control.send(struct.pack("=IHHII", 16 + len(body), kind, 5, 1, 0) + body)
        control.recv(4096)

    number, _ = _EXECVE[os.uname().machine]
    mask = bytearray(256)
    struct.pack_into("=I", mask, number // 32 * 4, 1 << number % 32)
    rule = struct.pack("=III", 4, 2, 0) + bytes(mask) + bytes(768) + struct.pack("=I", 0)
    status = struct.pack("=II", 1, 1)
    heard = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)
    heard.bind((0, 1))
    heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    heard.settimeout(0.2)
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                data = heard.recv(65_536)
                _, _, found = data.partition(b'a1="')
                if found:
                    seen.add(found.partition(b'"')[0])

    reader = threading.Thread(target=read)
    ask(1001, status + bytes(40))
    ask(1011, rule)
    reader.start()
    try:
        yield seen
    finally:
        time.sleep(0.3)
        ended.set()
        reader.join()
        ask(1012, rule)
        ask(1001, struct.pack("=II", 1, 0) + bytes(40))
        control.close()
        heard.close()


# ---- runs --------------------------------------------------------------------------------------


class Cost(NamedTuple):
    """Of one program, in microseconds."""

    elapsed: float
    programs: float
    """Processor time of the programs."""
    observer: float
    """Processor time of this process."""


class Clock:
    """Measures what is inside."""

    def __init__(self, runs: int) -> None:
        self._runs = runs

    def _now(self) -> Cost:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
        spent = [(row.ru_utime + row.ru_stime) * 1e6 for row in used]
        return Cost(time.perf_counter() * 1e6, spent[0], spent[1])

    def __enter__(self) -> Self:
        self._began = self._now()
        return self

    def __exit__(self, *error: object) -> None:
        now = self._now()
        self.cost = Cost(*((b - a) / self._runs for a, b in zip(self._began, now, strict=True)))


def timed(base: str, runs: int) -> Cost:
    """What one program of the loop costs, run in the call's cgroup by a worker."""
    worker = f"{base}/{UNIT}"

    def start() -> None:
        Path(f"{worker}/{GROUP}/cgroup.procs").write_text("0")

    with Clock(runs) as clock:
        subprocess.run(["/bin/sh", "-c", LOOP.format(runs=runs)], preexec_fn=start, check=True)
    return clock.cost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--audit", action="store_true")
    args = parser.parse_args()
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    base = next(row[1] for row in mounts if row[2] == "cgroup2") + "/relay-shell-bench.slice"
    for name in ("worker", GROUP):
        os.makedirs(f"{base}/{UNIT}/{name}", exist_ok=True)
    ways: dict[str, Way] = {
        "nothing": nothing,
        "eBPF": ebpf,
        "polling, 1 ms": polling(0.001),
        "polling, 10 ms": polling(0.01),
        "process connector": connector,
    }
    if args.audit:
        ways["audit"] = audit
    times: dict[str, list[Cost]] = {name: [] for name in (*ways, "seccomp listener")}
    seen: dict[str, list[int]] = {name: [] for name in times}
    wanted = {b"seen-%d" % n for n in range(args.runs)}
    home = Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip()
    mount = os.path.dirname(base)
    Path(f"{base}/{UNIT}/worker/cgroup.procs").write_text(str(os.getpid()))
    before = STATISTICS.read_text()
    STATISTICS.write_text("1")
    try:
        for _ in range(ROUNDS):
            for name, way in ways.items():
                with way(base, args.runs) as found:
                    times[name].append(timed(base, args.runs))
                seen[name].append(len(found & wanted))
            spent, found = seccomp(base, args.runs)
            times["seccomp listener"].append(spent)
            seen["seccomp listener"].append(len(found & wanted))
    finally:
        STATISTICS.write_text(before)
        Path(f"{mount}{home}/cgroup.procs").write_text(str(os.getpid()))
        for path, _, _ in os.walk(base, topdown=False):
            os.rmdir(path)
    print(f"{args.runs} programs, median of {ROUNDS} rounds; kernel {os.uname().release}")
    print(f"{'':20}{'seen':>8}{'elapsed':>12}{'programs':>12}{'observer':>12}")
    for name, costs in times.items():
        share = 100 * statistics.median(seen[name]) / args.runs
        columns = "".join(
            f"{statistics.median(column):9.0f} us" for column in zip(*costs, strict=True)
        )
        print(f"{name:20}{share:7.1f}%{columns}")
    for tracepoint, (nanoseconds, runs) in RAN.items():
        print(f"eBPF at {tracepoint}: {nanoseconds / max(runs, 1):.0f} ns a run, {runs} runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
