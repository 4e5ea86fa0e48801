"""A slice with a worker in it, on the running kernel, and the programs that observe it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_shell.observer import btf
from relay_shell.observer.bpf import BpfError
from relay_shell.observer.collect import Collector
from relay_shell.observer.kernel import Kernel, cgroup_id

UNIT = "relay-shell-worker@1-2-3.service"

# A worker as far as the kernel's part knows one: it belongs to no call, and starts commands each in
# the cgroup of its call. It answers when the command has ended.
WORKER = """
import os, sys
base = sys.argv[1]
open(base + "/worker/cgroup.procs", "w").write("0")
print("ready", flush=True)
for line in sys.stdin:
    group, command = line.rstrip("\\n").split(" ", 1)
    pid = os.fork()
    if pid == 0:
        open(f"{base}/{group}/cgroup.procs", "w").write("0")
        os.execv("/bin/sh", ["sh", "-c", command])
    os.waitpid(pid, 0)
    print("done", flush=True)
"""


def mounted() -> str | None:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if line.split()[2] == "cgroup2" and os.access(line.split()[1], os.W_OK):
            return line.split()[1]
    return None


class Slice:
    """A slice of the test's own, with one worker's unit in it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.unit = f"{path}/{UNIT}"
        os.makedirs(f"{self.unit}/worker")
        self._worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, self.unit],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()

    def group(self, name: str) -> int:
        """Make the cgroup of a call or session; return its id."""
        os.makedirs(f"{self.unit}/{name}", exist_ok=True)
        return cgroup_id(f"{self.unit}/{name}")

    def start(self, name: str, command: str) -> None:
        """Have the worker start a command."""
        self.group(name)
        assert self._worker.stdin is not None
        self._worker.stdin.write(f"{name} {command}\n")
        self._worker.stdin.flush()

    def answer(self) -> None:
        """Wait for the worker."""
        assert self._worker.stdout is not None
        assert self._worker.stdout.readline()

    def run(self, name: str, command: str) -> None:
        """Run a command as the worker does, to its end."""
        self.start(name, command)
        self.answer()

    def end_group(self, name: str) -> None:
        """Remove a call's cgroup, as the worker does."""
        os.rmdir(f"{self.unit}/{name}")

    def close(self) -> None:
        assert self._worker.stdin is not None and self._worker.stdout is not None
        self._worker.stdin.close()
        self._worker.wait(60)
        self._worker.stdout.close()
        deadline = time.monotonic() + 60
        while os.path.isdir(self.path):
            assert time.monotonic() < deadline, f"{self.path} stays busy"
            for path, _, _ in os.walk(self.path, topdown=False):
                with contextlib.suppress(OSError):
                    for pid in Path(path, "cgroup.procs").read_text().split():
                        os.kill(int(pid), 9)
                    os.rmdir(path)


@pytest.fixture
def slice_() -> Iterator[Slice]:
    mount = mounted()
    if mount is None:
        pytest.skip("no writable cgroup2")
    made = Slice(f"{mount}/relay-shell-test-{os.getpid()}.slice")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def observe(slice_: Slice) -> Iterator[Callable[..., Kernel]]:
    """Starts the observation of the slice."""
    opened: list[Kernel] = []

    def start(most: int = 256) -> Kernel:
        try:
            opened.append(Kernel(cgroup_id(slice_.path), most))
        except (btf.BtfError, BpfError) as error:
            if getattr(error, "log", ""):
                raise AssertionError(error.log) from error
            pytest.skip(f"the kernel lets nobody observe here: {error}")
        return opened[-1]

    yield start
    for kernel in opened:
        kernel.close()


class Seen:
    """A collector on a kernel's ring, and the batches that it handed on."""

    def __init__(self, kernel: Kernel, path: str, most: int = 256) -> None:
        self.kernel = kernel
        self.batches: list[dict[str, Any]] = []
        self.collector = Collector(kernel, path, most, self.batches.append)

    def until_ended(self, *groups: str) -> dict[str, list[dict[str, Any]]]:
        """Read until each of these groups has ended; the executions by group."""
        deadline = time.monotonic() + 60
        while not set(groups) <= {b["group"] for b in self.batches if b["ended"]}:
            assert time.monotonic() < deadline, self.batches
            self.kernel.ring.wait(0.1)
            for record in self.kernel.ring.read():
                self.collector.take(record)
        found: dict[str, list[dict[str, Any]]] = {}
        for batch in self.batches:
            found.setdefault(batch["group"], []).extend(batch["execs"])
        return found

    def last(self, group: str) -> dict[str, Any]:
        return [batch for batch in self.batches if batch["group"] == group][-1]
