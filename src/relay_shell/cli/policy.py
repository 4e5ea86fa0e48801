"""`relay-shell policy`: explain, test and check what the policy decides."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .parser import Parser, Subparsers, add_json
from .term import Style, safe

if TYPE_CHECKING:
    from ..policy import Node, Verdict

EX_DATAERR = 65
DESCRIPTION = """\
Judge commands as the broker does, without running them: the tier, why, and what would admit
the command. Nothing is sent to the broker; the operator's command files are read."""

EXAMPLES = """\
examples:
  relay-shell policy explain 'find /srv -name "*.tmp" -delete'
  relay-shell policy explain --json -- ls -la
  relay-shell policy test --jsonl < commands.jsonl
  relay-shell policy lint /etc/relay-shell/access.toml /etc/relay-shell/commands.d/*.toml"""

_COLOURS = {0: "green", 1: "cyan", 2: "yellow", 3: "red"}
_ADMITS = {
    0: "every mode admits it",
    1: "open and guarded admit it; readonly runs it enforced",
    2: "open admits it; guarded needs an allow rule; readonly runs it enforced",
    3: "open admits it, after approval where that is set; guarded needs an allow rule",
}


def add_parser(sub: Subparsers) -> None:
    """Add the verb and its subcommands."""
    parser: Parser = sub.add_parser(
        "policy", help="explain and test decisions", description=DESCRIPTION, epilog=EXAMPLES
    )
    verbs = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    explain = verbs.add_parser("explain", help="print the command tree with tier and reasons")
    explain.hint = "quote the command, or put -- before it"
    explain.add_argument(
        "words",
        nargs="+",
        metavar="CMD",
        help="one word is shell text; several words are an argument vector",
    )
    explain.add_argument(
        "--shell",
        default="bash",
        metavar="NAME",
        help="the shell that reads the text, as worker.shell says (default: %(default)s)",
    )
    explain.add_argument("--deny", action="append", default=[], metavar="RE2", help="try a rule")
    explain.add_argument("--allow", action="append", default=[], metavar="RE2", help="try a rule")
    add_json(explain, "print the verdict as one JSON object")
    test = verbs.add_parser("test", help="judge many commands from standard input")
    test.add_argument(
        "--jsonl",
        action="store_true",
        required=True,
        help="read objects with `cmd`, a line each; write `cmd`, `tier`, `reasons`",
    )
    lint = verbs.add_parser("lint", help="check command files, rule lists and access.toml")
    lint.add_argument("files", nargs="+", type=Path, metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """Run a subcommand; 0 when all is well, 65 for input or files that cannot be used."""
    if args.action == "explain":
        return _explain(args)
    return _lint(args.files) if args.action == "lint" else _test()


def _explain(args: argparse.Namespace) -> int:
    from ..policy import RuleError, Rules, classify_argv, classify_command

    try:
        rules = Rules(args.deny, args.allow, file="command line")
    except RuleError as error:
        print(f"relay-shell: {error}", file=sys.stderr)
        return EX_DATAERR
    words = args.words
    if len(words) == 1:
        verdict = classify_command(words[0], shell=args.shell)
    else:
        verdict = classify_argv(words)
    named = verdict.hosts()
    hit = rules.check(" ".join(words), verdict.canonical_forms(), named, verdict.tree)
    admits = _ADMITS[int(verdict.tier)]
    if hit is not None and hit.action == "deny":
        admits = "no mode admits it: a deny rule matches"
    if args.json:
        found: dict[str, Any] = {"cmd": " ".join(words), **verdict.as_dict()}
        found["canonical"] = list(verdict.canonical_forms())
        found["admits"] = admits
        found["hosts"] = list(named)
        found["rule"] = None
        if hit is not None:
            found["rule"] = {"action": hit.action, "pattern": hit.pattern, "matched": hit.matched}
        print(json.dumps(found, ensure_ascii=False))
        return 0
    _print_verdict(verdict, admits)
    if named:
        print(f"hosts: {safe(' '.join(named))}")
    if hit is not None:
        print(f"rule: {hit.action} {safe(hit.pattern)} matches {safe(hit.matched)}")
    return 0


def _print_verdict(verdict: Verdict, admits: str) -> None:
    style = Style()
    tier = int(verdict.tier)
    print(style(f"tier {tier} ({verdict.tier.label})", "bold", _COLOURS[tier]) + f": {admits}")
    for reason in verdict.reasons:
        print(f"  {safe(reason)}")
    if verdict.tree is not None:
        print()
        _print_node(verdict.tree, "", style)


def _print_node(node: Node, indent: str, style: Style) -> None:
    """One line a node; deep trees are cut by the depth limit of the classifier."""
    text = safe(node.text if len(node.text) <= 100 else node.text[:97] + "...")
    tier = int(node.tier)
    print(f"{indent}{style(str(tier), _COLOURS[tier])} {style(node.kind, 'dim')} {text}")
    for reason in node.reasons:
        print(f"{indent}    {safe(reason)}")
    for child in node.children:
        _print_node(child, indent + "  ", style)


def _test() -> int:
    from ..policy import classify_command

    status = 0
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
            command = given["cmd"]
            if not isinstance(command, str):
                raise TypeError
        except (ValueError, TypeError, KeyError):
            print(f"relay-shell: line {number}: no JSON object with a text `cmd`", file=sys.stderr)
            print(json.dumps({"cmd": None, "tier": 3, "reasons": ["line not understood"]}))
            status = EX_DATAERR
            continue
        verdict = classify_command(command)
        answer = {"cmd": command, "tier": int(verdict.tier), "reasons": list(verdict.reasons)}
        print(json.dumps(answer))
    return status


def _lint(files: list[Path]) -> int:
    from ..broker import access_file
    from ..policy.access import FILE
    from ..policy.lint import lint_file

    status = 0
    for path in files:
        found = access_file.lint(path) if path.name == FILE else lint_file(path)
        for line in found:
            print(safe(line))
            if ": warning: " not in line:
                status = EX_DATAERR
        if not found:
            print(f"{path}: ok")
    return status
