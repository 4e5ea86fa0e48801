"""inventory.toml as a parsed document: what it may say, and everything that is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..config.document import Document, parse_file, parse_text
from ..config.errors import Problem
from ..config.lines import Path, line_of
from .inventory import PORT, Host
from .names import (
    address_fault,
    canonical,
    group_fault,
    is_ipv4,
    key_fault,
    name_fault,
    user_fault,
)

__all__ = ["DEFAULTS", "HOST", "Problem", "hosts_of", "parse_file", "parse_text"]

HOST: Mapping[str, str] = MappingProxyType(
    {
        "address": "Where it is: a name of DNS, or an IP address in its usual spelling. The name "
        "of the host if left out.",
        "user": "As whom one logs in. Each host needs one, its own or that of [defaults].",
        "port": "The port of its sshd, 22 if left out.",
        "jump": "The host of the inventory through which it is reached; that one's own jump is "
        'followed in turn. "" is none, where [defaults] has one.',
        "groups": "List of the groups that it is in: @NAME stands for all hosts of a group.",
        "key": "Which private key is offered, by its fingerprint (SHA256:...) or its comment; all "
        "that there are if left out.",
        "host_key": "The name under which known_hosts has its key (HostKeyAlias of "
        "ssh_config(5)); its address, with the port if that is not 22, if left out.",
        "shell": "The login shell of that user, bash or sh (any of POSIX, such as dash): commands"
        " are judged as it reads them. If left out, as what all usual shells read alike, which in"
        " readonly mode refuses more.",
        "description": "One line for whoever chooses among the hosts.",
    }
)
"""What [host.NAME] may say."""
DEFAULTS = ("user", "port", "jump", "key", "shell")
"""What [defaults] may say, for the hosts that do not."""

SHELLS = ("bash", "sh")
MOST_HOSTS = 4096
MOST_GROUPS = 64
"""Groups of one host."""
MOST_JUMPS = 8
DESCRIPTION = 512
"""Characters of a description."""
COUNTED = 50
"""Faults that are told; more would bury the first, and each costs a search for its line."""


def hosts_of(document: Document, file: str, problems: list[Problem]) -> list[Host]:
    """The hosts of a parsed document, in its order.

    Args:
        file: its name, for `problems`.
        problems: gets everything that is wrong; the hosts are not to be used then.
    """
    content, lines = document
    faults = _Faults(file, lines, problems)
    for key in content:
        if key not in ("defaults", "host"):
            faults.unknown((key,), "table", key, ("defaults", "host"))
    defaults = _Table(content.get("defaults", {}), ("defaults",), DEFAULTS, faults)
    given = content.get("host", {})
    if not isinstance(given, dict):
        faults.add(("host",), "'host' holds tables: write [host.NAME]")
        given = {}
    if len(given) > MOST_HOSTS:
        faults.add(("host",), f"more than {MOST_HOSTS} hosts")
        given = {}
    keys = tuple(HOST)
    tables = {name: _Table(value, ("host", name), keys, faults) for name, value in given.items()}
    base = {key: defaults.read(key, None) for key in DEFAULTS}
    spared = _spared(base["jump"], tables)
    hosts = []
    for name, table in tables.items():
        if reason := name_fault(name):
            table.wrong("", reason)
        hosts.append(_host(name, table, base | ({"jump": None} if name in spared else {})))
    known = {host.name: host for host in hosts}
    if base["jump"] and base["jump"] not in known:
        faults.unknown(("defaults", "jump"), "host", base["jump"], tuple(known))
    _check_names(hosts, faults)
    for host in hosts:
        _check_jump(host, known, tables[host.name], faults)
    return hosts


def _spared(jump: object, tables: Mapping[str, _Table]) -> set[str]:
    """The hosts on the way to the default jump: it cannot lead to itself."""
    found: set[str] = set()
    while isinstance(jump, str) and jump in tables and jump not in found:
        found.add(jump)
        jump = tables[jump].peek("jump")
    return found


def _host(name: str, table: _Table, base: Mapping[str, Any]) -> Host:
    user = table.read("user", base["user"])
    if user is None:
        table.wrong("", f"{_shown(name)} has no 'user', and neither has [defaults]")
    address = table.read("address", None)
    if address is None and not name_fault(name) and (reason := address_fault(name)):
        table.wrong("", f"the name is no address ({reason}); add 'address'")
    return Host(
        name,
        canonical(name if address is None else address),
        table.read("port", base["port"]) or PORT,
        user or "",
        table.read("jump", base["jump"]) or "",
        table.read("groups", ()),
        table.read("key", base["key"]) or "",
        canonical(table.read("host_key", "")),
        table.read("description", ""),
        table.read("shell", base["shell"]) or "",
    )


def _check_names(hosts: Sequence[Host], faults: _Faults) -> None:
    """Refuse names that rules on hosts could take for those of others."""
    folded: dict[str, Host] = {}
    for host in hosts:
        other = folded.setdefault(host.name.lower(), host)
        if other is not host:
            names = f"{_shown(host.name)} differs from {_shown(other.name)}"
            faults.add(("host", host.name), f"{names} by case only")
    for host in hosts:
        path = ("host", host.name, "address")
        other = folded.get(host.address, host)
        if other is not host and other.address != host.address:
            what = f"the address {host.address!r} is the name of another host"
            faults.add(path, f"{what}, whose address is {other.address!r}")
        if is_ipv4(host.name) and host.address != host.name:
            faults.add(path, "a name that is an address can have no other")


def _check_jump(host: Host, known: Mapping[str, Host], table: _Table, faults: _Faults) -> None:
    path = ("host", host.name, "jump")
    if host.jump and host.jump not in known:
        # One that [defaults] names is told there.
        if table.peek("jump"):
            faults.unknown(path, "host", host.jump, tuple(known))
        return
    way = [host.name]
    at = host
    while at.jump and at.jump in known and len(way) <= MOST_JUMPS + 1:
        at = known[at.jump]
        way.append(at.name)
        if at is host:
            ring = " -> ".join(map(_shown, way))
            faults.add(path, f'the jumps go in a ring: {ring}; jump = "" is none')
            return
    if len(way) > MOST_JUMPS + 1 and len(set(way)) == len(way):
        # A ring further on is told at its own hosts.
        faults.add(path, f"more than {MOST_JUMPS} jumps on the way to {_shown(host.name)}")


class _Faults:
    """What is wrong, with the line of each."""

    def __init__(self, file: str, lines: Mapping[Path, int], problems: list[Problem]) -> None:
        self._file = file
        self._lines = dict(lines)
        self._problems = problems

    def add(self, path: Path, reason: str) -> None:
        """Report what is wrong with a key or table."""
        if len(self._problems) < COUNTED:
            self._problems.append(Problem(self._file, line_of(self._lines, path), reason))
        elif len(self._problems) == COUNTED:
            self._problems.append(Problem(self._file, 0, "and more; correct these first"))

    def unknown(self, path: Path, what: str, name: str, known: Sequence[str]) -> None:
        """Report a name that nothing has, with the one that may have been meant."""
        # Among thousands of names the search takes milliseconds, for each fault.
        searched = len(self._problems) < COUNTED
        close = difflib.get_close_matches(name[:64], known, 1) if searched else []
        hint = f"; did you mean {_shown(close[0])}?" if close else ""
        self.add(path, f"unknown {what} {_shown(name)}{hint}")


class _Table:
    """One table of the document."""

    def __init__(self, value: object, path: Path, keys: Sequence[str], faults: _Faults) -> None:
        self._path = path
        self._faults = faults
        if not isinstance(value, dict):
            self.wrong(
                "", f"{_shown(path[-1])} is a table: write [{path[0]}{'.NAME' * len(path[1:])}]"
            )
            value = {}
        self._value: dict[str, Any] = value
        for key, content in self._value.items():
            if key in keys:
                continue
            if isinstance(content, dict) and len(path) > 1:
                self.wrong(
                    key,
                    f"unknown table {_shown(key)}; a name with a dot is quoted: "
                    f'[host."{_shown(path[-1])[1:-1]}.{_shown(key)[1:-1]}"]',
                )
            else:
                faults.unknown((*path, key), "key", key, keys)

    def wrong(self, key: str, reason: str) -> None:
        """Report what is wrong with a key or, if it is "", with the table."""
        self._faults.add((*self._path, key) if key else self._path, reason)

    def peek(self, key: str) -> object:
        """The value as it stands."""
        return self._value.get(key)

    def read(self, key: str, default: Any) -> Any:
        """The value of a key if it fits, else the default."""
        if key not in self._value:
            return default
        value = self._value[key]
        if reason := _CHECKS[key](value):
            self.wrong(key, f"{key} {reason}")
            # The fault is told; what follows from it is not.
            return _HARMLESS.get(key, default)
        return tuple(dict.fromkeys(value)) if key == "groups" else value


def _text(check: Callable[[str], str]) -> Callable[[object], str]:
    return lambda value: (
        check(value) if isinstance(value, str) else f"must be a string{_not(value)}"
    )


def _optional(check: Callable[[str], str]) -> Callable[[object], str]:
    return _text(lambda value: check(value) if value else "")


def _port(value: object) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        return f"must be an integer{_not(value)}"
    return "" if 1 <= value <= 65535 else "must be between 1 and 65535"


def _groups(value: object) -> str:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return f"must be a list of strings{_not(value)}"
    if len(value) > MOST_GROUPS:
        return f"must name at most {MOST_GROUPS}, not {len(value)}"
    return next((f"{item[:64]!r}: {why}" for item in value if (why := group_fault(item))), "")


def _description(value: str) -> str:
    if len(value) > DESCRIPTION:
        return f"must have at most {DESCRIPTION} characters, not {len(value)}"
    return "" if value.isprintable() else "must be one line of printable characters"


_CHECKS: Mapping[str, Callable[[object], str]] = {
    "address": _text(address_fault),
    "user": _text(user_fault),
    "port": _port,
    # Whether there is such a host is seen when all are known.
    "jump": _text(lambda value: ""),
    "groups": _groups,
    "key": _optional(key_fault),
    "host_key": _text(address_fault),
    "description": _text(_description),
    "shell": _optional(lambda value: "" if value in SHELLS else f"is one of {', '.join(SHELLS)}"),
}
_HARMLESS: Mapping[str, Any] = {"address": "localhost", "user": "nobody", "jump": "", "groups": ()}


def _not(value: object) -> str:
    return f", not {repr(value)[:64]}"


def _shown(name: str) -> str:
    return repr(name[:64])
