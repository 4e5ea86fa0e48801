"""From kernel facts to roles, postures and principals.

Nothing here believes what a peer says: a role follows from the account and the systemd unit that
the kernel reports, a principal from the credentials of the client's own socket.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from ..policy.access import Grant, host_allowed, more_recorded
from ..policy.model import UNKNOWN_HOST
from ..policy.toolgroups import REACHING
from ..wire.errors import RelayError
from .peer import Peer, PeerError, of

FRONT_ACCOUNT = "relay-shell-front"
BROKER_ACCOUNT = "relay-shell-broker"
WORKER_ACCOUNT = "relay-shell"
OBSERVER_ACCOUNT = "relay-shell-observer"
OPERATORS = "relay-shell-operators"
FRONT_UNITS = frozenset({"relay-shell-front.service", "relay-shell-http.service"})
OBSERVER_UNIT = "relay-shell-observer.service"
WORKER_UNIT = re.compile(r"relay-shell-worker@[^/]*\.service")
OWN_UNIT = re.compile(r"relay-shell(-[a-z]+)?(@[^/]*)?\.service")

POSTURE_DROP_IN = "/etc/systemd/system/relay-shell-worker@.service.d/50-posture.conf"
"""Where `relay-shell posture set` puts the account of workers that start from then on."""

_USER = re.compile(r"^User=(\S+)$", re.MULTILINE)
_COMMAND_CGROUP = re.compile(r"(^|/)(call|session)-")
_ALL = Grant()
_NAME = re.compile(r"[^\s/:\x00-\x1f\x7f]{1,128}")


class Principal(NamedTuple):
    """Whom a connection acts for."""

    name: str
    """unix:<user>, or unix:#<uid> for an account without a name."""
    user: str
    uid: int


class Access(NamedTuple):
    """What a connection may do; mode, ceiling and groups are told to front and worker."""

    mode: str
    ceiling: int
    groups: tuple[str, ...]
    """Tool groups and single tools that exist for the connection; "*" is all of them."""
    refusal: str = ""
    """Why it may do nothing at all, "" if it may."""
    pending: bool = False
    """Whether the refusal may be lifted once the client has said what it is."""
    rule: str = ""
    """The rule of access.toml that decided, "" if there are none."""
    tools: frozenset[str] | None = None
    """Tools that it may call; None is all of them."""
    hosts: tuple[str, ...] | None = None
    budgets: Mapping[str, int] = MappingProxyType({})
    recording: str = "metadata"
    redact: bool = True
    """Whether secrets in output are hidden from it."""

    def refuses(
        self, tool: str, machines: Sequence[Sequence[str]], named: Sequence[str] = ()
    ) -> str:
        """Why a call of this tool is outside the grant, "" if it is inside.

        Args:
            machines: those that the call reaches, each by its names: one that is granted suffices.
            named: hosts that the call's command names.
        """
        if self.refusal:
            return self.refusal
        if self.tools is not None and tool not in self.tools:
            return f"{self.rule} does not grant the tool {tool}"
        if self.hosts is not None:
            if tool in REACHING and not machines:
                return self._unknown(f"{tool} came without its machines")
            for names in (*machines, *((host,) for host in named)):
                first = names[0]
                if first.startswith(UNKNOWN_HOST):
                    return self._unknown(first[1:129] or "its text is not understood")
                if not any(host_allowed(name, self.hosts) for name in names):
                    return f"{self.rule} does not grant the host {first[:128]}"
        return ""

    def _unknown(self, what: str) -> str:
        return f"{self.rule} grants hosts, and which one is meant is not known: {what}"

    def as_wire(self) -> dict[str, Any]:
        return {"mode": self.mode, "ceiling": self.ceiling, "groups": list(self.groups)}


@dataclass(frozen=True, slots=True)
class Accounts:
    """Accounts and units that our own processes run as.

    `check_units` is False only where no service manager started them (standalone, tests).
    """

    front: int
    workers: Mapping[int, str]
    """uid to posture."""
    operators: int | None
    """gid of the group that may use the operator socket beside root."""
    own: frozenset[int] = field(default_factory=frozenset)
    """uids that no client may have."""
    check_units: bool = True
    observer: int | None = None

    @classmethod
    def system(cls) -> Accounts:
        """The accounts that the package's sysusers.d file made.

        Raises:
            RelayError: kind Config, if one is missing.
        """
        try:
            front = pwd.getpwnam(FRONT_ACCOUNT).pw_uid
            broker = pwd.getpwnam(BROKER_ACCOUNT).pw_uid
            worker = pwd.getpwnam(WORKER_ACCOUNT).pw_uid
        except KeyError as error:
            raise RelayError(
                "Config", reason=f"{error.args[0]}; run systemd-sysusers, or reinstall"
            ) from None
        try:
            operators = grp.getgrnam(OPERATORS).gr_gid
        except KeyError:
            operators = None
        try:
            observer = pwd.getpwnam(OBSERVER_ACCOUNT).pw_uid
        except KeyError:
            # Calls run without it, and the record says that they were not observed.
            observer = None
        return cls(
            front=front,
            workers={worker: "scoped", 0: "privileged"},
            operators=operators,
            own=frozenset(
                {front, broker, worker} | ({observer} if observer is not None else set())
            ),
            observer=observer,
        )

    @classmethod
    def local(cls, posture: str = "standalone") -> Accounts:
        """Everything runs as the current user in one process."""
        uid = os.geteuid()
        return cls(
            front=uid, workers={uid: posture}, operators=None, check_units=False, observer=uid
        )

    def posture(self) -> str:
        """The posture that a worker started now has, as its drop-in's account says."""
        if not self.check_units:
            return next(iter(self.workers.values()))
        try:
            with open(POSTURE_DROP_IN, encoding="utf-8") as file:
                users = _USER.findall(file.read())
            uid = pwd.getpwnam(users[-1]).pw_uid if users else -1
        except (OSError, KeyError, UnicodeDecodeError):
            uid = -1
        return self.workers.get(uid, "scoped")

    def front_peer(self, peer: Peer) -> None:
        """Check that a peer is the front.

        Raises:
            RelayError: kind PermissionDenied, naming what does not fit.
        """
        if peer.uid != self.front:
            raise _refused(f"uid {peer.uid} is not the front's account")
        if self.check_units and peer.unit not in FRONT_UNITS:
            raise _refused(f"unit {peer.unit or 'none'} is not the front's")

    def observer_peer(self, peer: Peer) -> None:
        """Check that a peer is the observer, whose word on what was executed is recorded.

        Raises:
            RelayError: kind PermissionDenied, naming what does not fit.
        """
        if self.observer is None or peer.uid != self.observer:
            raise _refused(f"uid {peer.uid} is not the observer's account")
        if self.check_units and peer.unit != OBSERVER_UNIT:
            raise _refused(f"unit {peer.unit or 'none'} is not the observer's")

    def worker_peer(self, peer: Peer) -> str:
        """Check that a peer is the main process of a worker unit; return its posture.

        A command that a worker started has the same account, and often the same unit: it is kept
        out by its cgroup and by its parent. PID 1 starts the main process; the children of a
        worker never become PID 1's while it lives, because it is their subreaper (prctl(2)).

        Raises:
            RelayError: kind PermissionDenied, naming what does not fit.
        """
        posture = self.workers.get(peer.uid)
        if posture is None:
            raise _refused(f"uid {peer.uid} is no worker's account")
        if peer.facts is None:
            raise _refused("the process cannot be identified")
        if self.check_units:
            if not WORKER_UNIT.fullmatch(peer.unit):
                raise _refused(f"unit {peer.unit or 'none'} is no worker's")
            if _COMMAND_CGROUP.search(peer.facts.inner) or peer.facts.parent != 1:
                raise _refused(f"process {peer.pid} is not the main process of {peer.unit}")
        return posture

    def ours(self, peer: Peer) -> bool:
        """Whether a peer can be the front, the observer or a worker at all."""
        for check in (self.front_peer, self.observer_peer, self.worker_peer):
            with contextlib.suppress(RelayError):
                check(peer)
                return True
        return False

    def operator_peer(self, peer: Peer) -> str:
        """Check that a peer is an operator; return its user name. Reads NSS: not for the loop.

        Raises:
            RelayError: kind PermissionDenied, with the group that is missing.
        """
        user = user_name(peer.uid)
        if peer.uid == 0:
            return user
        groups = {peer.gid, *peer.groups}
        if not user.startswith("#"):
            groups.update(os.getgrouplist(user, peer.gid))
        if self.operators is None or self.operators not in groups:
            raise _refused(f"{user} is neither root nor a member of group {OPERATORS}")
        return user

    def client_peer(self, sock: socket.socket, path: str) -> Peer:
        """Identify the client at the other end of a socket that the front accepted.

        The socket must have come from the listener at `path`. SO_PEERCRED of a socket that the
        front itself connected to some service names that service's listener, so without this
        check a front that was taken over could act for root.

        Raises:
            RelayError: kind PermissionDenied.
        """
        try:
            if sock.type != socket.SOCK_STREAM or sock.getsockname() != path:
                raise _refused(f"the client's socket was not accepted at {path}")
            peer = of(sock)
        except (OSError, PeerError) as error:
            raise _refused(f"the client cannot be identified: {error}") from None
        if peer.uid in self.own:
            raise _refused("an account of relay-shell itself may not be a client")
        if OWN_UNIT.fullmatch(peer.unit):
            raise _refused(f"a process of {peer.unit} may not be a client")
        return peer


def user_name(uid: int) -> str:
    """The account's name, or #<uid>. Reads NSS: not for the loop."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        return f"#{uid}"
    return name if _NAME.fullmatch(name) else f"#{uid}"


def principal_of(uid: int) -> Principal:
    """The principal of a local account. Reads NSS: not for the loop."""
    user = user_name(uid)
    return Principal(f"unix:{user}", user, uid)


def account_groups(user: str, peer: Peer) -> frozenset[int]:
    """The groups of a client: those of its process, and those of its account.

    A process can drop groups (a container of its own user can even drop all), so that a rule that
    narrows a group looks at the account as well. Reads NSS: not for the loop.
    """
    groups = {peer.gid, *peer.groups}
    if not user.startswith("#"):
        with contextlib.suppress(OSError, KeyError):
            groups.update(os.getgrouplist(user, pwd.getpwnam(user).pw_gid))
    return frozenset(groups)


def access_of(settings: Mapping[str, Any], grant: Grant = _ALL) -> Access:
    """What a connection may do by the settings and by the grant of its rule."""
    tools: tuple[str, ...] = ("*",) if grant.tools is None else tuple(sorted(grant.tools))
    ceiling = settings["policy.ceiling"]
    return Access(
        grant.mode or settings["policy.mode"],
        ceiling if grant.ceiling is None else min(ceiling, grant.ceiling),
        () if grant.refusal else tools,
        grant.refusal,
        grant.pending,
        grant.rule,
        grant.tools,
        grant.hosts,
        grant.budgets,
        more_recorded(grant.recording or settings["recording.mode"], grant.claims),
        settings["redaction.output"] == "on" if grant.redact is None else grant.redact,
    )


def _refused(reason: str) -> RelayError:
    return RelayError("PermissionDenied", reason=reason)
