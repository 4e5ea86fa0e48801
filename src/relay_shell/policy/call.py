"""One program call under judgement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import paths
from .model import UNKNOWN_HOST, Node, Tier
from .values import ANYTHING, Arg, Input, Value

if TYPE_CHECKING:
    from .core import Judge


@dataclass(slots=True)
class Call:
    """One program call under judgement; judges add to it.

    Attributes:
        args: The words after the program's name.
        name: The program's bare name.
        stdin: What it finds on standard input.
        output: What is known of what it prints.
        hosts: What it connects to, beside what its words name; see `Node.hosts`.
    """

    judge: Judge
    name: str
    args: list[Arg]
    stdin: Input
    tier: Tier = Tier.READ_ONLY
    reasons: list[str] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)
    output: Value = field(default_factory=Value)
    hosts: list[str] = field(default_factory=list)

    def add(self, tier: int, reason: str) -> None:
        """Raise the tier to at least `tier`, with the reason if it is above 0."""
        if tier > self.tier:
            self.tier = Tier(tier)
        if tier > 0 and reason and reason not in self.reasons:
            self.reasons.append(reason)

    def run(self, args: Sequence[Arg], stdin: Input | None = None) -> Value:
        """Judge another command that this one runs."""
        node, output = self.judge.argv(list(args), stdin or Input("unknown"))
        self.children.append(node)
        return output

    def shell(
        self,
        text: Arg,
        positional: list[Arg] | None = None,
        name: str = "",
        dialect: str = "sh",
    ) -> Value:
        """Judge text that this call hands to a shell."""
        outer, self.judge.dialect = self.judge.dialect, dialect
        try:
            return self._shell(text, positional, name)
        finally:
            self.judge.dialect = outer

    def _shell(self, text: Arg, positional: list[Arg] | None, name: str) -> Value:
        if not text.exact:
            self.hosts.append(UNKNOWN_HOST + text.display)
            # What is visible of it still tells how bad it can be.
            self.add(2, f"runs shell text that is known only when it runs: {text.display}")
            self.children.append(self.judge.inner(text.display, positional, name)[0])
            return ANYTHING
        node, output = self.judge.inner(text.text, positional, name)
        self.children.append(node)
        return output

    def writes(self, path: Arg, how: str = "truncate") -> None:
        """Account for writing to a path."""
        self.add(*paths.written(path, how))
