"""The command beside a real broker: both on one loop, the command in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from broker.office import Office

from .conftest import Done, environment


async def start(office: Office, *words: str, **env: str) -> asyncio.subprocess.Process:
    """Start `relay-shell` against the office's operator socket and record."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay_shell.cli", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**{**paths(office), **env}),
    )


async def run(office: Office, *words: str, **env: str) -> Done:
    """Run `relay-shell` to its end."""
    process = await start(office, *words, **env)
    out, err = await process.communicate()
    return Done(out.decode(), err.decode(), process.returncode or 0)


def paths(office: Office) -> dict[str, str]:
    """The environment that leads to the office."""
    names: dict[str, Any] = {"operator": "OPERATOR", "audit": "AUDIT"}
    return {
        f"RELAY_SHELL_PATHS_{upper}": office.settings[f"paths.{name}"]
        for name, upper in names.items()
    }
