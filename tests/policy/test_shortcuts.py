"""What is asked before a costlier question never changes the answer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.policy import destinations, paths, programs
from relay_shell.policy.assigns import assigned_in
from relay_shell.policy.limits import Budget
from relay_shell.policy.parser import Parser
from relay_shell.policy.syntax import Literal, Word

PIECES = (
    *(
        "/",
        "//",
        "~/",
        "./",
        "../",
        ".ssh",
        "id_rsa",
        "etc",
        "shadow",
        ".aws",
        "credentials",
        "run",
    ),
    *("https", "git+ssh", ":", "://", ":/", "=", "--url", "host", "."),
)
WORDS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=8).map("".join)


@given(WORDS)
def test_the_place_of_a_credential_has_a_directory(word: str) -> None:
    assert paths.is_secret(word) == bool(paths._SECRET.fullmatch(paths.normal(word)))


@given(WORDS)
def test_an_address_has_its_mark(word: str) -> None:
    for pattern in (programs._ADDRESS, destinations._WITHIN):
        assert "://" in word or pattern.match(word) is None


SCRIPTS = [
    "for f in a *.conf 'b c'; do read x y; printf -v z %s \"$f\"; done",
    "while test $n -lt 3; do n=$((n + 1)); ((m += n)); k+=x; a=(1 2); done",
    "for ((i = 0; i < 3; i++)); do echo ${v:=1} ${w:-$(read u)} <(export E=1) > out; done",
    "if x; then unset q; elif y; then (local l=1); else { z=`id`; }; fi",
    "case $c in a | b) d=1 ;; *) f() { g=2; } ;; esac; [[ -n $s ]] && coproc t; cat <<E\n$p\nE",
    "a && b | c &",
]


def _nodes(item: object) -> Iterator[object]:
    """All that a tree holds: the fields of its nodes, their lists, and what is in those."""
    yield item
    if isinstance(item, list | tuple):
        for inner in item:
            yield from _nodes(inner)
    elif isinstance(item, Literal) or (isinstance(item, Word) and item.plain is not None):
        return
    elif dataclasses.is_dataclass(item):
        for field in dataclasses.fields(item):
            if field.name != "source":
                yield from _nodes(getattr(item, field.name))


@pytest.mark.parametrize("text", SCRIPTS)
def test_a_look_for_assignments_costs_a_step_for_all_there_is(text: str) -> None:
    tree, budget = Parser(text, Budget()).program(), Budget()
    assigned_in(tree, budget)
    assert budget.steps == len(list(_nodes(tree)))


def test_assignments_are_found_in_order_of_their_last() -> None:
    found = assigned_in(Parser(" ; ".join(SCRIPTS[:2]), Budget()).program(), Budget())
    assert found == {
        **dict.fromkeys(("a", "k", "f", "z", "x", "y"), False),
        **dict.fromkeys(("n", "m"), True),
    }


BLANK = re.compile(r"(?:[ \t]|\\\n)*(?:#[^\n]*)?")


@given(st.text(" \t\\\n#a;", max_size=12), st.integers(0, 12))
def test_blanks_and_a_comment_are_passed(text: str, at: int) -> None:
    scanner = Parser(text, Budget())
    scanner.at = min(at, len(text))
    expected = BLANK.match(text, scanner.at)
    assert expected is not None
    scanner.blank()
    assert scanner.at == expected.end()
