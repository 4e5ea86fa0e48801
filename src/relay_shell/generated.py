"""Files of the source tree that are made from tables: write them, or name those out of date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def main(files: Mapping[str, Callable[[], str]], program: str, argv: Sequence[str] | None) -> int:
    """Write the files, or with --check only name those that are out of date (exit status 1).

    Args:
        files: what makes each file, by its path in the source tree.
        program: the name for the usage line.
    """
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    args = parser.parse_args(argv)
    stale = 0
    for name, make in files.items():
        path: Path = args.root / name
        text = make()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        print(f"{name}: {'is out of date' if args.check else 'written'}", file=sys.stderr)
        if not args.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if args.check and stale else 0
