"""A hundred crashes under load, each with its recovery: power cuts and SIGKILL, by seed.

    python -m bench.crash [--trials N] [--seed FIRST] [--kind KIND] [--no-sync]

Says for each what was struck and what was found. A trial that fails is named with its seed, which
gives the same dice again (the moment is the scheduler's), and the exit status is 1. `--no-sync`
builds the broker without fdatasync(2): its power cuts must fail. Needs root, /dev/fuse and loop
devices.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# In place of this directory, where a module of this name would hide the package of helpers.
sys.path[:1] = [str(ROOT / "src"), str(ROOT / "tests")]
sys.modules.pop("crash", None)

from crash.disk import usable  # noqa: E402
from crash.trial import KINDS, Result, trial  # noqa: E402

SHOWN = 5


def show(result: Result, seconds: float) -> None:
    """One trial, in one line, and its problems."""
    print(
        f"{result.seed:4} {result.kind:7} {result.ran:4} ran, {result.intents:4} intents, "
        f"{result.interrupted:2} interrupted, {seconds:4.1f} s; {result.story}"
        + (f"; verify: {', '.join(result.findings)}" if result.findings else ""),
        flush=True,
    )
    for problem in result.problems[:SHOWN]:
        print(f"     FAILED: {problem}", flush=True)
    if len(result.problems) > SHOWN:
        print(f"     and {len(result.problems) - SHOWN} more", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="of the first trial")
    parser.add_argument("--kind", choices=KINDS, default="", help="default: thrown by dice")
    parser.add_argument("--no-sync", action="store_true", help="a broker that must fail")
    args = parser.parse_args()
    if reason := usable():
        print(reason)
        return 69
    failed: list[int] = []
    kinds: Counter[str] = Counter()
    ran = answered = intents = interrupted = 0
    for seed in range(args.seed, args.seed + args.trials):
        began = time.monotonic()
        result = asyncio.run(trial(seed, args.kind, sync=not args.no_sync))
        show(result, time.monotonic() - began)
        kinds[result.kind] += 1
        ran += result.ran
        answered += result.answered
        intents += result.intents
        interrupted += result.interrupted
        if result.problems:
            failed.append(seed)
    what = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    print(f"{sum(kinds.values())} trials ({what}): {ran} commands ran, {answered} were answered,")
    print(f"{intents} intents on disk, {interrupted} of them named as interrupted;")
    print(f"failed: {', '.join(map(str, failed)) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
