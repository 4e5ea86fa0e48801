"""What the broker knows, shared by its desks; one object a broker."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..evidence import canonical
from ..policy.access import AccessRules, Grant, Who
from .budgets import Budgets, Limits
from .calls import Calls
from .connections import Connection, Connections
from .definition import Definition
from .floods import Floods
from .freeze import Freezer
from .judge import Judge
from .observation import Observation
from .principals import Access, Accounts, access_of
from .remote_ack import RemoteAck
from .tally import Tally
from .tickets import Tickets, secret
from .trail import Trail
from .verification import Verification
from .workers import Worker, Workers

if TYPE_CHECKING:
    from ..config.settings import Settings


def who(connection: Connection) -> Who:
    """The identity that rules ask for."""
    return Who(connection.principal.user, connection.groups, client=connection.claimed)


@dataclass(slots=True)
class State:
    """The broker's tables and settings."""

    settings: Settings
    accounts: Accounts
    trail: Trail
    freezer: Freezer
    workers: Workers
    judge: Judge
    floods: Floods
    verification: Verification
    tickets: Tickets = field(default_factory=Tickets)
    connections: Connections = field(default_factory=Connections)
    calls: Calls = field(default_factory=Calls)
    rules: AccessRules = field(default_factory=AccessRules)
    budgets: Budgets = field(default_factory=Budgets)
    observation: Observation = field(default_factory=Observation)
    instance: str = field(default_factory=lambda: secret()[:16])
    """Differs after each start, so that a peer sees that it speaks to another process."""
    since: float = field(default_factory=time.time)
    closing: bool = False
    reload_error: str = ""
    needs_restart: list[str] = field(default_factory=list)
    """Settings that differ in the files and apply only after a restart."""
    refused: int = 0
    """Peers turned away since the start."""
    recordings: Callable[[], dict[str, Any]] = dict
    """What there is to say of recordings."""
    tally: Tally = field(default_factory=Tally)
    reload: Callable[[], Awaitable[None]] | None = None
    """Reads the configuration anew; `reload_error` says then why it was refused."""
    changed: Callable[[], None] = lambda: None
    """Called when what `systemctl status` shows may have changed."""

    remote: RemoteAck = field(init=False)
    _open: tuple[Settings, Access, Limits] | None = None
    """What everybody may do where there are no rules, by the settings in force."""
    definition: Definition | None = field(init=False, default=None)
    """What worker units are made from; None where no service manager starts workers."""

    def __post_init__(self) -> None:
        self.remote = RemoteAck(self)
        if self.accounts.check_units:
            self.definition = Definition()

    def access(self, connection: Connection) -> Access:
        """What a connection may do by the settings and rules in force."""
        if not self.rules:
            return self._granted()[1]
        return access_of(self.settings, self.rules.find(who(connection)))

    def access_of(self, worker: Worker, conn: str = "") -> Access:
        """What a worker's call for a connection may do; its latest connection if none is named.

        While there are rules, a connection that is not known here (after a restart, until its
        front has announced it) has no identity, and may do nothing.
        """
        for name in (conn,) if conn else reversed(worker.conns):
            connection = self.connections.find(name)
            if connection is not None and connection.principal.name == worker.principal:
                return self.access(connection)
        if not self.rules:
            return self._granted()[1]
        return access_of(self.settings, Grant("its connection is not known"))

    def limits(self, access: Access) -> Limits:
        """What somebody with this access may use."""
        return Limits.of(self.settings, access.budgets) if access.budgets else self._granted()[2]

    def _granted(self) -> tuple[Settings, Access, Limits]:
        found = self._open
        if found is None or found[0] is not self.settings:
            settings = self.settings
            found = self._open = (settings, access_of(settings), Limits.of(settings, {}))
        return found

    def worker_settings(self, worker: Worker) -> dict[str, Any]:
        """The settings that a worker is told.

        Its sessions and kept outputs are those of all its connections: secrets are hidden where
        one of them must not see them.
        """
        settings = self.settings.subset("worker")
        if self.rules:
            known = [self.access_of(worker, conn) for conn in worker.conns]
            shown = known and not any(access.refusal or access.redact for access in known)
            settings["redaction.output"] = "off" if shown else "on"
        return settings

    def told_worker(self, worker: Worker) -> dict[str, Any]:
        """What a worker is told that it may do.

        `access_hosts`, for listing machines, is absent where all are granted. Of connections that
        are granted different ones, only what is granted to each is told.
        """
        told = self.access_of(worker).as_wire()
        known = [self.access_of(worker, conn) for conn in worker.conns]
        granted = [access.hosts for access in known if access.hosts is not None]
        if granted:
            rest = [set(hosts) for hosts in granted[1:]]
            told["access_hosts"] = [
                host for host in granted[0] if all(host in hosts for hosts in rest)
            ]
        return told

    def config_hash(self) -> str:
        """SHA-256 of all settings in force."""
        values = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.settings.items()
        }
        return hashlib.sha256(canonical.encode(values)).hexdigest()

    def summary(self) -> str:
        """One line for `systemctl status`."""
        agents, calls = len(self.connections), len(self.calls)
        text = (
            f"{agents} agent{'' if agents == 1 else 's'}, {calls} call{'' if calls == 1 else 's'}"
        )
        longest = self.calls.longest()
        if longest is not None:
            text += f": {longest.user} {longest.tool} {longest.seconds():.0f} s"
        trouble = self.trail.writer.trouble
        if trouble is not None:
            refused = self.trail.policy == "block"
            effect = "REFUSING CALLS" if refused else "THE RECORD IS NOT WRITTEN"
            text = f"{effect}, {trouble.message}; {text}"
        if self.remote.late:
            text = f"COLLECTOR LATE; {text}"
        standing = self.freezer.standing()
        if standing:
            text += f"; frozen: {', '.join(str(freeze) for freeze in standing[:3])}"
        verified = self.verification.last
        if verified is not None and verified["kind"]:
            text = f"THE RECORD IS NOT WHOLE ({verified['kind']}); {text}"
        if self.reload_error:
            text += f"; reload refused: {self.reload_error}"
        return text[:512]

    def status(self) -> dict[str, Any]:
        """Everything that `relay-shell status` shows."""
        sessions = [
            {"worker": worker.id, "principal": worker.principal, "session": session}
            for worker in self.workers
            for session in worker.sessions
        ]
        return {
            "instance": self.instance,
            "since": self.since,
            "summary": self.summary(),
            "mode": self.settings["policy.mode"],
            "ceiling": self.settings["policy.ceiling"],
            "config_sha256": self.config_hash(),
            "access_rules": len(self.rules),
            "reload_error": self.reload_error,
            "needs_restart": self.needs_restart,
            "connections": [row.as_status() for row in self.connections],
            "workers": [row.as_status() for row in self.workers],
            "calls": [row.as_status() for row in self.calls],
            "sessions": sessions,
            "frozen": [freeze.as_dict() for freeze in self.freezer.standing()],
            "refused": self.refused,
            "recordings": self.recordings(),
            "tally": self.tally.status(),
            "verified": self.verification.last,
            "observer": self.observation.as_status(),
            "evidence": {
                **self.trail.writer.status(),
                **self.trail.status(),
                "remote_ack": self.remote.status(),
            },
        }
