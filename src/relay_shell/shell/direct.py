"""Plain commands without their shell: `ls -l /srv` starts ls, as the shell would have started it.

A plain command is one simple command (POSIX, XCU 2.9.1) of words that no expansion, quoting or
operator touches. For these the shell's only work is to find the program, set a few variables and
call execve(2); it costs a start of its own. Whatever is not certainly so goes through the shell:
the rules here say what is known, not what is forbidden.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from typing import NamedTuple

MOST = 4096
"""Characters of a plain command; as one argument of a shell it may have 128 KiB (execve(2))."""

_plain = re.compile(
    r" *[A-Za-z0-9_./][A-Za-z0-9_./+-]*(?: +[A-Za-z0-9_./:=,+@%^-]+)* *", re.ASCII
).fullmatch

_directories = re.compile(r"(?:/[A-Za-z0-9._+-]+)+(?::(?:/[A-Za-z0-9._+-]+)+)*", re.ASCII).fullmatch

VARIABLES = frozenset(
    (
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "TERM",
        "TZ",
        "XDG_RUNTIME_DIR",
        "SSH_AUTH_SOCK",
        "DBUS_SESSION_BUS_ADDRESS",
        "RELAY_SHELL_CALL",
    )
)
"""What a worker gives each command. The shells pass these on as they are; any other variable may
change what they do (BASH_ENV, POSIXLY_CORRECT, BASH_FUNC_*...) or be changed by them."""

_LOCALES = ("C", "POSIX", "C.UTF-8", "C.utf8")
"""Values of LC_ALL of which bash does not warn, on any system."""

NO_PROGRAMS = frozenset(
    # bash 5.2: compgen -b, compgen -k; dash 0.5.12 adds chdir, and history with libedit.
    ". : [ alias bg bind break builtin caller cd chdir command compgen complete compopt continue"
    " declare dirs disown echo enable eval exec exit export false fc fg getopts hash help history"
    " jobs kill let local logout mapfile popd printf pushd pwd read readarray readonly return set"
    " shift shopt source suspend test times trap true type typeset ulimit umask unalias unset wait"
    " if then else elif fi case esac for select while until do done in function time coproc"
    " { } ! [[ ]]".split()
)
"""First words that a shell does not look for in PATH: its builtins and reserved words."""

_SAME = {
    "true": ("/usr/bin/true", "/bin/true"),
    "false": ("/usr/bin/false", "/bin/false"),
}
"""Builtins whose program does the same (POSIX, XCU true and false), alone and from the system."""


class Program(NamedTuple):
    """What the shell would have executed."""

    path: str
    argv: list[str]
    env: dict[str, str]


def direct(shell: str, command: str, env: Mapping[str, str], cwd: str) -> Program | None:
    """What `shell -c command` would become in `env` and `cwd`; None where that is not certain.

    If it cannot be started, the shell must be: it has the words and the exit status for that, and
    reads a file without a #! line as a script.
    """
    if len(command) > MOST or _plain(command) is None:
        return None
    kind = _kind(shell)
    if not kind or not VARIABLES.issuperset(env):
        return None
    if env.get("LC_ALL", "C") not in _LOCALES:
        return None
    argv = command.split()
    name = argv[0]
    path = name if "/" in name else _found(name, env.get("PATH", ""))
    if not path:
        return None
    if name in NO_PROGRAMS and (len(argv) > 1 or path not in _SAME.get(name, ())):
        return None
    here = _physical(cwd)
    if not here:
        return None
    made = {**env, "PWD": here}
    if kind == "bash":
        # bash counts its level up at its start, and down where it becomes its last command.
        made["SHLVL"] = "0"
        made["_"] = path
    return Program(path, argv, made)


def _kind(shell: str) -> str:
    """bash or dash, by the names that Debian installs them under; "" for any other."""
    directory, _, name = shell.rpartition("/")
    if directory not in ("/bin", "/usr/bin") or not os.access(shell, os.X_OK):
        return ""
    if name == "sh":
        try:
            return "dash" if os.readlink(shell) == "dash" else ""
        except OSError:
            return ""
    return name if name in ("bash", "dash") else ""


def _found(name: str, path: str) -> str:
    """The first file of that name in PATH; "" unless it is a program beyond doubt."""
    if _directories(path) is None:
        return ""
    for directory in path.split(":"):
        candidate = f"{directory}/{name}"
        if os.access(candidate, os.F_OK):
            return candidate if os.path.isfile(candidate) and os.access(candidate, os.X_OK) else ""
    return ""


def _physical(directory: str) -> str:
    """What getcwd(3) says in a directory; "" where it may say something else in another process."""
    path = directory
    if _directories(directory) is None or "." in directory or _leads_elsewhere(directory):
        path = _by_descriptor(directory)
    return "" if f"{path}/".startswith("/proc/") else path


def _leads_elsewhere(directory: str) -> bool:
    """Whether a symbolic link is in the path."""
    at = 0
    try:
        while at >= 0:
            at = directory.find("/", at + 1)
            prefix = directory if at < 0 else directory[:at]
            if stat.S_ISLNK(os.lstat(prefix).st_mode):
                return True
    except OSError:
        return True
    return False


def _by_descriptor(directory: str) -> str:
    try:
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            path = os.readlink(f"/proc/self/fd/{fd}")
            opened, named = os.fstat(fd), os.stat(path)
        finally:
            os.close(fd)
    except OSError:
        return ""
    # Else removed, or outside of this root (proc(5), /proc/PID/fd).
    return path if os.path.samestat(opened, named) else ""
