"""The broker on sockets that the trial holds, as a service manager would.

Arguments: descriptors of the listening sockets broker and operator. With CRASH_NO_SYNC in the
environment it never waits for the disk: the fault that the trials must be able to find.
"""

from __future__ import annotations

import os
import socket
import sys

from relay_shell.broker.__main__ import run_on_loop
from relay_shell.broker.judge import redactor
from relay_shell.broker.principals import Accounts
from relay_shell.broker.server import Broker
from relay_shell.broker.service import Service
from relay_shell.config import load

if os.environ.get("CRASH_NO_SYNC"):
    os.fdatasync = lambda fd: None  # type: ignore[assignment]


async def main() -> int:
    """Serve until told to stop."""
    settings = load("/nonexistent", os.environ)
    broker = Broker(settings, redact=redactor(), accounts=Accounts.local())
    listeners = [
        (name, socket.socket(fileno=int(fd)))
        for name, fd in zip(("broker", "operator"), sys.argv[1:], strict=True)
    ]
    await Service(broker, lambda: load("/nonexistent", os.environ)).run(listeners)
    return 0


sys.exit(run_on_loop(main()))
