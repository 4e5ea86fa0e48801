"""The completions of zsh and fish, by what the scripts say: all that the parsers know, quoted."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from relay_shell.cli.docgen import commands, fish, offers, zsh
from relay_shell.cli.verbs import VERBS

ETC = Path(__file__).resolve().parents[3] / "etc"
FISH = (ETC / "fish-completion/relay-shell.fish").read_text().splitlines()
ZSH = (ETC / "zsh-completion/_relay-shell").read_text()

# fish knows two escapes between single quotes, and no others.
_FISH_WORD = re.compile(r"'(?:[^'\\]|\\['\\])*'|[^\s'\"\\$;|&<>#]+")


def fish_words(line: str) -> list[str]:
    """The words of a line of fish, unquoted; it must consist of nothing else."""
    words = _FISH_WORD.findall(line)
    assert " ".join(words) == line, line
    return [
        re.sub(r"\\(['\\])", r"\1", word[1:-1]) if word.startswith("'") else word for word in words
    ]


def fish_lines() -> list[tuple[str, list[str]]]:
    """Place and what is offered there, of each line that offers something."""
    found = []
    for line in FISH:
        if line.startswith("complete -c relay-shell -n"):
            words = fish_words(line)
            place = re.fullmatch(r'__relay_shell_at "(.*)"', words[4])
            assert place is not None
            found.append((place[1], words[5:]))
    return found


def zsh_places() -> dict[str, str]:
    """Place and the lines of its case."""
    body = ZSH.split('    case "$at" in\n')[1].split("    esac\n")[0]
    parts = re.split(r"^        \('([^']*)'\)\n", body, flags=re.M)
    assert parts[0] == ""
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def zsh_array(case: str, name: str) -> dict[str, str]:
    """Words and descriptions that a case puts into an array."""
    found = re.search(rf"^            {name}=\(\n(.*?)^            \)$", case, flags=re.M | re.S)
    assert found is not None, case
    rows = [shlex.split(line) for line in found[1].splitlines()]
    assert all(len(row) == 1 for row in rows)
    return {row[0].partition(":")[0]: row[0].partition(":")[2] for row in rows}


def test_the_files_are_what_the_generators_make() -> None:
    assert "\n".join(FISH) + "\n" == fish.script()
    assert zsh.script() == ZSH
    assert ZSH.startswith("#compdef relay-shell\n")


def test_every_verb_is_offered_with_its_summary() -> None:
    summaries = {name: verb.summary for name, verb in VERBS.items()}
    top = {words[1]: words[3] for place, words in fish_lines() if not place and words[0] == "-a"}
    assert top == summaries
    assert zsh_array(zsh_places()[""], "offered") == summaries
    assert zsh_array(zsh_places()[""], "options").keys() == offers.TOP.keys()


@pytest.mark.parametrize(
    ("path", "parser"),
    list(commands.parsers()),
    ids=lambda value: " ".join(value or ("",)) if isinstance(value, tuple) else "",
)
def test_every_action_and_option_is_offered_where_it_belongs(path, parser) -> None:
    at = " ".join(("", *path))
    lines = [words for place, words in fish_lines() if place == at]
    case = zsh_places()[at]
    options = zsh_array(case, "options")
    assert options["--help"]
    for action in commands.options(parser):
        assert max(action.option_strings, key=len) in options
        for name in action.option_strings:
            kind = ("-l", name[2:]) if name.startswith("--") else ("-s", name[1:])
            assert any(kind in pairwise(words) for words in lines), name
    actions = commands.subparsers(parser)
    assert actions.keys() <= {words[1] for words in lines if words[0] == "-a"}
    if actions:
        assert actions.keys() == zsh_array(case, "offered").keys()


def test_what_follows_an_option() -> None:
    def of(at: str, option: str) -> list[str]:
        (words,) = (w for place, w in fish_lines() if place == at and ["-l", option] == w[:2])
        return words[2:-2]

    assert of(" freeze", "tier") == ["-x", "-a", "0 1 2 3"]
    assert of(" freeze", "reason") == ["-x"]
    assert of(" freeze", "socket") == ["-r", "-F"]
    assert of(" status", "watch") == of(" status", "json") == []
    assert "(' freeze --tier') compadd -- '0' '1' '2' '3'; return ;;" in ZSH
    assert "(' freeze --socket') _files; return ;;" in ZSH
    assert re.search(r"' freeze --reason'\) _message '[^']*'; return 1 ;;", ZSH)
    assert "' status --watch'" not in ZSH


def test_files_and_postures_as_arguments() -> None:
    lines = fish_lines()
    for at in (" policy lint", " evidence verify"):
        assert (at, ["-F"]) in lines and "            files=1\n" in zsh_places()[at]
    assert (" status", ["-F"]) not in lines and "files=1" not in zsh_places()[" status"]
    assert (" posture set", ["-a", "(__relay_shell_postures)"]) in lines
    assert f"offered+=({offers.POSTURES}/*.conf(N:t:r))" in zsh_places()[" posture set"]


def test_what_quotes_would_end_is_quoted() -> None:
    assert fish_words(fish._quoted("it's \\ here")) == ["it's \\ here"]
    assert shlex.split(zsh._quoted("it's 'here'")) == ["it's 'here'"]
