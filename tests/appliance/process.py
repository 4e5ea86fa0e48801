"""A process by its id and start time, so that a reused id is never taken for ours."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def start_time(pid: int) -> int | None:
    """Field 22 of proc_pid_stat(5), in clock ticks after boot; None if there is no such process."""
    try:
        # The command name may hold spaces and parentheses: what follows the last one is regular.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


@dataclass(frozen=True)
class Process:
    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        started = start_time(pid)
        if started is None:
            raise ProcessLookupError(pid)
        return cls(pid, started)

    def alive(self) -> bool:
        return start_time(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Sends the signal to this very process, if it is still there."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # Between opening and this check the id cannot pass to another process unseen.
            if self.alive():
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)


def poll(condition: Callable[[], object], seconds: float, what: str, every: float = 0.02) -> None:
    """Waits until the condition holds. Raises TimeoutError, naming `what`, if it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(every)
