"""Writes the documentation that follows from code: `python -m relay_shell.cli.gendocs [--check]`.

Manual pages and the tool reference are read by people who decide what to allow, so what can be
derived is derived, and a test runs `--check`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from .docgen import completion, fish, manual, toolref, zsh
from .install import replace

BEGIN = ".. generated: {}"
END = ".. end generated"

WHOLE: dict[str, Callable[[], str]] = {
    "docs/tools.md": toolref.reference,
    "etc/bash-completion/relay-shell": completion.script,
    "etc/fish-completion/relay-shell.fish": fish.script,
    "etc/zsh-completion/_relay-shell": zsh.script,
}
"""Files that are generated as a whole."""

PARTS: dict[str, Callable[[], str]] = {
    "verbs": manual.verbs,
    "statuses": manual.statuses,
    "groups": manual.groups,
    "access-who": manual.access_who,
    "access-gives": manual.access_gives,
    "access-budgets": manual.access_budgets,
    "inventory-host": manual.inventory_host,
    "events": manual.events,
    "fields": manual.fields,
}
"""Parts of the pages in docs/man, between a `.. generated: NAME` comment and its end."""


def render(root: Path) -> Iterator[tuple[Path, str]]:
    """Every generated file below `root`, the top of the source tree, and what it should hold."""
    for name, make in WHOLE.items():
        yield root / name, make()
    for path in sorted((root / "docs/man").glob("*.rst")):
        text = path.read_text(encoding="utf-8")
        if ".. generated: " in text:
            yield path, fill(text)


def fill(text: str) -> str:
    """A page with its generated parts made anew.

    Raises:
        KeyError: a part that no generator makes.
        ValueError: a part without its end.
    """
    for name in [line[14:].strip() for line in text.splitlines() if line.startswith(BEGIN[:14])]:
        head = BEGIN.format(name) + "\n"
        start = text.index(head) + len(head)
        end = text.index(END, start)
        text = f"{text[:start]}\n{PARTS[name]().strip()}\n\n{text[end:]}"
    return text


def main(argv: list[str] | None = None) -> int:
    """Write the files, or with --check only name those that are out of date (exit status 1)."""
    parser = argparse.ArgumentParser(prog="python -m relay_shell.cli.gendocs")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if stale")
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).resolve().parents[3], help="the source tree"
    )
    args = parser.parse_args(argv)
    stale = [
        (path, text)
        for path, text in render(args.root)
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        state = "is out of date" if args.check else "written"
        print(f"{path.relative_to(args.root)}: {state}", file=sys.stderr)
        if not args.check:
            replace(path, text.encode())
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
