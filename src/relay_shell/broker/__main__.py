"""relay-shell-broker: the service that decides and records. See relay-shell-broker(8)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from ..wire import notify
from ..wire.errors import KINDS, RelayError

if TYPE_CHECKING:
    from ..config.settings import Settings
    from ..policy.access import AccessRules

logger = logging.getLogger("relay_shell.broker")

LISTENERS = ("broker", "operator")
"""FileDescriptorName= of the socket units."""

_PR_SET_DUMPABLE = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the broker on the sockets that the service manager passed; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="relay-shell-broker",
        description="Decide on and record the calls of agents. Started by systemd.",
    )
    parser.add_argument(
        "--config", metavar="DIR", default=os.environ.get("RELAY_SHELL_CONFIG"), help="directory"
    )
    args = parser.parse_args(argv)
    # journald takes the priority from the prefix (sd-daemon(3)).
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Priority())
    _not_dumpable()
    from ..config import ROOT, ConfigError, load
    from .access_file import load_access

    root = args.config or ROOT
    try:
        settings, rules = load(root), load_access(root)
        return run(settings, lambda: load(root), rules, lambda: load_access(root))
    except ConfigError as error:
        for problem in error.problems:
            logger.error("%s", problem)
        status = KINDS["Config"].exit_status
        notify.notify(f"STATUS=configuration refused: {error}"[:512], f"ERRNO={22}")
        return status
    except RelayError as error:
        logger.error("%s: %s", error.kind, error.message)
        logger.error("%s", error.next_step)
        notify.notify(f"STATUS={error.kind}: {error.message}"[:512])
        return error.exit_status


def run(
    settings: Settings,
    load: Callable[[], Settings],
    rules: AccessRules,
    load_access: Callable[[], AccessRules],
) -> int:
    """Compose the broker from settings and passed sockets, and serve.

    Raises:
        RelayError: it cannot start.
    """
    from ..evidence.journal import Journal
    from .judge import redactor
    from .principals import Accounts
    from .selftest import run as prove
    from .server import Broker
    from .service import Service

    listeners = _listeners()
    accounts = Accounts.system()
    redact = redactor()
    prove(redact)

    # A thread that judges a long command gives way to the loop this often, in seconds.
    sys.setswitchinterval(0.001)

    async def serve() -> int:
        journal = Journal(settings["evidence.journal"], settings["evidence.spool_bytes"])
        broker = Broker(settings, redact=redact, accounts=accounts, journal=journal, rules=rules)
        # What is there by now stays, so that no collection looks at it again.
        gc.freeze()
        await Service(broker, load, load_access).run(listeners)
        return 0

    return run_on_loop(serve())


def run_on_loop(main: Coroutine[Any, Any, int]) -> int:
    """Run on uvloop where it is installed, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _listeners() -> list[tuple[str, socket.socket]]:
    """The listening sockets by name.

    Raises:
        RelayError: kind Config, if one is missing, twice there, or of the wrong type.
    """
    found: dict[str, socket.socket] = {}
    for name, fd in notify.listen_fds():
        sock = socket.socket(fileno=fd)
        if name not in LISTENERS or name in found:
            raise RelayError("Config", reason=f"unexpected socket {name!r} was passed")
        if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_SEQPACKET:
            raise RelayError("Config", reason=f"socket {name!r} must be ListenSequentialPacket=")
        found[name] = sock
    missing = [name for name in LISTENERS if name not in found]
    if missing:
        raise RelayError(
            "Config",
            reason=f"no socket named {' or '.join(missing)} was passed; start relay-shell.service",
        )
    return list(found.items())


def _not_dumpable() -> None:
    """Keep other processes of the account from reading this one's memory (prctl(2))."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


class _Priority(logging.Formatter):
    """Prefixes a line with the priority that sd-daemon(3) names."""

    def format(self, record: logging.LogRecord) -> str:
        level = 3 if record.levelno >= logging.ERROR else 4
        if record.levelno < logging.WARNING:
            level = 6
        return "\n".join(f"<{level}>{line}" for line in super().format(record).split("\n"))


if __name__ == "__main__":
    sys.exit(main())
