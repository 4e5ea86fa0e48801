"""The zsh completion (zshcompsys(1)): a static script, so that completing a word starts no
interpreter."""

from __future__ import annotations

from collections.abc import Mapping

from ..verbs import VERBS
from . import offers

HEAD = """\
#compdef relay-shell
# zsh completion for relay-shell(1)
# Generated from its parsers by `python -m relay_shell.cli.gendocs`; do not edit.

_relay-shell() {
    local at='' word
    local -a offered options
    # Not `path`, which zsh ties to PATH.
    for word in "${(@)words[2,CURRENT-1]}"; do
        case "$at $word" in
"""

TAIL = """\
    esac
    local ret=1
    (( ! $#offered )) || _describe -t commands 'relay-shell' offered && ret=0
    if [[ -n $files && $PREFIX != -* ]]; then
        _files && ret=0
    fi
    if [[ $PREFIX == -* || ret -ne 0 ]]; then
        _describe -o -t options 'option' options && ret=0
    fi
    return ret
}

_relay-shell "$@"
"""


def script() -> str:
    """The completion script, the body of a function that zsh loads."""
    known = " | ".join(_quoted(_at(path)) for path in offers.paths())
    lines = [HEAD.rstrip("\n"), f'            ({known}) at+=" $word" ;;']
    lines += ["        esac", "    done", "    local files=''"]
    lines.append('    case "$at ${words[CURRENT-1]}" in')
    places = list(offers.places())
    for place in places:
        lines += _values(place)
    lines += ["    esac", '    case "$at" in', "        ('')"]
    lines += _array("offered", {name: verb.summary for name, verb in VERBS.items()})
    lines += _array("options", offers.TOP)
    lines.append("            ;;")
    for place in places:
        lines.append(f"        ({_quoted(_at(place.path))})")
        if place.words:
            lines += _array("offered", place.words)
        if place.postures:
            lines.append(f"            offered+=({offers.POSTURES}/*.conf(N:t:r))")
        if place.files:
            lines.append("            files=1")
        options = {option.longest: option.help for option in place.options}
        lines += _array("options", options | {"--help": offers.TOP["--help"]})
        lines.append("            ;;")
    return "\n".join(lines) + "\n" + TAIL


def _values(place: offers.Place) -> list[str]:
    """Cases for what follows an option."""
    lines = []
    by_kind: dict[str, list[str]] = {"file": [], "text": []}
    for option in place.options:
        patterns = [_quoted(f"{_at(place.path)} {name}") for name in option.names]
        if option.takes == "choice":
            choices = " ".join(map(_quoted, option.choices))
            lines.append(f"        ({' | '.join(patterns)}) compadd -- {choices}; return ;;")
        elif option.takes:
            by_kind[option.takes] += patterns
    for kind, what in (("file", "_files; return"), ("text", "_message 'a value'; return 1")):
        if by_kind[kind]:
            lines.append(f"        ({' | '.join(by_kind[kind])}) {what} ;;")
    return lines


def _array(name: str, words: Mapping[str, str]) -> list[str]:
    lines = [f"            {name}=("]
    for word, text in words.items():
        escaped = word.replace(":", "\\:")
        lines.append(f"                {_quoted(f'{escaped}:{text}' if text else escaped)}")
    return [*lines, "            )"]


def _at(path: tuple[str, ...]) -> str:
    return " ".join(("", *path))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
