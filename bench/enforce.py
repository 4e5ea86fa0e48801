"""What confining a command costs: an enforced spawn next to a plain one, interleaved in one run.

Run: ``python -m bench.enforce [--rounds N]``. Each round starts ``true`` by both ways, from the
first call until the process has ended and its scratch directory is gone, without a broker or a
front. As root the privileged posture's way is measured (mount namespace), else the scoped one
(Landlock). Budget: 2 ms more, at the median.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from relay_shell.shell import confine  # noqa: E402
from relay_shell.shell.cgroup import Groups  # noqa: E402
from relay_shell.shell.children import Children  # noqa: E402
from relay_shell.shell.confined import Enforcer  # noqa: E402
from relay_shell.shell.environment import Account  # noqa: E402
from relay_shell.shell.outputs import OutputStore  # noqa: E402
from relay_shell.shell.run import Shell  # noqa: E402

BUDGET = 2.0
"""Milliseconds that enforcement may add."""


class Call:
    """A call as far as the shell needs one."""

    listening = False
    partial: object = None

    def __init__(self, enforcement: str) -> None:
        self.id = f"k-{os.urandom(8).hex()}"
        self.enforcement = enforcement

    def progress(self, message: str) -> None:
        raise AssertionError(message)


async def one(shell: Shell, argv: list[str], enforcement: str) -> float:
    """Milliseconds of one run."""
    began = time.perf_counter()
    done = await shell.run(argv, call=Call(enforcement), timeout=30, max_output=65_536)
    assert done.exit == 0, done.stderr
    return (time.perf_counter() - began) * 1000


async def measure(rounds: int, argv: list[str]) -> dict[str, list[float]]:
    """Times by way, in rounds that alternate which goes first."""
    confine.adopt_orphans()
    account = Account()
    account.prepare()
    children = Children(Groups.find())
    enforcer = Enforcer(account, {})
    shell = Shell(children, OutputStore("bench", {}, account.tmp), account, {}, enforcer)
    times: dict[str, list[float]] = {"none": [], "readonly": []}
    try:
        for way in times:
            for _ in range(10):
                await one(shell, argv, way)
        for number in range(rounds):
            for way in sorted(times, reverse=bool(number % 2)):
                times[way].append(await one(shell, argv, way))
    finally:
        children.close()
        shell.close()
    return times


def quantile(times: list[float], share: float) -> float:
    """The time that this share of all stayed below."""
    return sorted(times)[int(share * (len(times) - 1))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    args = parser.parse_args()
    # As in a unit of Debian 13, whose /tmp is a tmpfs.
    with tempfile.TemporaryDirectory(prefix="relay-shell-bench-", dir="/dev/shm") as directory:
        os.environ["TMPDIR"] = os.environ["HOME"] = directory
        way = "mount namespace" if os.geteuid() == 0 else "Landlock"
        print(f"{args.rounds} interleaved rounds, {way}")
        print(
            f"{'command':11} {'of all':>7} {'plain':>10} {'enforced':>10} {'more':>9} {'ratio':>6}"
        )
        worst = 0.0
        for name, argv in {"true": ["true"], "sh -c true": ["/bin/sh", "-c", "true"]}.items():
            times = asyncio.run(measure(args.rounds, argv))
            for place, share in {"least": 0.0, "10 %": 0.1, "median": 0.5, "95 %": 0.95}.items():
                plain, enforced = (quantile(times[way], share) for way in ("none", "readonly"))
                if place == "median":
                    worst = max(worst, enforced - plain)
                print(
                    f"{name:11} {place:>7} {plain:7.2f} ms {enforced:7.2f} ms"
                    f" {enforced - plain:6.2f} ms {enforced / plain:6.2f}"
                )
    print(f"budget {BUDGET:g} ms: {'held' if worst <= BUDGET else 'missed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
