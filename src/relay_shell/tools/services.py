"""What a worker offers to its tools; the worker composes it, the tools only use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..shell.completed import Completed
    from ..shell.outputs import OutputStore
    from ..shell.run import Caller
    from ..shell.sessions import SessionTable
    from ..ssh.fleet import Fleet


class Shell(Protocol):
    """Runs a command to its end (relay_shell.shell.run)."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        call: Caller,
        command: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        script: bytes | None = None,
        script_args: Sequence[str] = (),
        timeout: float,
        max_output: int,
        merge_stderr: bool = False,
    ) -> Completed:
        """Run `argv`, or the interpreter `argv` on `script`."""


class Services(Protocol):
    """The worker's parts, by the names that tools use."""

    @property
    def shell(self) -> Shell: ...

    @property
    def sessions(self) -> SessionTable: ...

    @property
    def outputs(self) -> OutputStore: ...

    @property
    def ssh(self) -> Fleet: ...

    @property
    def granted_hosts(self) -> Sequence[str] | None:
        """Patterns of the hosts that access.toml grants, None for all."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Dotted names of relay_shell.config.table to values, as the broker sent them."""

    async def audit_tail(self, count: int, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """This principal's last records, from the broker."""

    async def explain(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """The broker's verdict on a command, without running it."""

    def info(self) -> dict[str, Any]:
        """Who and where this worker is: principal, posture, mode, limits, versions."""
