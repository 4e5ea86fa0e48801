"""Text that is taken to be read alike, compared with what the shells that are here make of it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay_shell.policy import classify_call
from relay_shell.policy.portable import doubt, variant

SHELLS = [
    (name, found, *words)
    for name, *words in (
        *(("dash",), ("busybox", "ash"), ("zsh",), ("fish",), ("tcsh",), ("bsd-csh",), ("mksh",)),
        ("ksh93",),
    )
    if (found := shutil.which(name))
]
BASH = shutil.which("bash") or "/bin/bash"
FRAGMENTS = (
    *("p", "q", "p ", " ", " ", "a", "-x", "'a b'", '"a b"', "$HOME", '"$HOME/x"', ";", "|", "&&"),
    *(
        " || ",
        "'",
        '"',
        "\\;",
        "\\(",
        "\\",
        "!",
        "a=b",
        "{}",
        "{a}",
        "*",
        "?",
        "[a]",
        "[",
        "]",
        "~",
    ),
    *("#", "%self", "=p", "<", ">", " >/dev/null", " 2>/dev/null", " 2>&1", " <f", "1", "(", ")"),
    *("\n", "$", "$(p)", "é", "'é'", "''", '""', "&", "'a;q'", "'\\n'", "'a\\'", "\\\\", "'!'"),
    *('"a\'b"', "$HOME:r", "test a ", "echo ", "[ a = b ]", "nice p", "'x[$(q)]'", "~+", "<1-5>"),
)
# One write a command, since several may run at once.
PROGRAM = """\
#!{bash}
exec >> "$LOG"
printf -v text '%s\\1' {name} "$@"
printf '%s\\2' "$text"
"""
TEXTS = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=9).map("".join).map("p {}".format)


def understood(text: str) -> bool:
    """Whether the text is one that all shells read alike, and bash at all.

    Of several patterns at the end of a command csh leaves out those that match nothing.
    """
    if sum(map(text.count, "*?[")) > 1:
        return False
    tree = classify_call("ssh_exec", {"command": text}).tree
    assert tree is not None
    return doubt(text) is None and all(node.kind != "unresolved" for node in tree.walk())


def started(shell: tuple[str, ...], text: str, root: Path) -> tuple[set[str], set[str]]:
    """The commands that a shell starts, each with its words, and the files that it made."""
    # Of a pipeline not every shell waits for all: what comes late must not be another's.
    own = Path(tempfile.mkdtemp(dir=root))
    work, log = own / "work", own / "log"
    work.mkdir()
    (work / "f").touch()
    log.touch()
    subprocess.run(
        [*shell, "-c", text],
        cwd=work,
        env={
            "PATH": str(root / "bin"),
            "HOME": str(root / "home"),
            "LOG": str(log),
            "LANG": "C.UTF-8",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    calls = set(log.read_bytes().decode("utf-8", "replace").split("\2")) - {""}
    return calls, {path.name for path in work.iterdir()} - {"f"}


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
    ],
)
@given(text=TEXTS.filter(lambda text: understood(text)))
def test_shells_start_nothing_else(text: str, tmp_path: Path) -> None:
    """Every shell that is here starts what bash does, or less, and makes no file."""
    programs = tmp_path / "bin"
    if not programs.exists():
        programs.mkdir()
        (tmp_path / "home").mkdir()
        for name in ("p", "q"):
            (programs / name).write_text(PROGRAM.format(bash=BASH, name=name))
            (programs / name).chmod(0o755)
    calls, made = started((BASH,), text, tmp_path)
    read = variant(text)
    if read:
        calls |= started((BASH,), read, tmp_path)[0]
    assert not made
    for name, *shell in SHELLS:
        theirs, files = started(tuple(shell), text, tmp_path)
        assert theirs <= calls and not files, name
