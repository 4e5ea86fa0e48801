"""The state of the shell as the walk over the tree tracks it."""

from __future__ import annotations

import pytest

from relay_shell.policy import Tier, classify_argv, classify_command, classify_script


def tier(text: str) -> int:
    return int(classify_command(text).tier)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=ls; $x /", 0),
        ("x=ls; x=rm; $x /", 3),
        ("x=ls; (x=rm); $x /", 0),  # a subshell keeps its variables to itself
        ("x=ls; x=rm | cat; $x /", 0),
        ("x=ls; x=rm & $x /", 0),
        ("x=ls; if y; then x=rm; fi; $x /", 2),  # either of two
        ("x=ls; true && x=rm; $x /", 2),
        ("x=ls; for i in 1 2; do $x /; x=rm; done", 2),  # the second round runs rm
        ("x=ls; while true; do $x /; read x; done", 2),
        ("x=ls; case a in b) x=rm;; esac; $x /", 2),
        ("unset x; $x /", 2),
        ("$unset rm /x", 3),  # an empty word leaves rm as the program
        ("x='rm -rf'; $x /", 3),
        ("x='rm -rf'; \"$x\" /", 2),  # one word: no such program is known
        ("x=r; y=m; $x$y /", 3),
        ("x=$(echo rm); $x /", 3),
        ("x+=rm; $x /", 2),
        ("IFS=x; y=rmx-rf; $y /", 2),
        ("f() { ls; }; f", 0),
        ("f() { rm $1; }; f x", 3),
        ("f() { $1 $2; }; f ls /", 2),  # the definition alone runs what it is given
        ("ls() { rm x; }; ls", 3),
        ("ls() { id; }; ls", 2),  # redefines a known program
        ("f() { f | f & }; f", 3),
        ("f() { f; }; f", 2),
        ('set -- rm x; "$@"', 2),
        ("exec ls", 0),
        ("exec 2>&1", 0),
        ("time", 0),
        ("", 0),
        ("# only a comment", 0),
        (":", 0),
    ],
)
def test_variables_and_functions(text: str, expected: int) -> None:
    assert tier(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo $((1 + 2 * 3))", 0),
        ("n=$(nproc); echo $((n * 2))", 0),
        ("echo $(($(date +%s) - 60))", 0),
        ("for ((i = 0; i < 3; i++)); do echo $i $((i * 2)); done", 0),
        ("i=0; while [ $i -lt 3 ]; do i=$((i + 1)); done; echo $((i))", 0),
        ("(( x > 3 ))", 2),  # x may hold a[$(...)]
        ("echo $((x))", 2),
        ("x='a[$(touch /tmp/x)]'; echo $((x))", 2),
        ("echo $(( $(cat /tmp/f) ))", 2),
        ("[[ $(cat f) -eq 1 ]]", 2),
        ("[[ 3 -gt 2 && a == b* ]]", 0),
        ("test -v x", 0),
        ("test -v 'x[$(id)]'", 2),
        ("let x=1", 0),
        ("let 'x=a[$(id)]'", 2),
        ("echo ${x:1:2}", 0),
        ("echo ${x:y}", 2),
        ("echo ${x@P}", 2),
        ("echo ${!x}", 2),
        ("read x", 0),
        ("read 'x[$(id)]'", 2),
    ],
)
def test_arithmetic_runs_only_numbers(text: str, expected: int) -> None:
    assert tier(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ls > /dev/null 2>&1", 0),
        ("ls >&2", 0),
        ("ls 2>&-", 0),
        ("ls >> notes", 1),
        ("ls > notes", 2),
        ("ls >> ~/.bashrc", 2),
        ("ls >> /etc/cron.d/x", 2),
        ("ls > /etc/passwd", 3),
        ("ls > /dev/sda", 3),
        ("ls > /dev/mapper/vg0-root", 3),
        ("ls > //dev/./sda", 3),
        ("ls > /dev/shm/x", 2),
        ("echo x > /dev/tcp/192.0.2.1/80", 2),
        ("cat < /dev/tcp/192.0.2.1/80", 2),
        ("echo b > /proc/sysrq-trigger", 3),
        ("ls > $f", 2),
        ("ls > $(echo /x)", 2),
        ("ls >& both", 2),
        ("ls <> x", 1),
        ("> x", 3),
        (": > x", 3),
        ("cat /dev/null > x", 3),
        ("cat < /etc/shadow", 1),
        ("{ ls; } > x", 2),
        ("for i in 1; do ls; done > x", 2),
        ("exec > x", 2),
    ],
)
def test_redirections_are_judged_by_their_target(text: str, expected: int) -> None:
    assert tier(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TZ=UTC date", 0),
        ("LC_ALL=C sort /etc/shells", 0),
        ("PAGER=cat git log", 0),
        ("PAGER=/tmp/x git log", 2),
        ("PATH=/tmp ls", 2),
        ("PATH=/tmp; ls", 2),
        ("LD_PRELOAD=/tmp/x ls", 2),
        ("FOO=1 ls", 2),
        ("FOO=1; ls", 0),
        ("foo=1 ls", 0),
        ("https_proxy=http://x curl y", 2),
        ("export FOO=1", 2),
        ("export LANG=C; ls", 0),
        ("env LANG=C ls", 0),
        ("env -i LD_AUDIT=x ls", 2),
        ("BASH_ENV=x bash -c ls", 2),
    ],
)
def test_environment_variables_are_harmless_only_if_known(text: str, expected: int) -> None:
    assert tier(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sort *.txt", 2),  # a file may be called --output=x
        ("sort ./*.txt", 0),
        ("cat *", 0),
        ("sort $f", 2),
        ('sort "$f"', 2),
        ('sort "/etc/$f"', 0),
        ("sort /etc/$f", 2),
        ('for f in /etc/*.conf; do sort "$f"; done', 0),
        ("for f in a b; do sort $f; done", 0),
        ("uniq /etc/a*", 2),  # the second match would be overwritten
        ("sort --outp x", 2),
        ("sort --o=x y", 2),
        ("sort -no x y", 2),
        ("sort -- -o x", 0),
        ("sort -t -o x", 0),  # -o is the value of -t
        ("find $dir -name x", 2),
        ("systemctl $verb x", 2),
        ("xargs sort", 2),
        ("xargs cat", 0),
        ("find . -exec sort {} +", 0),
        ("$(which ls) /", 2),
    ],
)
def test_what_may_become_an_option_is_not_an_operand(text: str, expected: int) -> None:
    assert tier(text) == expected


def test_text_before_and_after_a_syntax_error_counts() -> None:
    assert tier("rm x\n)") == 3
    assert tier(") ; rm -rf x") == 3
    assert tier("echo @(a|b); rm -rf x") == 3
    assert tier("ls )") == 2


def test_an_argument_vector_is_not_parsed_as_text() -> None:
    assert classify_argv(["echo", "$(rm x)", ";", "rm"]).tier == Tier.READ_ONLY
    assert classify_argv(["rm", "x"]).tier == Tier.IRREVERSIBLE
    assert classify_argv(["sh", "-c", "rm x"]).tier == Tier.IRREVERSIBLE
    assert classify_argv([]).tier == Tier.STATEFUL
    assert classify_argv(["ls", "\x1b[2J"]).tier == Tier.STATEFUL


@pytest.mark.parametrize(
    ("text", "interpreter", "expected"),
    [
        ("ls\n", "bash", 0),
        ("rm x\n", "sh", 3),
        ("#!/bin/sh\nls\n", "", 0),
        ("#!/usr/bin/env -S bash\nls\n", "", 2),  # options of the interpreter are not followed
        ("#!/usr/bin/env python3\nprint(1)\n", "", 2),
        ("import os; os.remove('x')", "python3", 3),
        ("whatever", "frobnicate", 2),
        ("ls", "bash -x", 2),
    ],
)
def test_scripts_are_judged_by_their_interpreter(
    text: str, interpreter: str, expected: int
) -> None:
    assert int(classify_script(text, interpreter).tier) == expected


def test_the_tree_shows_what_runs_what() -> None:
    verdict = classify_command("sudo sh -c 'ls; rm \"a b\"' > /tmp/x")
    assert verdict.tree is not None
    assert [(n.kind, n.text, int(n.tier)) for n in verdict.tree.walk()] == [
        ("command", "sudo sh -c 'ls; rm \"a b\"'", 3),
        ("command", "sh -c 'ls; rm \"a b\"'", 3),
        ("list", 'ls; rm "a b"', 3),
        ("command", "ls", 0),
        ("command", "rm 'a b'", 3),
        ("redirection", "> /tmp/x", 2),
    ]
    assert verdict.as_dict()["tier"] == 3
    assert verdict.canonical_forms()[-1] == "rm 'a b'"


def test_a_path_outside_the_system_directories_names_no_known_program() -> None:
    assert tier("/usr/bin/ls") == 0
    for path in ("/tmp/ls", "./ls", "/usr/bin/../../tmp/ls", "~/ls", "bin/ls"):
        assert tier(path) == 2
