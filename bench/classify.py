"""Cost of a verdict: the corpora one command at a time, then hostile text of doubled size.

Run: ``python -m bench.classify``. Prints percentiles in microseconds, commands a second, the
time to load the knowledge base, and for each hostile shape the time and steps as it doubles: a
factor near 2, or a refusal, is linear. Times are CPU times of this process.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from relay_shell.policy import classify_command
from relay_shell.policy.knowledge import load

ROOT = Path(__file__).resolve().parent.parent
SHAPES = {
    "semicolons": "a;",
    "true commands": "ls -l;",
    "pipes": "ls|",
    "push words": "git push ",
    "substitutions": "$(",
    "backquotes": "`",
    "subshells": "(",
    "braces": "{a,b}",
    "nested braces": "{a,",
    "quotes": "'\"",
    "brackets": "[",
    "arithmetic": "$((",
    "operators": "<<E ",
    "sudo": "sudo ",
    "dashes": "find -exec ",
    "variables": "x=$x$x;",
    "long word": "a",
    "heredocs": "cat <<E\nx\nE\n",
    "loops": "for i in a;do ",
}
# Scripts of a language inside one quoted word: what stands before the repeated piece.
SCRIPTS = {
    "sed brackets": ("sed 's/", "["),
    "sed commands": ("sed '", "p;"),
    "awk brackets": ("awk '", "a/[a"),
    "awk division": ("awk '{print ", "a/b "),
    "sql brackets": ('mysql -e "SELECT ', "["),
    "sql alter": ('mysql -e "', "ALTER TABLE "),
    "sql update": ('mysql -e "', "UPDATE a SET "),
    "python": ("python3 -c 'print(", "a."),
    "mongo": ("mongosh --eval 'db", ".a"),
}


def main() -> int:
    started = time.process_time()
    programs = len(load(Path("/nonexistent")))
    print(f"knowledge base: {programs} programs in {1000 * (time.process_time() - started):.0f} ms")
    commands = [
        json.loads(line)["cmd"]
        for path in sorted((ROOT / "tests" / "corpus").glob("commands-*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    for command in commands:
        classify_command(command)
    times = []
    for command in commands:
        started = time.process_time()
        classify_command(command)
        times.append(1e6 * (time.process_time() - started))
    times.sort()
    print(
        f"{len(times)} commands: median {statistics.median(times):.0f} us, "
        f"p95 {times[int(0.95 * len(times))]:.0f} us, p99 {times[int(0.99 * len(times))]:.0f} us, "
        f"{1e6 * len(times) / sum(times):.0f} commands/s"
    )
    worst = 0.0
    shapes = {name: ("", piece) for name, piece in SHAPES.items()} | SCRIPTS
    for name, (start, piece) in shapes.items():
        quote = next((char for char in reversed(start) if char in "'\""), "")
        row = []
        for size in (4096, 8192, 16384, 32768, 65000, 1 << 20):
            text = (start + piece * (size // len(piece)))[:size] + quote
            started = time.process_time()
            verdict = classify_command(text)
            spent = 1000 * (time.process_time() - started)
            worst = max(worst, spent)
            row.append(f"{spent:7.1f}/{int(verdict.tier)}")
        print(f"{name:16}" + " ".join(row))
    print(f"worst {worst:.1f} ms (ms/tier at 4, 8, 16, 32, 64 kB and 1 MiB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
