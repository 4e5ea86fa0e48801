"""The fish completion (complete(1) of fish): a static script, so that completing a word starts no
interpreter."""

from __future__ import annotations

from ..verbs import VERBS
from . import offers

HEAD = """\
# fish completion for relay-shell(1)
# Generated from its parsers by `python -m relay_shell.cli.gendocs`; do not edit.

# Whether the words so far lead to this verb and action.
function __relay_shell_at
    set -l at
    set -l words (commandline -opc)
    for word in $words[2..-1]
        switch "$at $word"
"""

MIDDLE = """\
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end

function __relay_shell_postures
    for file in {postures}/*.conf
        string replace -r '.*/(.*)\\.conf$' '$1' $file
    end
end

complete -c relay-shell -f
"""


def script() -> str:
    """The completion script."""
    known = " ".join(_quoted(_at(path)) for path in offers.paths())
    lines = [f"            case {known}"]
    lines.append(MIDDLE.replace("{postures}", offers.POSTURES).rstrip("\n"))
    for name, verb in VERBS.items():
        lines.append(_line((), f"-a {name}", verb.summary))
    for name, text in offers.TOP.items():
        lines.append(_line((), f"-l {name[2:]}", text))
    for place in offers.places():
        for word, text in place.words.items():
            lines.append(_line(place.path, f"-a {_quoted(word)}", text))
        if place.postures:
            lines.append(_line(place.path, "-a '(__relay_shell_postures)'", ""))
        if place.files:
            lines.append(_line(place.path, "-F", ""))
        for option in place.options:
            lines.append(_line(place.path, _option(option), option.help))
        lines.append(_line(place.path, "-l help", offers.TOP["--help"]))
    return HEAD + "\n".join(lines) + "\n"


def _option(option: offers.Option) -> str:
    names = [f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names]
    takes = {"": "", "file": "-r -F", "text": "-x"}.get(option.takes)
    if takes is None:
        takes = f"-x -a {_quoted(' '.join(option.choices))}"
    return " ".join([*names, takes]).rstrip()


def _line(path: tuple[str, ...], offer: str, text: str) -> str:
    condition = _quoted(f'__relay_shell_at "{_at(path)}"')
    described = f" -d {_quoted(text)}" if text else ""
    return f"complete -c relay-shell -n {condition} {offer}{described}"


def _at(path: tuple[str, ...]) -> str:
    return " ".join(("", *path)) if path else ""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
