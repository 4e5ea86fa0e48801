"""Broker, front and workers as processes of this host, for measurements without a booted machine.

What systemd adds (units, sandboxes, accounts) is not there: inside a booted machine, give the
benches the real socket instead.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

SRC = Path(__file__).parents[1] / "src"

CONNECT = [
    sys.executable,
    "-ISc",
    f"import sys; sys.path.insert(0, {str(SRC)!r}); "
    "from relay_shell.cli.__main__ import main; sys.exit(main())",
    "connect",
]


class Host(NamedTuple):
    """Where the benches find what they measure."""

    socket: str
    connect: list[str]
    """A command that carries stdin and stdout to the socket."""
    front: int
    """Process id of the front, 0 if unknown."""
    broker: int


@contextlib.contextmanager
def processes(settings: Mapping[str, str] | None = None) -> Iterator[Host]:
    """Start the three programs in a directory of their own; end them at the end.

    Args:
        settings: others than the defaults, by their names, as their variables hold them.
    """
    with tempfile.TemporaryDirectory(prefix="relay-shell-bench-") as name:
        home = Path(name)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONPATH": str(SRC),
        }
        for key, place in {
            "SOCKET": "mcp.sock",
            "BROKER": "broker.sock",
            "WORKER": "worker.sock",
            "OPERATOR": "operator.sock",
            "AUDIT": "audit.jsonl",
            "RECORDINGS": "recordings",
            "STATE": "state",
            "RUNTIME": "run",
        }.items():
            environment[f"RELAY_SHELL_PATHS_{key}"] = str(home / place)
        environment["RELAY_SHELL_LIMITS_CONNECTIONS_PER_USER"] = "512"
        for setting, value in (settings or {}).items():
            environment["RELAY_SHELL_" + setting.upper().replace(".", "_")] = value
        for place in ("state", "run"):
            (home / place).mkdir(mode=0o700)
        python = [sys.executable, "-m"]
        started: list[subprocess.Popen[bytes]] = []
        log = (home / "log").open("wb")

        def start(*words: str, sock: str) -> int:
            process = subprocess.Popen(words, env=environment, cwd=home, stderr=log)
            started.append(process)
            deadline = time.monotonic() + 20
            while not (home / sock).exists():
                if time.monotonic() > deadline or process.poll() is not None:
                    said = (home / "log").read_text(errors="replace")
                    raise RuntimeError(f"{words[0]} did not start:\n{said}")
                time.sleep(0.01)
            return process.pid

        try:
            broker = start(sys.executable, __file__, "broker", sock="broker.sock")
            worker = [*python, "relay_shell.worker"]
            passed = [
                f"--setenv={key}={value}" for key, value in environment.items() if key != "PATH"
            ]
            start(
                "systemd-socket-activate",
                "--accept",
                "--seqpacket",
                f"--listen={home / 'worker.sock'}",
                *passed,
                *worker,
                sock="worker.sock",
            )
            front = start(*python, "relay_shell.front", "--listen", sock="mcp.sock")
            os.environ["RELAY_SHELL_PATHS_SOCKET"] = str(home / "mcp.sock")
            yield Host(str(home / "mcp.sock"), CONNECT, front, broker)
        finally:
            for process in reversed(started):
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()
                process.wait()
            log.close()


def _broker() -> None:
    """Be a broker that knows its peers by account alone, as in the standalone program."""
    import socket

    from relay_shell.broker.__main__ import run_on_loop
    from relay_shell.broker.principals import Accounts
    from relay_shell.broker.server import Broker
    from relay_shell.config import load

    async def serve() -> int:
        settings = load("/nonexistent", os.environ)
        broker = Broker(settings, accounts=Accounts.local())
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.bind(settings["paths.broker"])
        sock.listen(512)
        broker.listen(sock, "broker")
        await asyncio.get_running_loop().create_future()
        return 0

    run_on_loop(serve())


def report(
    program: str, description: str | None, measure: Callable[..., dict[str, Any]], spare: int = 0
) -> None:
    """Be the program of a bench: measure where the command line says, and print."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    arguments(parser)
    options = parser.parse_args()
    with host(options, spare) as at:
        found = measure(at, options.rounds)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:55}", value)


@contextlib.contextmanager
def host(options: argparse.Namespace, spare: int = 0) -> Iterator[Host]:
    """What the command line names, or processes of this host."""
    if options.socket is None:
        with processes({"worker.spare": str(spare)}) as started:
            yield started
        return
    os.environ["RELAY_SHELL_PATHS_SOCKET"] = options.socket
    yield Host(options.socket, options.connect.split(), options.front_pid, options.broker_pid)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what is measured."""
    parser.add_argument("--socket", help="MCP socket; without it, processes of this host")
    parser.add_argument("--connect", default="relay-shell connect", help="default: %(default)s")
    parser.add_argument("--front-pid", type=int, default=0, help="for CPU and memory figures")
    parser.add_argument("--broker-pid", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


if __name__ == "__main__" and sys.argv[1:] == ["broker"]:
    _broker()
