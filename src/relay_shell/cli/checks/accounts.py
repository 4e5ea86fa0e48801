"""Accounts: the package's own have no more than they need, and no agent is its own operator."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterator

from .base import FAIL, OK, WARN, Finding, Host

ACCOUNTS = (
    "relay-shell",
    *(f"relay-shell-{name}" for name in ("front", "broker", "observer", "verify", "keys")),
)
ACCESS = "relay-shell-access"
OPERATORS = "relay-shell-operators"
INTERNAL = "relay-shell-internal"

POWERFUL = frozenset(
    "root sudo wheel adm shadow disk kmem docker lxd libvirt kvm systemd-journal".split()
)
"""Groups that amount to root, or to reading what agents must not: Debian's wiki, SystemGroups."""

NO_LOGIN = ("nologin", "false")


def check(host: Host) -> Iterator[Finding]:
    """Look at the accounts and groups of the host that runs."""
    if not host.live:
        return
    for name in ACCOUNTS:
        yield _account(name)
    for name in (ACCESS, OPERATORS, INTERNAL):
        if _members(name) is None:
            yield Finding(
                "accounts", FAIL, name, "group is missing", "systemd-sysusers; then doctor again"
            )
    yield from judge(_members(ACCESS) or set(), _members(OPERATORS) or set())
    inside = _members(INTERNAL)
    if inside:
        yield Finding(
            "accounts",
            FAIL,
            INTERNAL,
            f"has members ({', '.join(sorted(inside))}); it is for the package's units alone",
            f"gpasswd -d USER {INTERNAL}",
        )


def judge(access: set[str], operators: set[str]) -> Iterator[Finding]:
    """Findings on who may connect and who may operate."""
    if access:
        yield Finding("accounts", OK, ACCESS, f"{len(access)} may connect: {_list(access)}")
    else:
        yield Finding(
            "accounts",
            WARN,
            ACCESS,
            "has no members: only root can connect an agent",
            f"usermod -aG {ACCESS} USER",
        )
    both = access & operators
    if both:
        yield Finding(
            "accounts",
            WARN,
            OPERATORS,
            f"can both run agents and operate: {_list(both)}; such an agent could unfreeze itself",
            "use separate accounts",
        )
    elif operators:
        yield Finding("accounts", OK, OPERATORS, f"{len(operators)}: {_list(operators)}")


def _account(name: str) -> Finding:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return Finding("accounts", FAIL, name, "account is missing", "systemd-sysusers")
    groups = {group.gr_name for group in grp.getgrall() if name in group.gr_mem}
    strange = groups & (POWERFUL | {ACCESS, OPERATORS})
    if strange:
        return Finding(
            "accounts",
            FAIL,
            name,
            f"is in {_list(strange)}",
            f"gpasswd -d {name} {min(strange)}",
        )
    if entry.pw_uid == 0 or not entry.pw_shell.endswith(NO_LOGIN):
        return Finding(
            "accounts",
            FAIL,
            name,
            f"has uid {entry.pw_uid} and shell {entry.pw_shell}",
            f"usermod -s /usr/sbin/nologin {name}",
        )
    return Finding("accounts", OK, name, f"uid {entry.pw_uid}, no login")


def _members(group: str) -> set[str] | None:
    try:
        entry = grp.getgrnam(group)
    except KeyError:
        return None
    primary = {user.pw_name for user in pwd.getpwall() if user.pw_gid == entry.gr_gid}
    return set(entry.gr_mem) | primary


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))
