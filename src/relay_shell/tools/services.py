"""What a worker offers to its tools; the worker composes it, the tools only use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Shell(Protocol):
    """Runs a command to its end (relay_shell.shell.run)."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        call_id: str,
        cwd: str | None,
        env: Mapping[str, str] | None,
        stdin: bytes | None,
        timeout: float,
        max_output: int,
        merge_stderr: bool,
        enforcement: str,
        progress: Any,
    ) -> Any:
        """Return a relay_shell.shell.run.Completed."""


class Services(Protocol):
    """The worker's parts, by the names that tools use."""

    shell: Shell
    sessions: Any
    """relay_shell.shell.sessions.SessionTable"""
    outputs: Any
    """relay_shell.shell.outputs.OutputStore"""
    settings: Mapping[str, Any]
    """Dotted names of relay_shell.config.table to values, as the broker sent them."""

    async def audit_tail(self, count: int, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """This principal's last records, from the broker."""

    async def explain(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """The broker's verdict on a command, without running it."""

    def info(self) -> dict[str, Any]:
        """Who and where this worker is: principal, posture, mode, limits, versions."""
