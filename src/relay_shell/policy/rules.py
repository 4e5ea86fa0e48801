"""Deny and allow lists of the operator, on RE2 (linear time).

A rule is matched against the raw text and against every canonical form, so quoting, paths
and wrappers do not dodge it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from .hosts import canonical_addresses
from .model import RuleHit

_MAX_PATTERN = 4096


class RuleError(ValueError):
    """A pattern that RE2 cannot take.

    Attributes:
        file: Where the pattern stands.
        index: Its place in the list, from 0.
        reason: What RE2 says of it.
    """

    def __init__(self, file: str, index: int, reason: str) -> None:
        super().__init__(f"{file}: pattern {index + 1}: {reason}")
        self.file = file
        self.index = index
        self.reason = reason


class Rules:
    """Compiled deny and allow lists."""

    def __init__(
        self,
        deny: Sequence[str] = (),
        allow: Sequence[str] = (),
        *,
        file: str = "configuration",
    ) -> None:
        """Compile both lists.

        Raises:
            RuleError: at the first pattern that cannot be used.
        """
        self._deny = [(p, _compile(p, f"{file}: deny", i)) for i, p in enumerate(deny)]
        self._allow = [(p, _compile(p, f"{file}: allow", i)) for i, p in enumerate(allow)]

    def __bool__(self) -> bool:
        return bool(self._deny or self._allow)

    def check(self, raw_text: str, canonical_forms: Iterable[str] = ()) -> RuleHit | None:
        """The first rule that matches: deny rules on every form, then allow rules.

        An allow rule must cover every simple command: with canonical forms at hand it
        matches only if each of them is matched by some allow rule, so that `allowed; other`
        is not admitted by the rule for `allowed`.
        """
        if not self:
            return None
        forms = list(dict.fromkeys(canonical_forms))
        texts = [raw_text, *forms]
        texts.extend(
            dict.fromkeys(c for t in texts for c in canonical_addresses(t) if c not in texts)
        )
        for index, (pattern, compiled) in enumerate(self._deny):
            for text in texts:
                if compiled.search(text):
                    return RuleHit("deny", index, pattern, text[:400])
        return self._allowed(raw_text, forms)

    def _allowed(self, raw_text: str, forms: list[str]) -> RuleHit | None:
        first: RuleHit | None = None
        for text in forms or [raw_text]:
            hit = self._allow_hit(text)
            if hit is None:
                return None
            first = first or hit
        return first

    def _allow_hit(self, text: str) -> RuleHit | None:
        for index, (pattern, compiled) in enumerate(self._allow):
            if compiled.search(text):
                return RuleHit("allow", index, pattern, text[:400])
        return None


def _compile(pattern: str, file: str, index: int) -> Any:
    import re2

    if not isinstance(pattern, str):
        raise RuleError(file, index, "not a text")
    if not pattern:
        raise RuleError(file, index, "an empty pattern matches everything")
    if len(pattern) > _MAX_PATTERN:
        raise RuleError(file, index, f"longer than {_MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        detail = error.args[0] if error.args else "cannot be compiled"
        reason = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        raise RuleError(file, index, f"{reason}: {pattern[:80]!r}") from None


Action = Literal["deny", "allow"]
