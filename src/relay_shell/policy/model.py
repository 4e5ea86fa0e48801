"""What a verdict on a call is made of: tiers, the command tree, decisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

Mode = Literal["open", "guarded", "readonly"]
Enforcement = Literal["none", "readonly"]


UNKNOWN_HOST = "?"
"""Begins the name of a host that is known only when the command runs; no host's name does."""

MOST_HOSTS = 256
"""Hosts of one call; more are one that is not known."""


class Tier(IntEnum):
    """How much a call can change; a higher tier meets more friction."""

    READ_ONLY = 0
    REVERSIBLE = 1
    STATEFUL = 2
    IRREVERSIBLE = 3

    @property
    def label(self) -> str:
        """The name used in results and records, e.g. `read-only`."""
        return self.name.lower().replace("_", "-")


class Node(NamedTuple):
    """One node of the command tree.

    For kind `command` the text is the canonical form: quotes removed, expansions
    resolved where they can be. Other kinds carry a piece of the source. `hosts` are those that
    it connects to; one whose name is not known begins with `UNKNOWN_HOST`.
    """

    text: str
    kind: str
    tier: Tier
    reasons: tuple[str, ...] = ()
    children: tuple[Node, ...] = ()
    hosts: tuple[str, ...] = ()

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in source order."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def as_dict(self) -> dict[str, object]:
        """The tree as plain JSON values."""
        return {
            "text": self.text,
            "kind": self.kind,
            "tier": int(self.tier),
            "reasons": list(self.reasons),
            "children": [child.as_dict() for child in self.children],
            **({"hosts": list(self.hosts)} if self.hosts else {}),
        }


class Verdict(NamedTuple):
    """The tier of a whole call, why, and the tree it was computed from."""

    tier: Tier
    reasons: tuple[str, ...]
    tree: Node | None = None

    def canonical_forms(self) -> tuple[str, ...]:
        """One text per simple command, for deny and allow rules to match.

        A program called by its path appears a second time by its bare name, so that a
        rule on `rm` sees `/bin/rm`.
        """
        if self.tree is None:
            return ()
        forms: dict[str, None] = {}
        for node in self.tree.walk():
            if node.kind != "command":
                continue
            forms[node.text] = None
            program, space, rest = node.text.partition(" ")
            if "/" in program:
                forms[program.rpartition("/")[2] + space + rest] = None
        return tuple(forms)

    def hosts(self) -> tuple[str, ...]:
        """The hosts that the call names, in source order; see `Node.hosts`.

        Text that was not understood may name any.
        """
        if self.tree is None:
            return ()
        found: dict[str, None] = {}
        stack = [(self.tree, False)]
        while stack:
            node, dormant = stack.pop()
            # A function is judged again where it is called, with its arguments.
            dormant = dormant or node.kind == "function"
            for host in node.hosts:
                if not (dormant and host.startswith(UNKNOWN_HOST)):
                    found[host] = None
            if node.kind == "unresolved":
                found[UNKNOWN_HOST] = None
            if len(found) > MOST_HOSTS:
                return (*list(found)[: MOST_HOSTS - 1], UNKNOWN_HOST)
            stack.extend((child, dormant) for child in reversed(node.children))
        return tuple(found)

    def as_dict(self) -> dict[str, object]:
        """The verdict as plain JSON values."""
        return {
            "tier": int(self.tier),
            "name": self.tier.label,
            "reasons": list(self.reasons),
            "tree": self.tree.as_dict() if self.tree else None,
        }


@dataclass(frozen=True, slots=True)
class RuleHit:
    """Which operator rule matched, and on what."""

    action: Literal["deny", "allow"]
    index: int
    pattern: str
    matched: str


class Decision(NamedTuple):
    """Whether a call may run, under which enforcement, and what to do if not."""

    allowed: bool
    enforcement: Enforcement
    reasons: tuple[str, ...]
    hint: str = ""


def group(kind: str, source: str, nodes: list[Node], *reasons: str) -> Node:
    """A node over others, as bad as its worst."""
    tier = max([node.tier for node in nodes], default=Tier.READ_ONLY)
    return Node(source[:400].strip(), kind, tier, reasons, tuple(nodes))
