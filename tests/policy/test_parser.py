"""Shell grammar: what is understood, and what is refused rather than guessed."""

from __future__ import annotations

import pytest

from relay_shell.policy.limits import MAX_TEXT, Budget, OverBudget, Unresolvable
from relay_shell.policy.parser import Parser, parse
from relay_shell.policy.syntax import (
    AndOr,
    Bracket,
    Case,
    Conditional,
    Coprocess,
    Function,
    Group,
    Loop,
    Pipeline,
    Redirect,
    Simple,
)


def first(text: str) -> object:
    return parse(text, Budget()).commands[0]


def simple(text: str) -> Simple:
    command = first(text)
    assert isinstance(command, Simple)
    return command


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a b", Simple),
        ("a | b |& c", Pipeline),
        ("a && b || c", AndOr),
        ("( a; b )", Group),
        ("{ a; b; }", Group),
        ("if a; then b; elif c; then d; else e; fi", Conditional),
        ("while a; do b; done", Loop),
        ("until a; do b; done", Loop),
        ("for x in a b; do c; done", Loop),
        ("for x; do c; done", Loop),
        ("for ((i=0; i<3; i++)); do c; done", Loop),
        ("select x in a; do b; done", Loop),
        ("case x in (a|b) c;; *) d; esac", Case),
        ("f() { a; }", Function),
        ("function f { a; }", Function),
        ("function f() ( a )", Function),
        ("[[ a == b && -f c ]]", Bracket),
        ("coproc a", Coprocess),
        ("! time -p a", Simple),
    ],
)
def test_each_construct_has_its_node(text: str, kind: type) -> None:
    assert type(first(text)) is kind


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a 'b c' \"d\"'e'", ["a", "b c", "de"]),
        ("r\\m \\-rf", ["rm", "-rf"]),
        ("to\\\nuch x", ["touch", "x"]),
        ("$'\\x72\\155' x", ["rm", "x"]),
        ('a "b\\"c" "\\d"', ["a", 'b"c', "\\d"]),
        ("a # comment", ["a"]),
        ("a#b", ["a#b"]),
        ("a \\\n  b", ["a", "b"]),
        ("find . -name x {}", ["find", ".", "-name", "x", "{}"]),
        ("[ a = b ]", ["[", "a", "=", "b", "]"]),
    ],
)
def test_quotes_are_removed_from_words(text: str, words: list[str]) -> None:
    assert [word.plain for word in simple(text).words] == words


def test_redirections_keep_operator_descriptor_and_target() -> None:
    found = [(r.fd, r.op, r.target.plain) for r in simple("a 2>>x <y >|z {f}<>w &>v").redirects]
    assert found == [
        ("2", ">>", "x"),
        ("", "<", "y"),
        ("", ">|", "z"),
        ("{f}", "<>", "w"),
        ("", "&>", "v"),
    ]


def document(text: str) -> Redirect:
    return simple(text).redirects[0]


def test_here_documents_are_read_to_their_delimiter() -> None:
    block = parse("cat <<E; b\nx $y\nE\nc", Budget())
    assert [c.source for c in block.commands] == ["cat <<E", "b", "c"]
    assert document("cat <<'E'\n$(a)\nE\n").target.plain == "$(a)\n"
    assert document("cat <<E\n$(a)\nE\n").target.plain is None
    assert document("cat <<-E\n\tx\n\tE\n").target.plain == "x\n"


@pytest.mark.parametrize(
    "text",
    [
        "a &&",
        "a |",
        "a ;; b",
        "(a",
        "{ a",
        "a )",
        "if a; then b",
        "for x in a; do b",
        "'a",
        '"a',
        "`a",
        "$(a",
        "${a",
        "$((a)",
        "a <",
        "a <<E$x\nE",
        "f() a",
        "a (b)",
        "echo @(a|b)",
        "a[x]=1",
        'echo $"a"',
        "echo $[1]",
        "[[ a =~ b ]]",
        "a\x00b",
        "a\u202eb",
        "a\u200bb",
        "a \x1b[2J",
        "a & \\\n& b &&",
        "case x in a) b",
        "then a",
        "} ",
        "echo ${a[$(b)]}",
        "cat <<E\na\\\nE\n",
        "a=([0]=b)",
        "\ud800",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(Unresolvable):
        parse(text, Budget())


def test_commands_before_an_error_are_kept() -> None:
    parser = Parser("rm x\n)", Budget())
    with pytest.raises(Unresolvable):
        parser.program()
    assert [c.source for c in parser.done.commands] == ["rm x"]


def test_size_and_depth_have_limits() -> None:
    with pytest.raises(OverBudget):
        parse("a" * (MAX_TEXT + 1), Budget())
    with pytest.raises(OverBudget):
        parse("$(" * 100 + "a" + ")" * 100, Budget())
    with pytest.raises(OverBudget):
        parse("a;" * 1000, Budget(limit=100))
