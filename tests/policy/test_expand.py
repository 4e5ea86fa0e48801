"""Expansion, compared with what bash itself would have executed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay_shell.policy import classify_command
from relay_shell.policy.expand import Expander, braces
from relay_shell.policy.limits import Budget, OverBudget, Unresolvable
from relay_shell.policy.parser import parse
from relay_shell.policy.syntax import Part, Simple
from relay_shell.policy.values import ANYTHING, Arg, Scope, Value

BASH = shutil.which("bash")
PRINTF = shutil.which("printf")
VARIABLES = {"x": "a b", "y": "c", "e": "", "s": " d ", "t": "-n"}
# Every word that bash would execute is recorded instead; nothing can be found on this PATH.
HANDLER = "command_not_found_handle() { " + f"{PRINTF} '%s\\0' \"$@\"; }}; PATH=/nonexistent\n"


def expanded(text: str) -> list[Arg] | None:
    """Our words of a simple command; None where the text is refused."""
    try:
        commands = parse(text, Budget()).commands
    except Unresolvable:
        return None
    if len(commands) != 1 or not isinstance(commands[0], Simple):
        return None
    command = commands[0]
    scope = Scope({name: Value(value) for name, value in VARIABLES.items()})

    def run(part: Part) -> Value:
        return ANYTHING

    return Expander(scope, Budget(), run, lambda reason: None).words(command.words)


def executed(text: str, where: Path) -> list[str] | None:
    """The words that bash passes on; None if it refuses the text."""
    assert BASH
    assigned = "".join(f"{name}='{value}'\n" for name, value in VARIABLES.items())
    done = subprocess.run(
        [BASH, "--norc", "-c", HANDLER + assigned + text],
        cwd=where,
        env={"HOME": "/h"},
        capture_output=True,
        timeout=20,
        check=False,
    )
    if b"syntax error" in done.stderr or b"unexpected EOF" in done.stderr:
        return None
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.skipif(not BASH or not PRINTF, reason="bash and printf(1) are the oracle")
@pytest.mark.parametrize(
    "text",
    [
        "w a 'b c' d\\ e",
        "w $x",
        'w "$x"',
        "w $x$y",
        "w p$x q",
        "w $s",
        "w p$s$s q",
        'w "$e" $e z',
        "w {a,b}{c,d}",
        "w a{b,{c,d}e}f",
        "w {1..5..2} {c..a} {01..03}",
        "w {a} {,} {a,",
        "w x{,y}",
        "w '{a,b}' {a\\,b} {a','b,c}",
        "w $'\\x41\\t' $'\\u0042'",
        "w $y{a,$x}",
        'w "{$y,b}"',
        'w \\$x \\"',
        "w \"a'b\" 'c\"d'",
        "w ${x} ${y}z",
        "w ''",
        "w '' a",
        "w \"\"$e''",
        "w {a,b}' '{c,d}",
        "w a{1..3}b",
        "w ${x:-z} ${y:+q}",
        "w --opt=$y",
        "w $t a",
        "w ~ ~/x a~b",
        'w "\\a\\$x\\`"',
        "w a\\\nb",
        "w $x'q'$x",
        "{w,a,b}",
        "w$IFS'x'",
        "w a${IFS}b",
    ],
)
def test_words_are_those_that_bash_executes(text: str, tmp_path: Path) -> None:
    compare(text, tmp_path)


def compare(text: str, where: Path) -> None:
    ours = expanded(text)
    if ours is None or not all(arg.exact for arg in ours):
        return
    theirs = executed(text, where)
    assert theirs is not None, f"bash refuses {text!r}"
    assert [arg.text.replace("~", "/h", arg.text.startswith("~")) for arg in ours] == [
        word.replace("~", "/h", word.startswith("~")) for word in theirs
    ]


PIECES = st.sampled_from(
    [
        "a",
        "b",
        "-",
        " ",
        "'",
        '"',
        "\\",
        "$x",
        "${y}",
        "$e",
        "$s",
        "{",
        "}",
        ",",
        "..",
        "1",
        "3",
        "$'",
        "\\\n",
        "=",
        "~",
        "$",
        "''",
        '""',
        "{a,b}",
        "$t",
        ":",
        "#",
        "!",
        "%",
        "\t",
    ]
)


@pytest.mark.skipif(not BASH or not PRINTF, reason="bash and printf(1) are the oracle")
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=st.lists(PIECES, max_size=9))
def test_random_words_are_those_that_bash_executes(pieces: list[str], tmp_path: Path) -> None:
    compare("w " + "".join(pieces), tmp_path)


@pytest.mark.parametrize(
    ("text", "wild"),
    [
        ("w $unknown", True),
        ('w "$unknown"', True),
        ("w *", True),
        ("w /etc/*", False),
        ("w /a/$unknown", True),  # unquoted, so it may split
        ('w "/a/$unknown"', False),
        ("w --file=$unknown", True),
        ('w "-$unknown"', True),  # an option, and none that a judge could name
        ("w $HOME", False),
        ("w $((1+1))", True),
    ],
)
def test_a_word_that_may_become_an_option_is_marked(text: str, wild: bool) -> None:
    args = expanded(text)
    assert args is not None
    assert args[1].wild is wild


def test_the_known_beginning_of_a_word_is_kept() -> None:
    args = expanded('w "/srv/$unknown/x" a*b')
    assert args is not None
    assert (args[1].text, args[1].exact, args[1].display) == ("/srv/", False, "/srv/$unknown/x")
    assert (args[2].text, args[2].many) == ("a", True)


def test_brace_expansion_is_bounded() -> None:
    with pytest.raises(OverBudget):
        braces("{a,b}" * 20, Budget())
    with pytest.raises(OverBudget):
        braces("{1..99999}", Budget())


@pytest.mark.parametrize(
    "command",
    [
        'a=(. -delete); find x"${a[@]}"',
        'a=(b -o f); sort x"${a[@]}"',
        'sort "x${a[@]}" f',
        'sort -k x"${a[@]}" f',
        'sort x"${@:2}"',
        'git log x"${a[@]:1}"',
        'sort "x${y:-${a[@]}}"',
        'tar tf x"${a[@]}"',
    ],
)
def test_an_array_in_quotes_is_several_words_and_any_may_be_an_option(command: str) -> None:
    assert classify_command(command).tier > 0


@pytest.mark.parametrize(
    "command",
    [
        'a=(1 2); echo "${a[@]}"',
        'for f in "${files[@]}"; do cat "$f"; done',
        'sort "x${a[*]}"',
        'echo "${#a[@]}"',
    ],
)
def test_an_array_where_any_word_is_harmless_reads(command: str) -> None:
    assert classify_command(command).tier == 0


@pytest.mark.parametrize(
    "command",
    [
        "x=Z-delete; find . ${x#Z}",
        "a=(Z-delete); find . ${a#Z}",
        "find . ${1#Z}",
    ],
)
def test_what_remains_behind_a_prefix_is_no_length(command: str) -> None:
    assert classify_command(command).tier > 0


@pytest.mark.parametrize(
    "command",
    [
        "find . $(<f)",
        "find . `<f`",
        'find . $(<"$y")',
        "find . $(<f 2>/dev/null)",
        "$(<f)",
        'eval "$(<f)"',
        'sh -c "$(<f)"',
        "x=$(<f); $x",
        'sed "$(<f)" x',
    ],
)
def test_what_a_file_holds_is_not_nothing(command: str) -> None:
    assert classify_command(command).tier > 0


@pytest.mark.parametrize("command", ["head -n ${#x} f", 'echo "$(<f)"', "ls ${x#a}"])
def test_lengths_and_contents_that_are_shown_read(command: str) -> None:
    assert classify_command(command).tier == 0


@pytest.mark.parametrize(
    "command",
    [
        'sort "-$x" f',
        'sort "--$x" f',
        'git log "--o$x"',
        'git diff "--ext$x"',
        'tar tf f "-$x"',
        'journalctl "--$x"',
    ],
)
def test_a_dash_before_what_is_unknown_is_an_option(command: str) -> None:
    assert classify_command(command).tier > 0
