"""Runs the command as its users do: a process of its own, with its three streams."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay_shell.evidence.writer import Writer

from .fleet import Fleet

SOURCE = Path(__file__).resolve().parents[2] / "src"


class Done:
    """What a run of the command left."""

    def __init__(self, out: str, err: str, status: int) -> None:
        self.out = out
        self.err = err
        self.status = status


def environment(**extra: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RELAY_SHELL_") and name not in ("NO_COLOR", "SUDO_USER")
    }
    return {**kept, "PYTHONPATH": str(SOURCE), "TZ": "UTC", **extra}


@pytest.fixture
def cli() -> Callable[..., Done]:
    """Run `relay-shell` with these words, to its end."""

    def run(*words: str, env: dict[str, str] | None = None, stdin: str = "") -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "relay_shell.cli", *words],
            capture_output=True,
            text=True,
            env=environment(**(env or {})),
            input=stdin,
            timeout=60,
        )
        return Done(done.stdout, done.stderr, done.returncode)

    return run


@pytest.fixture
def spawn(request: pytest.FixtureRequest) -> Callable[..., subprocess.Popen[str]]:
    """Start `relay-shell` and leave it running; it is ended with the test."""

    def start(*words: str, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "relay_shell.cli", *words],
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            text=True,
            env=environment(PYTHONUNBUFFERED="1"),
            **options,
        )

        def end() -> None:
            if process.poll() is None:
                process.kill()
            process.communicate()

        request.addfinalizer(end)
        return process

    return start


@pytest.fixture
def fleet(tmp_path: Path, cli: Callable[..., Done]) -> Fleet:
    """An inventory of four hosts, and `relay-shell ssh` on it."""
    made = Fleet(tmp_path, cli)
    made.write(22)
    return made


INTENT: dict[str, Any] = {
    "event": "intent",
    "call_id": "k-0123456789abcdef",
    "conn": "c-0123456789ab",
    "principal": "unix:alice",
    "client": "claude-code 2.1",
    "uid": 1000,
    "unit": "relay-shell-worker@0-812-998.service",
    "posture": "scoped",
    "worker": "k3v7ma2q",
    "tool": "shell_exec",
    "tier": 0,
    "mode": "open",
    "enforcement": "none",
    "decision": "allow",
    "reasons": ["df reads"],
    "args": {"command": "df -h"},
    "args_sha256": "ab" * 32,
    "args_bytes": 19,
}
OUTCOME: dict[str, Any] = {
    "event": "outcome",
    "call_id": "k-0123456789abcdef",
    "principal": "unix:alice",
    "worker": "k3v7ma2q",
    "tool": "shell_exec",
    "tier": 0,
    "status": "ok",
    "exit": 0,
    "bytes": 512,
    "sha256": "cd" * 32,
    "truncated": False,
    "duration_ms": 12,
    "cpu_ms": 3,
    "mem_peak": 4 * 1024 * 1024,
}
DENY: dict[str, Any] = {
    "event": "deny",
    "call_id": "k-1123456789abcdef",
    "principal": "unix:bob",
    "tool": "shell_exec",
    "tier": 3,
    "mode": "guarded",
    "decision": "deny",
    "reasons": ["tier 3 in mode guarded"],
    "args": {"command": "mkfs /dev/sda"},
}


def write(path: Path, *records: dict[str, Any]) -> None:
    """Append to the record at `path` as the broker does."""

    async def append() -> None:
        writer = Writer(path)
        for record in records:
            await writer.append(record)
        writer.close()

    asyncio.run(append())


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """A record of five lines: a start, a connect, one call and one refusal."""
    path = tmp_path / "audit.jsonl"
    connect = {"event": "connect", "conn": "c-0123456789ab", "principal": "unix:alice"}
    write(path, {"event": "start"}, connect, INTENT, OUTCOME, DENY)
    return path
