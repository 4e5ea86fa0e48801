"""Deny and allow lists of the operator, on RE2 (linear time).

A rule is matched against the raw text and against every canonical form, so quoting, paths
and wrappers do not dodge it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .hosts import canonical_addresses
from .model import Node, RuleHit, Tier

_MAX_PATTERN = 4096
_SHOWN = 400


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
        self._deny = [(p, compile_pattern(p, f"{file}: deny", i)) for i, p in enumerate(deny)]
        self._allow = [(p, compile_pattern(p, f"{file}: allow", i)) for i, p in enumerate(allow)]

    def __bool__(self) -> bool:
        return bool(self._deny or self._allow)

    def check(
        self,
        raw_text: str,
        canonical_forms: Iterable[str] = (),
        hosts: Iterable[str] = (),
        tree: Node | None = None,
    ) -> RuleHit | None:
        """The first deny rule that matches anything of the call, else an allow rule that covers it.

        A deny rule needs to match the raw text, one canonical form, one host, or one of them
        with its addresses spelt the usual way. An allow rule has to cover the call: every part
        of tier 2 or above in the tree (without a tree, every form) is matched, so that
        `allowed; other` is not admitted by the rule for `allowed`.
        """
        forms = list(dict.fromkeys(canonical_forms))
        if self._deny:
            texts = [raw_text, *forms, *hosts]
            texts.extend([c for text in texts for c in canonical_addresses(text)])
            for index, (pattern, compiled) in enumerate(self._deny):
                for text in texts:
                    if compiled.search(text):
                        return RuleHit("deny", index, pattern, text[:_SHOWN])
        if not self._allow:
            return None
        if tree is not None:
            return self._covering(tree)
        hits = [self._allow_hit(text) for text in forms or [raw_text]]
        return hits[0] if all(hits) else None

    def _allow_hit(self, text: str, *, whole: bool = False) -> RuleHit | None:
        for index, (pattern, compiled) in enumerate(self._allow):
            if compiled.fullmatch(text) if whole else compiled.search(text):
                return RuleHit("allow", index, pattern, text[:_SHOWN])
        return None

    def _covering(self, node: Node) -> RuleHit | None:
        """A rule that covers all of the node, or None.

        A rule that matches the whole of a command covers what the command starts; one that
        matches a piece covers a command that starts nothing else.
        """
        if node.kind == "command":
            hit = self._allow_hit(node.text, whole=True)
            inner = [child for child in node.children if child.tier >= Tier.STATEFUL]
            beside = [child for child in inner if child.kind in _BESIDE]
            if hit is not None and not beside:
                return hit
            if not inner:
                return hit or self._allow_hit(node.text)
        found: RuleHit | None = None
        for child in node.children:
            if child.tier >= Tier.STATEFUL:
                hit = self._covering(child)
                if hit is None:
                    return None
                found = found or hit
        return found


# What stands beside a command's words and so is not in its canonical form.
_BESIDE = frozenset(("redirection", "assignment"))


def compile_pattern(pattern: object, file: str, index: int) -> Any:
    """Compile one pattern.

    Raises:
        RuleError: for what is no text, empty, too long or beyond RE2.
    """
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
