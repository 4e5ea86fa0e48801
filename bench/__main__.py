"""Run every bench, each bounded in time, so that one run on one machine gives all figures.

    python -m bench [NAME...]

What a bench needs longer for than its bound is ended and named, and the exit status is 1.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

BENCHES: dict[str, tuple[list[str], int]] = {
    "calls": (["--rounds", "25"], 120),
    "front": (["--rounds", "20"], 60),
    "broker": (["--calls", "1000"], 90),
    "worker": (["200"], 60),
    "evidence": ([], 60),
    "recording": (["--rounds", "5"], 120),
    "classify": ([], 60),
    "redaction": ([], 60),
    "fleet": ([], 90),
    "score": ([], 120),
}
"""Arguments, and seconds that it may take."""


def main(names: list[str]) -> int:
    """Run the benches named, or all; 1 if one failed or took too long."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench named {', '.join(unknown)}; there are {', '.join(BENCHES)}")
        return 64
    failed = []
    for name in names or BENCHES:
        words, bound = BENCHES[name]
        print(f"== {name} {' '.join(words)}", flush=True)
        began = time.monotonic()
        try:
            done = subprocess.run(
                [sys.executable, "-m", f"bench.{name}", *words],
                check=False,
                cwd=HERE.parent,
                timeout=bound,
            )
            status = f"exit {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            status = f"ended after {bound} s"
        print(f"-- {name}: {status or 'done'}, {time.monotonic() - began:.0f} s", flush=True)
        if status:
            failed.append(name)
    if failed:
        print(f"not complete: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
