"""Entry point of the `relay-shell` command.

Only the module of the verb called for is imported: `connect` is started by every MCP client at
every launch, and the other verbs are wanted at once in an incident.
"""

from __future__ import annotations

import os
import sys

# The typing module alone would cost `connect` more than the rest of this file; type checkers take
# a variable of this name for true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .parser import Parser

SIGPIPE_STATUS = 141
SIGINT_STATUS = 130


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit status (`relay_shell.wire.errors`, sysexits(3))."""
    words = sys.argv[1:] if argv is None else argv
    try:
        if None in (sys.stdin, sys.stdout, sys.stderr):
            _occupy()
        try:
            status = _dispatch(words)
        except SystemExit as ended:
            # What --help printed may fail to be written as any other output may.
            status = int(ended.code or 0)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _abandon()
        return SIGPIPE_STATUS
    except KeyboardInterrupt:
        return SIGINT_STATUS
    except Exception as error:
        status = _report(error, words[:1])
        try:
            sys.stdout.flush()
        except OSError:
            _abandon()
        return status


def _abandon() -> None:
    """Write no more to standard output: else Python fails as it ends, with status 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _occupy() -> None:
    """Open those of 0 to 2 that were passed closed: else a socket would take their numbers.

    Input and output are opened the wrong way round, so that their use fails (EBADF) and is told.
    """
    # In the order of their numbers, for the lowest that is free is taken.
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_WRONLY), "r", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", closefd=False)


def _dispatch(words: list[str]) -> int:
    if words[:1] == ["connect"] and not {"-h", "--help"} & set(words):
        connect: Any = _load("connect")
        return int(connect.main(words[1:]))
    from .verbs import VERBS

    if words[:1] == ["--verify-audit"]:
        words = ["audit", "verify", *words[1:]]
    if not words or words[0] not in VERBS:
        return _top(words)
    from .parser import Parser

    module = _load(VERBS[words[0]].module)
    parser = Parser(prog="relay-shell")
    module.add_parser(parser.add_subparsers(dest="verb", parser_class=Parser))
    return int(module.run(parser.parse_args(words)))


def _load(name: str) -> Any:
    full = f"{__package__}.{name}"
    __import__(full)
    return sys.modules[full]


def _top(words: list[str]) -> int:
    parser = top_parser()
    if not words:
        parser.print_help(sys.stderr)
        return 64
    if not words[0].startswith("-"):
        from difflib import get_close_matches

        from .verbs import VERBS

        near = get_close_matches(words[0], VERBS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        parser.error(f"no verb {words[0]!r}{hint}")
    parser.parse_args(words)
    parser.error("a verb is missing")


def top_parser() -> Parser:
    """The parser of the bare command: its help lists the verbs without importing them."""
    from .. import __version__
    from .parser import Parser
    from .verbs import VERBS

    lines = []
    section = None
    for name, verb in VERBS.items():
        if verb.section != section:
            section = verb.section
            lines.append(f"\n{section}:")
        lines.append(f"  {name:<14} {verb.summary}")
    parser = Parser(
        prog="relay-shell",
        usage="relay-shell VERB ...\n       relay-shell VERB --help",
        description="Shell access for AI agents over MCP, under systemd.\n" + "\n".join(lines),
        epilog="Exit statuses follow sysexits(3). Manual: relay-shell(1), relay-shell(7).",
    )
    parser.add_argument("--version", action="version", version=f"relay-shell {__version__}")
    parser.add_argument(
        "--verify-audit", action="store_true", help="the same as 'relay-shell audit verify'"
    )
    return parser


def _report(error: Exception, verb: list[str]) -> int:
    """Print one line and a next step; return the exit status of the error's kind."""
    from ..wire.errors import KINDS, RelayError
    from .term import safe

    if isinstance(error, RelayError):
        message, step, status = error.message, error.next_step, error.exit_status
        if error.kind in ("InvalidArguments", "NotFound") and step == KINDS[error.kind].next_step:
            # That is said to a model, of its tools.
            step = f"Try '{' '.join(('relay-shell', *verb))} --help'."
        elif error.kind == "PermissionDenied" and "group" not in message:
            step = "Run the command as root."
    elif type(error).__name__ == "ConfigError":
        message, status = str(error), 78
        step = "Correct it; 'relay-shell config check' tests it, relay-shell.toml(5) explains it."
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        message, step = f"{where}{error.strerror or error}", ""
        denied = isinstance(error, PermissionError)
        status = 77 if denied else 66 if isinstance(error, FileNotFoundError) else 74
        if denied:
            step = "Run the command as root."
    elif isinstance(error, ModuleNotFoundError):
        missing = RelayError("Unavailable", reason=f"the Python module {error.name!r} is missing")
        message, status = missing.message, missing.exit_status
        step = "Install the package 'relay-shell' as a whole."
    else:
        import traceback

        # Without a trace nobody could find the defect; nothing in it may act on the terminal.
        trace = "".join(traceback.format_exception(error))
        sys.stderr.write(safe(trace, keep="\n"))
        internal = RelayError("Internal", reason=f"{type(error).__name__}: {error}")
        message, status = internal.message, internal.exit_status
        step = "Report it with the lines above."
    sys.stderr.write(f"relay-shell: {safe(message, keep=chr(10))}\n")
    if step:
        sys.stderr.write(f"{step}\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
