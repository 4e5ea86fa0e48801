"""Score classifier and redaction on corpora: confusion, false refusals, recall, false positives.

Run: ``make score``, or ``python -m bench.score [DIRECTORY...]``. Without a directory,
``tests/corpus`` is scored and the sections between the markers of ``docs/security-scores.md`` are
replaced. Files are JSON lines: ``tier`` is the only right tier, ``tier_min`` the least acceptable
one; ``text`` with secrets in ⟪ ⟫, or without any, is for redaction; other lines are skipped. Exit
status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from relay_shell.policy import classify_command
from relay_shell.secrets import default
from relay_shell.secrets.rules import fill, shipped

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "security-scores.md"
SECRET = re.compile("⟪(.*?)⟫", re.DOTALL)
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


def redaction(directories: list[Path]) -> tuple[list[str], bool, list[str]]:
    """The same for redaction, by kind of text, for commands and for output."""
    counts: dict[tuple[str, bool], list[int]] = {}
    wrong: list[str] = []
    for directory in directories:
        for path in sorted(directory.glob("*.jsonl")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
                item = json.loads(line)
                if not isinstance(item.get("text"), str):
                    continue
                seed = f"{item.get('seed', number)} {item['text']}"
                text = fill(item["text"], seed)
                secrets = SECRET.findall(text)
                text = text.replace("⟪", "").replace("⟫", "")
                row = counts.setdefault((str(item.get("kind", "")), bool(secrets)), [0, 0, 0])
                row[0] += 1
                for column, keep in ((1, True), (2, False)):
                    shown = default(keep).text(text)
                    bad = any(secret in shown.text for secret in secrets)
                    if bad or (not secrets and shown.counts):
                        row[column] += 1
                        wrong.append(f"{'missed' if secrets else 'hidden'}\t{text!r}")
    sums = {
        kind: [sum(row[n] for (_, has), row in counts.items() if has is kind) for n in range(3)]
        for kind in (True, False)
    }
    total, lost = sums[True][0], max(sums[True][1:])
    plain, hidden = sums[False][0], max(sums[False][1:])
    recall = 100 * (1 - lost / max(1, total))
    false = 100 * hidden / max(1, plain)
    lines = [
        "| kind | texts | with a secret | wrong as a command | wrong as output |",
        "|---|---|---|---|---|",
        *(
            f"| {kind} | {row[0]} | {'yes' if has else 'no'} | {row[1]} | {row[2]} |"
            for (kind, has), row in sorted(
                counts.items(), key=lambda item: (not item[0][1], item[0])
            )
        ),
        "",
        f"- rules: {len(shipped())}",
        f"- texts whose every secret is hidden (recall): {recall:.1f} % of {total} (target 99 %)",
        f"- texts without a secret in which one is hidden (false positives): {false:.1f} %"
        f" of {plain} (target 0.5 %)",
    ]
    return lines, recall >= 99 and false <= 0.5, wrong


def _secrets_first(item: tuple[tuple[str, bool], list[int]]) -> tuple[bool, str]:
    (kind, has), _ = item
    return not has, kind


def machine() -> str:
    """What the scores were made on, and how."""
    when = time.strftime("%Y-%m-%d", time.gmtime())
    return (
        f"`make score`, {when}: {platform.system()} {platform.release()} {platform.machine()},"
        f" {os.cpu_count()} processors, Python {platform.python_version()}. The scores do not"
        " depend on the machine."
    )


def write_report(name: str, title: str, lines: list[str]) -> None:
    """Replace one section of the report, which other scores share."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = REPORT.read_text(encoding="utf-8") if REPORT.exists() else "# Security scores\n"
    section = "\n".join([begin, f"## {title}", "", *lines, end])
    before, marker, rest = text.partition(begin)
    if marker:
        text = before + section + rest.partition(end)[2]
    else:
        text = text.rstrip("\n") + "\n\n" + section + "\n"
    REPORT.write_text(text, encoding="utf-8")


def main() -> int:
    """Score the directories named, or the published corpus into the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directories", nargs="*", type=Path)
    parser.add_argument("--wrong", action="store_true", help="list what is wrong")
    args = parser.parse_args()
    directories = args.directories or [ROOT / "tests" / "corpus"]
    held = True
    for name, title, (lines, good, wrong) in (
        (
            "commands",
            "Commands",
            score([c for directory in directories for c in load(directory)]),
        ),
        ("secrets", "Secrets", redaction(directories)),
    ):
        print(f"\n== {title}", *lines, sep="\n")
        if args.wrong:
            print(*wrong, sep="\n")
        if not args.directories:
            write_report(name, title, [machine(), "", *lines])
        held = held and good
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
