"""Judgements on calls that came before: the same call by the same principal is not judged anew.

A judgement depends on nothing but the call, what the caller may do, and the settings, for which
each `Judge` has precedents of its own. A call is known again by the digest that its record has
anyway; its text is not kept, and of a call that held a secret nothing is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .arguments import Arguments
from .principals import Access

if TYPE_CHECKING:
    from .judge import Judgement

MOST = 1024
"""Judgements kept; then all are forgotten."""

SIZE = 2048
"""Characters that one may have."""


class Precedent(NamedTuple):
    """One judgement."""

    access: Access
    judgement: Judgement
    reasons: list[str]
    """As the record has them."""


class Precedents:
    """What was judged; may be used from several threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: dict[tuple[str, str, str], Precedent] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def find(
        self, principal: str, tool: str, arguments: Arguments, access: Access
    ) -> Precedent | None:
        """The judgement on such a call.

        Each principal has its own: how long a verdict takes must not say what another asked.
        """
        found = self._kept.get((principal, tool, arguments.sha256))
        return found if found is not None and found.access == access else None

    def keep(self, principal: str, tool: str, arguments: Arguments, found: Precedent) -> None:
        """Remember a judgement that is small."""
        told = found.judgement
        size = sum(map(len, (*told.reasons, *told.hosts, *found.reasons, told.hint)))
        if size <= SIZE:
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[principal, tool, arguments.sha256] = found
