"""Score the classifier on command corpora: confusion, false refusals, missed changes.

Run: ``python -m bench.score [DIRECTORY...]``. Without a directory, ``tests/corpus`` is scored and
the section between the markers of ``docs/security-scores.md`` is replaced. Files are
JSON lines: ``tier`` is the only right tier, ``tier_min`` the least acceptable one; lines
with neither are skipped. Exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from relay_shell.policy import classify_command

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "security-scores.md"
BEGIN, END = "<!-- commands: begin -->", "<!-- commands: end -->"
CLASSES = ("reading", "changing", "irreversible")


def load(directory: Path) -> list[tuple[str, str]]:
    """Pairs of class and command."""
    found = []
    for path in sorted(directory.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            if not isinstance(item.get("cmd"), str):
                continue
            if item.get("tier") == 0:
                found.append(("reading", item["cmd"]))
            elif item.get("tier") == 3:
                found.append(("irreversible", item["cmd"]))
            elif item.get("tier_min"):
                found.append(("changing", item["cmd"]))
    return found


def score(commands: list[tuple[str, str]]) -> tuple[list[str], bool, list[str]]:
    """Lines of the report, whether the targets hold, and the commands that are wrong."""
    table = {name: [0, 0, 0, 0] for name in CLASSES}
    wrong: list[str] = []
    for name, command in commands:
        tier = int(classify_command(command).tier)
        table[name][tier] += 1
        right = {"reading": tier == 0, "changing": tier > 0, "irreversible": tier == 3}[name]
        if not right:
            wrong.append(f"{name}\ttier {tier}\t{command!r}")
    reading, changing, lost = (table[name] for name in CLASSES)
    total = {name: max(1, sum(row)) for name, row in table.items()}
    quiet = 100 * reading[0] / total["reading"]
    refused = 100 * (reading[2] + reading[3]) / total["reading"]
    seen = 100 * lost[3] / total["irreversible"]
    lines = [
        "| corpus | commands | tier 0 | tier 1 | tier 2 | tier 3 |",
        "|---|---|---|---|---|---|",
        *(f"| {name} | {sum(row)} | {' | '.join(map(str, row))} |" for name, row in table.items()),
        "",
        f"- reading commands at Tier 0: {quiet:.1f} % (target 98 %)",
        f"- reading commands that `guarded` would refuse (false refusals): {refused:.1f} %",
        f"- changing commands at Tier 0: {changing[0] + lost[0]} (target 0)",
        f"- irreversible commands at Tier 3: {seen:.1f} % (target 98 %)",
    ]
    return lines, quiet >= 98 and seen >= 98 and changing[0] + lost[0] == 0, wrong


def write_report(lines: list[str]) -> None:
    """Replace our section of the report, which other scores share."""
    text = REPORT.read_text(encoding="utf-8") if REPORT.exists() else "# Security scores\n"
    section = "\n".join([BEGIN, "## Commands (`python -m bench.score`)", "", *lines, END])
    before, marker, rest = text.partition(BEGIN)
    if marker:
        text = before + section + rest.partition(END)[2]
    else:
        text = text.rstrip("\n") + "\n\n" + section + "\n"
    REPORT.write_text(text, encoding="utf-8")


def main() -> int:
    """Score the directories named, or the published corpus into the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directories", nargs="*", type=Path)
    parser.add_argument("--wrong", action="store_true", help="list the commands that are wrong")
    args = parser.parse_args()
    commands = [
        c for directory in args.directories or [ROOT / "tests" / "corpus"] for c in load(directory)
    ]
    lines, held, wrong = score(commands)
    print("\n".join(lines))
    if args.wrong:
        print("\n".join(wrong))
    if not args.directories:
        write_report(lines)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
