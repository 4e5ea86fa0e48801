"""The parts that run commands, composed as a worker composes them, on real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_shell.shell import confine
from relay_shell.shell.cgroup import Groups
from relay_shell.shell.children import Children
from relay_shell.shell.completed import Completed
from relay_shell.shell.confined import Enforcer
from relay_shell.shell.environment import Account
from relay_shell.shell.outputs import OutputStore
from relay_shell.shell.run import Shell
from relay_shell.shell.sessions import SessionTable


class Call:
    """A call as far as the shell needs one."""

    def __init__(self, ident: str = "k-test", enforcement: str = "none") -> None:
        self.id = ident
        self.enforcement = enforcement
        self.listening = True
        self.partial: Any = None
        self.said: list[str] = []

    def progress(self, message: str) -> None:
        self.said.append(message)


class Rig:
    """Shell, sessions and outputs of one would-be worker."""

    def __init__(self, settings: dict[str, Any], groups: Groups | None, tmp: str) -> None:
        self.settings = settings
        self.groups = groups
        self.children = Children(groups)
        self.account = Account()
        self.outputs = OutputStore("w", settings, tmp)
        enforcer = Enforcer(self.account, settings)
        self.shell = Shell(self.children, self.outputs, self.account, settings, enforcer)
        self.notes: list[tuple[str, str, dict[str, Any]]] = []
        self.sessions = SessionTable(
            "w",
            self.children,
            self.account,
            settings,
            enforcer,
            lambda what, call, facts: self.notes.append((what, call, dict(facts))),
            lambda: None,
        )

    async def run(self, command: str | list[str], **options: Any) -> Completed:
        argv = ["/bin/bash", "-c", command] if isinstance(command, str) else command
        options.setdefault("timeout", 30)
        options.setdefault("max_output", 65_536)
        options.setdefault("call", Call())
        return await self.shell.run(argv, **options)

    async def spawn(self, command: str | list[str], **options: Any) -> Any:
        argv = ["/bin/bash", "-c", command] if isinstance(command, str) else command
        given = {
            "call": Call(),
            "cwd": None,
            "env": None,
            "rows": 24,
            "columns": 80,
            "title": str(command),
        }
        return await self.sessions.spawn(argv, **{**given, **options})

    async def until(self, condition: Any, seconds: float = 60) -> None:
        """Poll for a condition; fail if it does not come true."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`async with rig(**settings) as r` inside the test's own loop."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    confine.adopt_orphans()

    @contextlib.asynccontextmanager
    async def make(groups: Groups | None = None, **settings: Any) -> AsyncIterator[Rig]:
        named = {name.replace("__", "."): value for name, value in settings.items()}
        # Where the tests run in a delegated cgroup, every one of them is a test of that too.
        made = Rig(named, groups or Groups.find(), str(tmp_path))
        try:
            yield made
        finally:
            await made.sessions.close()
            made.outputs.clear()
            made.children.tidy()
            made.children.close()
            made.shell.close()

    return make


@pytest.fixture
def groups() -> Iterator[Groups]:
    """A cgroup2 subtree of the test's own."""
    mount = next(
        (
            line.split()[1]
            for line in Path("/proc/self/mounts").read_text().splitlines()
            if line.split()[2] == "cgroup2"
        ),
        None,
    )
    if mount is None or not os.access(mount, os.W_OK):
        pytest.skip("no writable cgroup2")
    base = f"{mount}/relay-shell-test-{os.getpid()}"
    os.mkdir(base)
    try:
        yield Groups(base)
    finally:
        for path, _, _ in os.walk(base, topdown=False):
            os.rmdir(path)
