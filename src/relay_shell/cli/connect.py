"""connect: carry an MCP client's stdin and stdout to the front's socket, byte by byte.

Every stdio client starts this at every launch, some twice (a probe, then the real one), so it
imports nothing that CPython has not loaded already but two C modules: the socket module alone,
with enum and selectors, would cost more than all the rest. Nothing but the server's octets is
ever written to stdout.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import sys

# The typing module, with re and enum behind it, takes longer to load than the interpreter.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

SOCKET = "/run/relay-shell/relay-shell.sock"
ENVIRONMENT = "RELAY_SHELL_PATHS_SOCKET"
GROUP = "relay-shell-access"

CHUNK = 65536
TRIES = 50
"""Attempts, 20 ms apart, while the backlog is full."""

UNAVAILABLE = 69
TEMPFAIL = 75
NOPERM = 77
USAGE = 64
INTERRUPTED = 130

HINT = """\
connected: an MCP client writes JSON-RPC here, one message a line; Ctrl-D ends it
'relay-shell client-config --help' tells how to register this in a client
"""

_ABSENT = (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR)
_DENIED = (errno.EACCES, errno.EPERM)
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


def main(words: list[str]) -> int:
    """Run `relay-shell connect` with the words after it; the exit status."""
    path = os.environ.get(ENVIRONMENT) or SOCKET
    if words:
        if len(words) == 2 and words[0] == "--socket":
            path = words[1]
        elif len(words) == 1 and words[0].startswith("--socket="):
            path = words[0].partition("=")[2]
        else:
            return _fail(
                f"connect: unexpected argument {words[0]!r}",
                "Try 'relay-shell connect --help'.",
                USAGE,
            )
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        status = _connect(sock, path)
        if status:
            return status
        if os.isatty(0):
            sys.stderr.write(HINT)
        return relay(sock)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        sock.close()


def _connect(sock: Any, path: str) -> int:
    # A blocking connect waits in the backlog without a bound (unix(7)).
    sock.setblocking(False)
    for _ in range(TRIES):
        try:
            sock.connect(path)
        except BlockingIOError:
            select.select([], [], [], 0.02)
            continue
        except OSError as error:
            return _refused(path, error)
        return 0
    return _fail(
        f"{path}: too many clients are waiting",
        "Try again; 'systemctl status relay-shell-front' shows whether the server answers.",
        TEMPFAIL,
    )


def _refused(path: str, error: OSError) -> int:
    if error.errno in _ABSENT:
        return _fail(
            f"{path}: no server listens here",
            "Start it: 'systemctl enable --now relay-shell.socket' (as root).",
            UNAVAILABLE,
        )
    if error.errno in _DENIED:
        group, user = _group(path), _user()
        if _joined(group, user):
            return _fail(
                f"{path}: permission denied; {user} joined group {group!r} after this login",
                "Log in again; programs that outlive a logout (a user's services, tmux, an "
                "editor's server) keep the old groups until they are restarted.",
                NOPERM,
            )
        return _fail(
            f"{path}: permission denied; you are not in group {group!r}",
            f"Ask for: 'usermod -aG {group} {user}' (as root), then log in again.",
            NOPERM,
        )
    return _fail(
        f"{path}: {error.strerror or error}", "Check the path given by --socket.", UNAVAILABLE
    )


def _group(path: str) -> str:
    import grp

    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name
    except (OSError, KeyError):
        return GROUP


def _joined(group: str, user: str) -> bool:
    """Whether the account database has the user in the group, whatever this process has."""
    import grp

    try:
        return user in grp.getgrnam(group).gr_mem
    except KeyError:
        return False


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _fail(message: str, step: str, status: int) -> int:
    sys.stderr.write(f"relay-shell: {message}\n{step}\n")
    return status


def relay(sock: Any, stdin: int = 0, stdout: int = 1) -> int:
    """Carry octets both ways until the server has said its last; 0.

    The end of stdin is passed on as the end of our writing only, so that answers still arrive; a
    reader of stdout that has gone ends the connection at once, which cancels what runs.
    """
    sock.setblocking(False)
    fd = sock.fileno()
    poll = select.poll()
    watched: dict[int, int] = {}
    put = _writer(stdout)
    up = down = b""
    reading = True
    while True:
        # stdout is watched without an event too: POLLERR says that its reader has gone.
        wanted = {stdout: select.POLLOUT if down else 0}
        if up:
            wanted[fd] = select.POLLOUT
        elif reading:
            wanted[stdin] = wanted.get(stdin, 0) | select.POLLIN
        if not down:
            wanted[fd] = wanted.get(fd, 0) | select.POLLIN
        for number in [number for number in watched if number not in wanted]:
            poll.unregister(number)
        for number, events in wanted.items():
            if watched.get(number) != events:
                poll.register(number, events)
        watched = wanted
        ready = dict(poll.poll())
        if ready.get(stdout, 0) & _GONE:
            return 0
        try:
            if not up and reading and ready.get(stdin):
                up = os.read(stdin, CHUNK)
                reading = bool(up)
                if not reading:
                    sock.shutdown(_socket.SHUT_WR)
            if up:
                up = up[sock.send(up) :]
        except BlockingIOError:
            pass
        except OSError:
            # The server takes no more; what it has already said is still delivered.
            up, reading = b"", False
        try:
            if not down and ready.get(fd, 0) & ~select.POLLOUT:
                down = sock.recv(CHUNK)
                if not down:
                    return 0
            if down and ready.get(stdout):
                down = down[put(down) :]
        except BlockingIOError:
            pass
        except OSError:
            return 0


def _writer(fd: int) -> Any:
    """A function that writes what the descriptor takes now, without waiting for its reader.

    The descriptor's own mode is shared with other processes, so it stays as it is.
    """
    kind = os.fstat(fd).st_mode & 0o170000
    if kind == 0o140000:
        out = _socket.socket(fileno=os.dup(fd))
        return lambda data: out.send(data, _socket.MSG_DONTWAIT)
    if kind == 0o010000:
        # pipe(7): one that polls writable takes PIPE_BUF octets.
        return lambda data: os.write(fd, data[:4096])
    return lambda data: os.write(fd, data)


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line (only --help comes this way)."""
    parser = subparsers.add_parser(
        "connect",
        help="connect a stdio MCP client to this host's socket",
        description="Carry stdin and stdout to the MCP socket. Register it in an MCP client as a "
        "stdio server: here as 'relay-shell connect', from afar as 'ssh host relay-shell connect'.",
    )
    parser.add_argument(
        "--socket", metavar="PATH", help=f"default: {ENVIRONMENT} or {SOCKET}", default=None
    )


def run(args: argparse.Namespace) -> int:
    """Run the verb from parsed arguments."""
    return main([] if args.socket is None else ["--socket", args.socket])
