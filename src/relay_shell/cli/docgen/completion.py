"""The bash completion: a static script, so that completing a word starts no interpreter."""

from __future__ import annotations

import argparse

from ..verbs import VERBS
from . import commands
from .offers import FILES, POSTURES

HEAD = """\
# bash completion for relay-shell(1)
# Generated from its parsers by `python -m relay_shell.cli.gendocs`; do not edit.

# As names of files: a directory is followed by a slash, and blanks are quoted.
_relay_shell_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$1")
}

_relay_shell() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local path='' words='' files='' at
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        case "$path ${COMP_WORDS[at]}" in
"""

TAIL = """\
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    [ -z "$files" ] || _relay_shell_files "$cur"
} && complete -F _relay_shell relay-shell
"""


def script() -> str:
    """The completion script."""
    paths = list(commands.parsers())
    # A verb whose module comes later is completed by name all the same.
    known = {path for path, _ in paths} | {(name,) for name in VERBS}
    lines = [HEAD.rstrip("\n")]
    lines += [
        f"            ' {' '.join(path)}') path=' {' '.join(path)}' ;;" for path in sorted(known)
    ]
    lines += ["        esac", "    done", '    case "$path $prev" in']
    for path, parser in paths:
        lines += _values(path, parser)
    lines += ["    esac", '    case "$path" in']
    top = " ".join([*VERBS, "--help", "--version", "--verify-audit"])
    lines.append(f"        '') words='{top}' ;;")
    for path, parser in paths:
        wanted = " files=1" if _takes_files(parser) else ""
        lines.append(f"        ' {' '.join(path)}') words={_words(path, parser)}{wanted} ;;")
    return "\n".join(lines) + "\n" + TAIL


def _words(path: tuple[str, ...], parser: argparse.ArgumentParser) -> str:
    words = [*commands.subparsers(parser)]
    for action in commands.positionals(parser):
        words += [str(choice) for choice in action.choices or ()]
    words += [max(action.option_strings, key=len) for action in commands.options(parser)]
    text = " ".join([*words, "--help"])
    if path in (("posture", "set"), ("posture", "diff")):
        return (
            f"\"$(cd {POSTURES} 2>/dev/null && printf '%s ' *.conf | sed 's/\\.conf//g') {text}\""
        )
    return f"'{text}'"


def _takes_files(parser: argparse.ArgumentParser) -> bool:
    return any(commands.value_name(action) in FILES for action in commands.positionals(parser))


def _values(path: tuple[str, ...], parser: argparse.ArgumentParser) -> list[str]:
    """Cases for options whose value can be completed; for the others nothing is offered."""
    files, free, lines = [], [], []
    prefix = " ".join(("", *path))
    for action in commands.options(parser):
        if action.nargs in (0, "?"):
            continue
        patterns = [f"'{prefix} {name}'" for name in action.option_strings]
        if action.choices is not None:
            choices = " ".join(str(choice) for choice in action.choices)
            lines.append(
                f"        {' | '.join(patterns)})\n"
                f"            mapfile -t COMPREPLY < <(compgen -W '{choices}' -- \"$cur\")\n"
                "            return ;;"
            )
        elif commands.value_name(action) in FILES:
            files += patterns
        else:
            free += patterns
    if files:
        lines.append(
            f"        {' | '.join(files)})\n"
            '            _relay_shell_files "$cur"\n'
            "            return ;;"
        )
    if free:
        lines.append(f"        {' | '.join(free)})\n            return ;;")
    return lines
