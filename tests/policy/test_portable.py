"""Text for a login shell that is not known: Tier 0 only where all shells read it alike."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from relay_shell.policy import Tier, classify_call
from relay_shell.policy.knowledge import current, load
from relay_shell.policy.limits import MAX_TEXT
from relay_shell.policy.portable import doubt, variant


def tier(command: object = None, **args: object) -> int:
    given = args if command is None else {"command": command, **args}
    return int(classify_call("ssh_exec", {"host": "web1", **given}).tier)


# What a shell makes of the text, which bash only prints, lists or reads.
READ_OTHERWISE = {
    "csh: a history event, also in quotes": ["echo '!rm'", 'echo "!rm"', "echo !rm", "ls x!y"],
    "csh: a quoted text ends at the line": [
        "echo 'a\nrm -rf /srv\n'",
        'echo "a\nreboot\n"',
        "ls\nreboot",
    ],
    "fish: a backslash quotes the quote": [
        "echo 'a\\'; reboot #'",
        "echo 'a\\\\'",
        'echo "a\\$b"',
        "echo \\a",
        "ls x\\",
    ],
    "csh: no comment in text that is handed over": ["ls # reboot", "ls #\treboot", "#"],
    "csh: writes a file named 1 or 2": ["ls 2>&1", "ls >&2", "ls 2>&1 | head", "ls 1>&2"],
    "csh: the number is a word": ["tee 2>/dev/null", "date 2>/dev/null", "tee 1>>/dev/null"],
    "zsh: a range of numbers": ["ls <1-5>/dev/null", "cat <1"],
    "csh, fish: no assignment, or another one": [
        "SHELL=cat; $SHELL /srv/script",
        "LC_ALL=C sort f",
        "a=b",
        "A+=b ls",
    ],
    "fish: runs what is in parentheses": ["echo $((reboot))", "echo $( df )", "(df)", "ls $(ls)"],
    "csh: modifiers and indices of variables": [
        "echo $HOME:h",
        "echo $HOME[1]",
        "echo $#",
        "echo $?",
        "echo $<",
        'echo "$HOME:h"',
        "echo ${HOME}",
        "echo $1",
        "echo $$",
    ],
    "csh: takes braces of one word off": ["find . {-delete}", "ls {a}", "ls x{}", "{ ls; }"],
    "fish: an index may hold blanks": ["echo x[ -delete ]", "ls x[ a"],
    "zsh: the path of a program, fish: its number": ["nice =reboot", "ls =rm", "echo %self"],
    "zsh, csh: a home after an empty quotation": [
        "ls ''~root",
        'ls ""~-',
        "ls ''=rm",
        "ls ~+",
        "ls ~1",
    ],
    "zsh: two quotes are one within quotes": ["echo 'a''b'"],
    "fish before 3: a redirection of errors": ["echo ^/srv/x", "grep ^root /etc/passwd"],
    "csh: a pattern that matches nothing is left out": [
        "sort -k zz* -t -o /etc/*",
        "ls a* -l b*",
        "grep -e zz* x y*",
        "ls a* -[b]",
    ],
    "fish: a word with a variable that is not set is left out": [
        "sort -k x$NOSUCH -t -o /etc/passwd",
        "ls $NOSUCH",
        "ls $PATH",
        "ls $HOME2",
    ],
    "zsh: all files that a pattern matches are read": ["cat < f*", "cat < [a]"],
    "ksh: a home after an equals sign": ["ls a=~", "ls x:~root"],
    "zsh, ksh: calculate with operands": [
        "test 'x[$(reboot)]' -eq 1",
        "[ 'x[`reboot`]' -gt 0 ]",
        "printf %d 'x[$(reboot)]'",
        "test 'PATH=5' -eq 5",
        "sleep 'x[$(reboot)]'",
    ],
    "another command of the name": [
        "set -U fish_greeting x",
        "set histfile=/srv/x",
        "history -S /srv/x",
        "dirs -S /srv/x",
        "fc -W /srv/x",
        "nice -5 ls",
        "time ls",
        "command fc -W /srv/x",
        "eval ls",
        "'set' x",
        "se't' x",
        "\\{ x",
    ],
    "csh, fish: other compound commands": [
        "for i in a b; do ls; done",
        "if ls; then df; fi",
        "while false; do ls; done",
        "case x in x) ls;; esac",
        "f() { ls; }; f",
        "! ls",
        "[[ -n x ]]",
    ],
    "fish, zsh: a part of the word, or another operator": [
        "echo a&ls",
        "ls & df",
        "ls |& df",
        "ls &> /dev/null",
        "cat << E\nx\nE",
        "cat <<< x",
        "ls >| /dev/null",
        "ls x>/dev/null",
        "cat x<y",
        "ls ;; df",
    ],
    "old locales: a byte of it is a blank or a quote": ["find . -name à-delete", "ls ü"],
}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=f"{why}: {text!r}")
        for why, texts in READ_OTHERWISE.items()
        for text in texts
    ],
)
def test_what_a_shell_reads_otherwise_is_not_read_only_elsewhere(text: str) -> None:
    assert tier(text) >= Tier.STATEFUL


@pytest.mark.parametrize(
    "text",
    [
        "df -h",
        "uptime; free -m && df -h || true",
        "ls -la /etc 2>/dev/null | head -5",
        "cat < /etc/hosts > /dev/null",
        "journalctl -u nginx --since '1 hour ago' | grep -iE 'fail|error' | sort | uniq -c",
        "awk -F: '$3 >= 1000 {print $1}' /etc/passwd",
        "grep 'a\\.b' /etc/hosts",
        'grep -F "a (b) {c} [d] #e ~f ^g" /etc/hosts',
        "find /var/log -name '*.log' -mtime -1 -exec ls -l {} \\;",
        "find /srv \\( -name a -o -name b \\) -print",
        "ls -l ~ ~/x ~root/x /etc/*.conf [a-z]?",
        "find /srv/a* -name b -newer c",
        'ls $HOME/x "$HOME/a b" "$PATH"',
        "stat -c %n,%s /etc/hosts",
        "[ -f /etc/hosts ] && cat /etc/hosts",
        "[ a = b ] || printf '%s\\n' none",
        "command -v ls",
        "docker ps --format '{{.Names}}'",
        "env LC_ALL=C sort /etc/passwd",
        "grep 'ä' /etc/hosts",
        "systemctl status nginx\n",
        "sh -c 'for i in a b; do echo $i; done 2>&1 | head'",
        "bash -c 'echo {a,b} <(ls) $(df)'",
    ],
)
def test_ordinary_inspection_is_read_only_elsewhere(text: str) -> None:
    verdict = classify_call("ssh_exec", {"host": "web1", "command": text})
    assert verdict.tier == 0, verdict.reasons
    assert doubt(text) is None


def test_a_reason_names_the_way_out() -> None:
    found = classify_call("ssh_exec", {"command": "ls 2>&1 | head"})
    assert found.tier == 2 and "sh -c '...'" in found.reasons[0]
    assert tier("sh -c 'ls 2>&1 | head'") == 0
    found = classify_call("ssh_exec", {"command": "date 2>/dev/null"})
    assert "csh reads the number" in found.reasons[0] and "sh -c '...'" in found.reasons[0]


def test_hosts_are_known_unless_the_quoting_is_not() -> None:
    """A rule on hosts is not asked about an unknown one for each `2>&1`."""
    assert classify_call("ssh_exec", {"command": "ls 2>&1"}).hosts() == ()
    assert classify_call("ssh_exec", {"command": "ssh db1 df 2>&1"}).hosts() == ("db1",)
    for text in ("echo 'a\\'; ssh db1 #'", "echo '!x'", "echo 'a\nssh db1'", "ls x[ a ]"):
        assert "?" in classify_call("ssh_exec", {"command": text}).hosts()


@pytest.mark.parametrize(
    "argv",
    [
        ["ls", "-la", "/etc"],
        ["grep", "it's", "/etc/hosts"],
        ["echo", "; reboot"],
        ["echo", "$(reboot)", "`reboot`", "a b", "", "*"],
        ["find", ".", "-name", "*.log", "-exec", "ls", "{}", ";"],
        ["sh", "-c", "ls 2>&1 | head"],
    ],
)
def test_an_argument_vector_is_judged_as_the_text_that_it_becomes(argv: list[str]) -> None:
    assert tier(argv=argv) == 0
    assert doubt(shlex.join(argv)) is None


@pytest.mark.parametrize(
    "argv",
    [
        ["echo", "!reboot"],
        ["echo", "a\nreboot"],
        ["echo", "a\\"],
        ["echo", "a\\'; reboot #"],
        ["SHELL=cat", "x"],
        ["LD_PRELOAD=/x", "ls"],
        ["time", "ls"],
        ["if", "ls"],
        ["ls", "=rm"],
        ["test", "x[$(reboot)]", "-eq", "1"],
        ["rm", "x"],
        [""],
        ["", "ls"],
    ],
)
def test_an_argument_vector_that_a_shell_there_may_read_otherwise(argv: list[str]) -> None:
    assert tier(argv=argv) >= Tier.STATEFUL


@pytest.mark.parametrize("command", ["", " ", "\n", "\t \n"])
def test_no_command_is_a_shell_that_reads_its_input(command: str) -> None:
    assert tier(command, stdin="reboot") == tier(command) == 2


def test_input_feeds_programs_there_as_here() -> None:
    assert tier("cat", stdin="reboot") == 0
    assert tier("sh", stdin="reboot") == 3
    assert tier("sh", stdin="df -h") == 0
    assert tier("sh", stdin="echo {a,b}") == 2
    for shell in ("csh", "tcsh", "fish", "zsh"):
        assert tier(shell, stdin="df -h") >= 2
    assert tier("sh") == tier("ssh db1") == tier("xargs -0 sh -c", stdin="x") == 2


def test_programs_that_start_the_login_shell() -> None:
    assert tier("script -qc 'ls' /dev/null") == 0
    assert tier("script -qc 'ls 2>&1' /dev/null") == 2


def test_what_an_operator_says_of_programs_here_is_not_known_of_those_there(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[ourtool]\ntier = 0\n[reboot]\ntier = 0\n[df]\ntier = 2\n")
    before = current()
    try:
        load(tmp_path)
        assert classify_call("shell_exec", {"command": "ourtool"}).tier == 0
        assert tier("ourtool") == 2 and tier("reboot") == 3
        assert tier("df") == 2 and tier("ls") == 0
    finally:
        load()
    assert current() is not before and tier("df") == 0


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("ls", ""),
        ("ls > /dev/null", ""),
        ("ls 2>/dev/null", "ls 2 >/dev/null"),
        (" a 2> /dev/null | b 1>>/dev/null ", " a 2 > /dev/null | b 1 >>/dev/null "),
        ("ls '2>/dev/null'", ""),
        ("ls 2>&1", ""),
    ],
)
def test_how_csh_reads_a_number_before_a_redirection(text: str, read: str) -> None:
    assert variant(text) == read


@pytest.mark.parametrize(
    "text",
    [
        *(
            ";;",
            "|",
            "||",
            "|||",
            "&",
            ";",
            "<",
            ">",
            "2>",
            "<>",
            "|&",
            "'",
            '"',
            "\\",
            "$",
            "[",
            "{",
        ),
        *("x;|", "'" * 9, "~", "=", "%", "''", "{}", "[]", "[a", "a]", "\n", " ", ""),
    ],
)
def test_every_fragment_comes_to_an_end(text: str) -> None:
    for whole in (text, f"ls {text}", f"ls {text} x", f"{text}ls", f"ls;{text}", f"ls{text}"):
        doubt(whole)
        variant(whole)


@pytest.mark.parametrize(
    "piece", ["a ", "'a' ", '"a" ', "2>/dev/null ", "ls; ", "[a]", "$A ", "\\; ", "''", "a"]
)
def test_long_text_is_read_in_one_pass(piece: str) -> None:
    text = "ls " + piece * (MAX_TEXT // len(piece))
    doubt(text)
    variant(text)
    assert tier(text[:MAX_TEXT]) >= 0
