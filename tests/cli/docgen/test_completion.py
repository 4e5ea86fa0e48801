from __future__ import annotations

import os
import pty
import select
import shlex
import subprocess
from pathlib import Path

import pytest

from relay_shell.cli.docgen import commands
from relay_shell.cli.verbs import VERBS

SCRIPT = Path(__file__).resolve().parents[3] / "etc/bash-completion/relay-shell"


def complete(*words: str, cwd: str = "/") -> list[str]:
    """What bash offers for the last of these words."""
    quoted = " ".join(map(shlex.quote, words))
    code = (
        f"set -u; source {shlex.quote(str(SCRIPT))}; COMP_WORDS=({quoted}); "
        f"COMP_CWORD={len(words) - 1}; _relay_shell; "
        "[ ${#COMPREPLY[@]} = 0 ] || printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", code], capture_output=True, text=True, cwd=cwd, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_every_verb_is_offered():
    assert set(complete("relay-shell", "")) == {*VERBS, "--help", "--version", "--verify-audit"}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["fr"], ["freeze"]),
        (["audit", "v"], ["verify"]),
        (["audit", "tail", "--ti"], ["--tier"]),
        (["audit", "tail", "--decision", ""], ["allow", "deny"]),
        (["freeze", "--tier", ""], ["0", "1", "2", "3"]),
        (["freeze", "--reason", ""], []),
        (["client-config", "vs"], ["vscode"]),
        (["status", "--json", "--wa"], ["--watch"]),
        (["nonsense", ""], []),
    ],
)
def test_what_is_offered(words, offered):
    if words == ["nonsense", ""]:
        # An unknown word is no verb, so verbs are still what is missing.
        assert "status" in complete("relay-shell", *words)
    else:
        assert complete("relay-shell", *words) == offered


def test_files_are_offered_where_a_file_is_wanted(tmp_path):
    (tmp_path / "operator.sock").touch()
    assert complete("relay-shell", "status", "--socket", "op", cwd=str(tmp_path)) == [
        "operator.sock"
    ]


@pytest.mark.parametrize("verb", [["policy", "lint"], ["evidence", "verify"]])
def test_files_are_offered_as_arguments(tmp_path, verb):
    (tmp_path / "access.toml").touch()
    (tmp_path / "a b").mkdir()
    assert complete("relay-shell", *verb, "a", cwd=str(tmp_path)) == ["a b", "access.toml"]
    assert "access.toml" in complete("relay-shell", *verb, "", cwd=str(tmp_path))
    assert "access.toml" not in complete("relay-shell", "status", "", cwd=str(tmp_path))


def expect(master: int, text: bytes) -> None:
    """Read what the terminal shows until it has the text."""
    shown = b""
    while text not in shown:
        assert select.select([master], [], [], 60)[0], shown
        shown += os.read(master, 65536)


def test_a_shell_at_a_terminal_completes_a_directory_with_a_slash(tmp_path):
    """What readline makes of it: a quoted name, and no blank after a directory."""
    (tmp_path / "rules of ours").mkdir()
    master, terminal = pty.openpty()
    bash = subprocess.Popen(
        ["bash", "--norc", "-i"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TERM": "dumb", "PS1": "ready> ", "INPUTRC": "/dev/null"},
        start_new_session=True,
    )
    os.close(terminal)
    try:
        expect(master, b"ready> ")
        os.write(master, f"source {shlex.quote(str(SCRIPT))}\n".encode())
        expect(master, b"ready> ")
        os.write(master, b"relay-shell() { printf '<%s>' \"$@\"; echo; }\n")
        expect(master, b"ready> ")
        os.write(master, b"relay-shell policy lint ru\tx\n")
        expect(master, b"<policy><lint><rules of ours/x>")
    finally:
        bash.kill()
        bash.wait()
        os.close(master)


def test_every_option_of_every_parser_is_offered():
    for path, parser in commands.parsers():
        offered = complete("relay-shell", *path, "")
        for action in commands.options(parser):
            assert max(action.option_strings, key=len) in offered
        assert set(commands.subparsers(parser)) <= set(offered)
