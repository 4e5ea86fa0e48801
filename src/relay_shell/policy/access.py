"""access.toml: which principal may do what. Rules are tried in order, the first match decides.

This module knows the meaning of a parsed document and nothing of files. Without any rule,
everybody has what the settings give; with rules, who is named by none has nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from .hosts import canonical_host, canonical_ip, canonical_pattern

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_WILD = re.compile(r"[A-Za-z0-9._:*?\[\]!-]{1,255}")

FILE = "access.toml"
RECORDING = ("off", "metadata", "output", "full")
"""How sessions are recorded, the least first."""

BUDGETS: Mapping[str, int] = MappingProxyType(
    {
        "calls_per_minute": 1_000_000,
        "burst": 1_000_000,
        "sensitive_per_minute": 1_000_000,
        "sensitive_burst": 1_000_000,
        "concurrent": 65_536,
        "cpu_seconds": 10**9,
        "output_bytes": 10**15,
    }
)
"""What may be rationed, and the most that a rule or setting may say; 0 is no limit."""


class Who(NamedTuple):
    """A connection's identity, as far as rules may ask for it."""

    user: str = ""
    groups: frozenset[int] = frozenset()
    """Group ids that kernel and account database attest."""
    issuer: str = ""
    subject: str = ""
    scopes: frozenset[str] = frozenset()
    client: str | None = None
    """What the client calls itself: a claim. None until it has said so."""


class Grant(NamedTuple):
    """What the first matching rule gives; None is "as the settings say" or "all"."""

    refusal: str = ""
    """Why the principal may do nothing, "" if it may do something."""
    pending: bool = False
    """Whether the refusal may be lifted once the client says what it is."""
    rule: str = ""
    """The rule, for the record: its number, its name, its line."""
    mode: str | None = None
    ceiling: int | None = None
    tools: frozenset[str] | None = None
    hosts: tuple[str, ...] | None = None
    budgets: Mapping[str, int] = MappingProxyType({})
    recording: str | None = None
    redact: bool | None = None
    claims: str = RECORDING[0]
    """The least that is recorded: by rules that ask for a client, whatever the client claims."""


class Rule(NamedTuple):
    """One [[rule]] of the file."""

    number: int
    line: int
    name: str
    who: Mapping[str, tuple[str | int, ...]]
    """What it asks for: each of these must match, by any of its values."""
    deny: bool
    mode: str | None
    ceiling: int | None
    tools: frozenset[str] | None
    hosts: tuple[str, ...] | None
    budgets: Mapping[str, int]
    recording: str | None
    redact: bool | None

    def __str__(self) -> str:
        name = f" ({self.name})" if self.name else ""
        return f"rule {self.number}{name} of {FILE}"

    def fits(self, who: Who, *, client: bool = True) -> bool:
        """Whether the rule is about this connection; `client`: its claim counts as well."""
        for key, wanted in self.who.items():
            if key == "client":
                if client and (who.client is None or who.client not in wanted):
                    return False
            elif key == "group":
                if not who.groups.intersection(w for w in wanted if isinstance(w, int)):
                    return False
            elif key == "scope":
                if not who.scopes.intersection(w for w in wanted if isinstance(w, str)):
                    return False
            elif getattr(who, key) not in wanted or not getattr(who, key):
                return False
        return True


class AccessRules:
    """The rules in force."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self.rules = tuple(rules)
        self.sha256 = ""
        """Of the document as canonical JSON, for the record; "" where there is no file."""

    def __bool__(self) -> bool:
        return bool(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def find(self, who: Who) -> Grant:
        """What a connection is given."""
        if not self.rules:
            return Grant()
        hidden: bool | None = None
        claims = RECORDING[0]
        for rule in self.rules:
            if rule.redact and rule.fits(who, client=False):
                # What hides secrets does so whatever the client claims to be.
                hidden = True
            if rule.recording and "client" in rule.who and rule.fits(who, client=False):
                claims = more_recorded(claims, rule.recording)
            if rule.fits(who):
                label = f"{rule}, line {rule.line}"
                if rule.deny:
                    return Grant(f"{rule} refuses it", rule=label)
                return Grant(
                    "",
                    False,
                    label,
                    rule.mode,
                    rule.ceiling,
                    rule.tools,
                    rule.hosts,
                    rule.budgets,
                    self._recording(rule, who),
                    hidden or rule.redact,
                    claims,
                )
        if who.client is None and any(
            rule.fits(who, client=False) and not rule.deny for rule in self.rules
        ):
            return Grant("the client has not said what it is", pending=True)
        return Grant(f"no rule of {FILE} names it")

    def _recording(self, rule: Rule, who: Who) -> str | None:
        """What is recorded by the rule, or by the first that fits without a claim."""
        if "client" not in rule.who:
            return rule.recording
        unclaimed = (other for other in self.rules if "client" not in other.who)
        return next((other.recording for other in unclaimed if other.fits(who)), None)


def more_recorded(one: str, other: str) -> str:
    """That of two modes of recording which keeps more."""
    return max(one, other, key=RECORDING.index)


def host_allowed(host: str, patterns: Sequence[str]) -> bool:
    """Whether a host (user@ and port aside, any spelling of an address) fits a pattern.

    A pattern is a name with `*` and `?`, an address, or a network such as 10.0.0.0/8. A network
    fits addresses alone: what a name means may change between the check and the connection.
    """
    bare = canonical_host(host)
    if not bare:
        return False
    names, wild, networks = _compiled(tuple(patterns))
    if bare in names or any(fnmatchcase(bare, pattern) for pattern in wild):
        return True
    address = canonical_ip(bare) if networks else None
    if address is None:
        return False
    found = ipaddress.ip_address(address)
    return any(found in network for network in networks)


@lru_cache(64)
def _compiled(
    patterns: tuple[str, ...],
) -> tuple[frozenset[str], tuple[str, ...], tuple[_Network, ...]]:
    networks = tuple(ipaddress.ip_network(pattern) for pattern in patterns if "/" in pattern)
    texts = [canonical_pattern(pattern) for pattern in patterns if "/" not in pattern]
    wild = tuple(text for text in texts if any(char in text for char in "*?["))
    return frozenset(texts), wild, networks


def pattern_trouble(pattern: str) -> str:
    """Why a text is no pattern of hosts, "" if it is one."""
    if "/" in pattern:
        try:
            ipaddress.ip_network(pattern)
        except ValueError as error:
            return str(error)
        return ""
    if any(char in pattern for char in "*?["):
        return "" if _WILD.fullmatch(pattern) else "no name, address, pattern or network"
    return "" if canonical_host(pattern) else "no name, address, pattern or network"
