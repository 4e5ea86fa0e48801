"""Shells started by the text: -c, standard input, script files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..options import parse_options
from ..values import Arg, Input

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec


def judge_shell(call: Call, spec: Spec) -> None:
    """`sh`, `bash`, `dash`, `zsh`, `ksh`: judge the text where it is known."""
    parsed = parse_options(spec, call.args, stop=True)
    for doubt in parsed.doubts:
        call.add(2, doubt)
    for used in parsed.used:
        if used.option is None:
            call.add(2, f"option `{used.name}` of `{call.name}` is not known")
        elif used.option.tier:
            call.add(used.option.tier, f"`{call.name} {used.name}` runs start-up files")
    rest = parsed.operands
    if parsed.has("-n") and not parsed.has("-c"):
        return  # reads commands without running them
    if parsed.has("-c"):
        if not rest:
            call.add(2, "`-c` lacks its text")
            return
        name = rest[1].text if len(rest) > 1 and rest[1].exact else call.name
        call.output = call.shell(rest[0], rest[2:], name, call.name)
        return
    if rest and not parsed.has("-s"):
        _script(call, rest[0])
        return
    run_input(call, call.stdin)


def _script(call: Call, script: Arg) -> None:
    if script.block is not None:
        call.add(2, "runs what a command prints, which is not judged")
    elif script.exact and script.text in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
        run_input(call, call.stdin)
    else:
        call.add(2, f"runs the script {script.display}, which is not judged")


def run_input(call: Call, stdin: Input) -> None:
    """Judge a shell that reads commands from standard input."""
    if stdin.text is None:
        origin = {"pipe": "a pipe", "file": "a file", "here": "a here-document"}
        call.add(2, f"runs commands read from {origin.get(stdin.source, 'standard input')}")
        return
    call.shell(Arg(stdin.text), [], dialect=call.name)
