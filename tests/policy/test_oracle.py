"""Whole commands, compared with what bash executes: nothing may run that the tree does not show."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay_shell.policy import classify_command
from relay_shell.policy.core import _quoted
from relay_shell.policy.values import known

BASH = shutil.which("bash")
PRINTF = shutil.which("printf")
# The words of every command that bash would start are written to descriptor 9.
# One write a command, since several may run at once.
HANDLER = f"command_not_found_handle() {{ {PRINTF} '%s\\0' \"$@\" $'\\1' >&9; }}\n"
WORDS = st.sampled_from(["ca", "cb x", "cc 'y z'", "$v", "cd$v", '"$w"', "c{e,f}", "w$v", "c\\\ng"])
GLUE = st.sampled_from(
    ["; ", "\n", " && ", " || ", " | ", " & ", " |& ", ";", "&&", " ;\n", " # c\n"]
)


def wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Compound commands around a list."""
    return st.one_of(
        st.builds(lambda a, g, b: a + g + b, inner, GLUE, inner),
        st.builds("( {} )".format, inner),
        st.builds("({})".format, inner),
        st.builds("{{ {}\n}}".format, inner),
        st.builds("! {}".format, inner),
        st.builds("time {}".format, inner),
        st.builds("ca $( {} ) `cb`".format, inner),
        st.builds('cb "$({})"'.format, inner),
        st.builds("x=$({})".format, inner),
        st.builds("if {}\nthen cc; else cd; fi".format, inner),
        st.builds("if :; then {}\nfi".format, inner),
        st.builds("for i in 1 2; do {}\ndone".format, inner),
        st.builds("while ! :; do {}\ndone".format, inner),
        st.builds("case q in q) {}\n;; (r|s) cz;; esac".format, inner),
        st.builds("f() {{ {}\n}}; f".format, inner),
        st.builds("eval '{}'".format, inner.filter(lambda text: "'" not in text)),
        st.builds("command {}".format, WORDS),
        st.builds("v=cq; {}".format, inner),
        st.builds("v='cr s' w=ct; {}".format, inner),
        st.builds("unset v; {}".format, inner),
        st.builds("set -- cu; $1 $@; {}".format, inner),
        st.builds("cat <<E\n$({})\nE".format, inner),
        st.builds("[[ -n $({}) ]]".format, inner),
        st.builds(": $(( $({}) 1 ))".format, inner),
    )


SCRIPTS = st.recursive(WORDS, wrapped, max_leaves=5)


def executed(text: str, where: Path) -> list[str]:
    """Canonical forms of the commands that bash would have started."""
    assert BASH
    record = where / "record"
    script = HANDLER + "PATH=/nonexistent\n" + text + "\nwait"
    with record.open("wb") as out:
        subprocess.run(
            [BASH, "--norc", "-c", f"exec 9>&{out.fileno()}\n{script}"],
            cwd=where,
            env={},
            pass_fds=[out.fileno()],
            capture_output=True,
            timeout=20,
            check=False,
        )
    calls = record.read_bytes().decode().split("\1\0")[:-1]
    return [" ".join(_quoted(known(word)) for word in call.split("\0")[:-1]) for call in calls]


def uncertain(text: str) -> bool:
    """Whether the verdict itself says that something is known only at run time."""
    tree = classify_command(text).tree
    assert tree is not None
    return any(
        node.kind in ("unresolved", "expansion", "arithmetic")
        or (node.kind == "command" and any(char in node.text for char in "$`"))
        for node in tree.walk()
    )


@pytest.mark.skipif(not BASH or not PRINTF, reason="bash and printf(1) are the oracle")
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=SCRIPTS)
def test_nothing_runs_that_the_tree_does_not_show(text: str, tmp_path: Path) -> None:
    shown = set(classify_command(text).canonical_forms())
    hidden = [call for call in executed(text, tmp_path) if call not in shown]
    assert not hidden or uncertain(text)
