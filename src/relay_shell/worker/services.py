"""What a worker offers to its tools (`tools.services.Services`), composed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..shell.cgroup import Groups
from ..shell.children import Children
from ..shell.confined import Enforcer
from ..shell.environment import Account
from ..shell.outputs import OutputStore
from ..shell.run import Shell
from .broker import BrokerLink

if TYPE_CHECKING:
    from ..shell.sessions import SessionTable
    from ..ssh.fleet import Fleet

LIMITS = (
    "limits.timeout",
    "limits.timeout_max",
    "limits.output",
    "limits.output_max",
    "limits.calls",
    "limits.sessions",
    "limits.session_buffer",
    "limits.session_idle",
    "limits.session_life",
    "limits.outputs",
    "limits.outputs_bytes",
)


class WorkerServices:
    """The parts of one worker.

    Args:
        identity: what the broker said of this worker: worker, principal, user, posture, and the
            access that changes with a reload: mode, ceiling, groups.
        settings: the live mapping of settings; a reload changes it in place.
        contained: what keeps this worker's commands in, for server_info.
        changed: called when sessions begin or end.
        agent: a connected descriptor of the key agent, -1 for none; taken over.
    """

    def __init__(
        self,
        broker: BrokerLink,
        identity: dict[str, Any],
        settings: Mapping[str, Any],
        groups: Groups | None,
        contained: list[str],
        changed: Callable[[], None],
        agent: int = -1,
    ) -> None:
        self._broker = broker
        self._identity = identity
        self._contained = contained
        self.settings = settings
        self.account = Account()
        self.account.prepare()
        self.groups = groups
        self.children = Children(groups)
        worker = identity["worker"]
        self.outputs = OutputStore(worker, settings, self.account.tmp)
        self.enforcer = Enforcer(self.account, settings)
        self.shell = Shell(self.children, self.outputs, self.account, settings, self.enforcer)
        self._changed = changed
        self._sessions: SessionTable | None = None
        self._fleet: Fleet | None = None
        self.agent_fd = agent

    @property
    def sessions(self) -> SessionTable:
        """The sessions; their modules are loaded by the first who asks."""
        if self._sessions is None:
            from ..shell.sessions import SessionTable

            self._sessions = SessionTable(
                self._identity["worker"],
                self.children,
                self.account,
                self.settings,
                self.enforcer,
                self._broker.note,
                self._changed,
                self._broker.request,
            )
        return self._sessions

    @property
    def ssh(self) -> Fleet:
        """The machines of the inventory; their modules are loaded by the first who asks."""
        if self._fleet is None:
            from ..ssh.fleet import Fleet

            self._fleet = Fleet(self.settings, self.shell, self.agent_fd)
        return self._fleet

    @property
    def granted_hosts(self) -> Sequence[str] | None:
        """Patterns of the hosts that access.toml grants, None for all."""
        hosts: Sequence[str] | None = self._identity.get("hosts")
        return hosts

    @property
    def held(self) -> int:
        """How many sessions there are, ended ones with output included."""
        return 0 if self._sessions is None else len(self._sessions)

    def running(self) -> list[str]:
        """A line for each session whose program runs."""
        if self._sessions is None:
            return []
        return [f"{s.handle} {s.title[:100]}" for s in self._sessions.running()]

    async def audit_tail(self, count: int, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """This principal's last records; the broker looks at nobody else's."""
        body = {"count": count, "filters": dict(filters)}
        records: list[dict[str, Any]] = (await self._broker.request("audit_tail", body))["records"]
        return records

    async def explain(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """The verdict on `tool` with `args`."""
        verdict: dict[str, Any] = (await self._broker.request("explain", {"args": dict(args)}))[
            "verdict"
        ]
        return verdict

    def info(self) -> dict[str, Any]:
        """The facts of server_info."""
        identity = self._identity
        contained = list(self._contained)
        if self.groups is not None and self.groups.spawnable:
            contained.append("cgroup for each call")
        return {
            "version": __version__,
            "host": os.uname().nodename,
            "os": _os_name(),
            "kernel": os.uname().release,
            "principal": identity["principal"],
            "user": self.account.user,
            "posture": identity["posture"],
            "worker": identity["worker"],
            "mode": identity["mode"],
            "ceiling": identity["ceiling"],
            "command_shell": str(self.settings.get("worker.shell", "/bin/bash")),
            "home": self.account.home,
            "sessions": len(self.running()),
            "containment": contained,
            "limits": {
                name.partition(".")[2]: self.settings[name]
                for name in LIMITS
                if name in self.settings
            },
        }

    async def close(self) -> None:
        """End every session and release what is held."""
        if self._sessions is not None:
            await self._sessions.close()
        if self._fleet is not None:
            await self._fleet.close()
        self.outputs.clear()
        self.children.tidy()
        self.children.close()
        self.shell.close()


def _os_name() -> str:
    import platform

    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return f"{platform.system()} {os.uname().release}"
