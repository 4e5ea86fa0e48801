"""Arguments that tools which run commands share, checked against the settings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, TypedDict

from ..wire.errors import RelayError

DEFAULT_SHELL = "/bin/bash"

MOST_OUTPUT = 2_500_000
"""Octets of output that fit a frame between processes when JSON escapes each six-fold.

`shell.capture` has the same bound; the front, which imports this, must not import that.
"""


class Limits(TypedDict):
    """Bounds of one run: seconds and bytes."""

    timeout: float
    max_output: int


def command_of(args: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """The argument vector of `command` (a shell's command line) or `argv`.

    Raises:
        RelayError: kind InvalidArguments, unless exactly one of the two is given, or if a
            word has a NUL octet (execve(2) would end it there).
    """
    command, argv = args.get("command"), args.get("argv")
    if (command is None) == (argv is None):
        raise RelayError("InvalidArguments", reason="give either command or argv")
    if command is not None:
        words = [str(settings.get("worker.shell", DEFAULT_SHELL)), "-c", command]
    else:
        assert argv is not None
        words = list(argv)
    check_words(words)
    return words


def remote_text(args: Mapping[str, Any]) -> str:
    """The text that another machine's login shell is to read: `command`, or `argv` quoted.

    Raises:
        RelayError: kind InvalidArguments, unless exactly one of the two is given, or if it cannot
            be sent whole (sshd(8) hands it on as a C string).
    """
    command, argv = args.get("command"), args.get("argv")
    if (command is None) == (argv is None):
        raise RelayError("InvalidArguments", reason="give either command or argv")
    if argv is not None:
        check_words(list(argv))
        command = shlex.join(argv)
    check_words([str(command)])
    try:
        str(command).encode()
    except UnicodeEncodeError:
        raise RelayError("InvalidArguments", reason="the command is not UTF-8") from None
    return str(command)


def check_words(words: list[str]) -> None:
    """Refuse what execve(2) cannot take as it stands.

    Raises:
        RelayError: kind InvalidArguments.
    """
    for word in words:
        if "\0" in word:
            raise RelayError("InvalidArguments", reason="an argument contains a NUL character")
    if not words[0]:
        raise RelayError("InvalidArguments", reason="the program's name is empty")


class RunOptions(Limits):
    """Keywords of `Shell.run` that every tool takes from its arguments alike."""

    cwd: str | None
    env: Mapping[str, str] | None
    stdin: bytes
    merge_stderr: bool


def options_of(args: Mapping[str, Any], settings: Mapping[str, Any]) -> RunOptions:
    """How a call wants its command run.

    Raises:
        RelayError: kind InvalidArguments, for a value over the settings' hard limit.
    """
    return {
        "cwd": args.get("cwd"),
        "env": args.get("env"),
        "stdin": stdin_of(args),
        "merge_stderr": args.get("merge_stderr", False),
        **limits_of(args, settings),
    }


def stdin_of(args: Mapping[str, Any]) -> bytes:
    """The text for standard input."""
    given: str = args.get("stdin", "")
    return given.encode("utf-8", "surrogateescape")


def limits_of(args: Mapping[str, Any], settings: Mapping[str, Any]) -> Limits:
    """The call's timeout and max_output, by default the settings'.

    Raises:
        RelayError: kind InvalidArguments, for a value over the settings' hard limit.
    """
    longest = settings.get("limits.timeout_max", 900)
    most = min(settings.get("limits.output_max", 1_048_576), MOST_OUTPUT)
    timeout = args.get("timeout", min(settings.get("limits.timeout", 50), longest))
    max_output = args.get("max_output", min(settings.get("limits.output", 65_536), most))
    if timeout > longest:
        raise RelayError(
            "InvalidArguments",
            reason=f"timeout is at most {longest:g} s here; use shell_spawn for longer work",
        )
    if max_output > most:
        raise RelayError(
            "InvalidArguments",
            reason=f"max_output is at most {most} bytes here; output_read pages the rest",
        )
    return {"timeout": float(timeout), "max_output": int(max_output)}
