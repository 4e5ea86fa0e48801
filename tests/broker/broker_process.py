"""A broker in a process of its own, for tests that kill it or send it signals.

Arguments: directory, TOML file, descriptors of the listening sockets broker and operator.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from pathlib import Path

from relay_shell.broker.__main__ import run_on_loop
from relay_shell.broker.judge import redactor
from relay_shell.broker.principals import Accounts
from relay_shell.broker.server import Broker
from relay_shell.broker.service import Service
from relay_shell.config import load


async def main() -> int:
    """Serve until told to stop."""
    root, broker_fd, operator_fd = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    environ = {
        f"RELAY_SHELL_PATHS_{name.upper()}": str(root / value)
        for name, value in (
            ("socket", "mcp.sock"),
            ("broker", "broker.sock"),
            ("operator", "operator.sock"),
            ("audit", "audit.jsonl"),
            ("state", "state"),
            ("runtime", "runtime"),
            ("recordings", "recordings"),
        )
    }
    uid = os.geteuid()
    accounts = Accounts(front=uid, workers={uid: "scoped"}, operators=None, check_units=False)
    broker = Broker(load(root / "etc", environ), redact=redactor(), accounts=accounts)
    listeners = [
        (name, socket.socket(fileno=fd))
        for name, fd in (("broker", broker_fd), ("operator", operator_fd))
    ]
    await Service(broker, lambda: load(root / "etc", environ)).run(listeners)
    return 0


sys.exit(run_on_loop(main()))
