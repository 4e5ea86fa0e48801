"""A rule set made ready: the anchor pattern, the handlers of each anchor, patterns on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import re2

from . import block, context, headers, options, tokens
from . import charset as cs
from .keys import KeyTable
from .rules import Rule
from .scan import Handler

_MAX_MEM = 64 << 20


def _options() -> Any:
    options_ = re2.Options()
    # Latin-1 makes RE2 work on bytes, so that no input is undecodable.
    options_.encoding = re2.Options.Encoding.LATIN1
    options_.log_errors = False
    options_.longest_match = True
    options_.never_capture = True
    options_.max_mem = _MAX_MEM
    return options_


class Anchor(NamedTuple):
    """Handlers of one anchor in order of precedence; ``inner`` if it contains another anchor."""

    handlers: tuple[Handler, ...]
    inner: bool


class Compiled:
    """Immutable; shared by all scanners of one rule set."""

    def __init__(self, rules: Sequence[Rule], keep_structure: bool = True) -> None:
        self.rules = tuple(rules)
        self.keep_structure = keep_structure
        self.names = frozenset(rule.name for rule in rules)
        self._marks = frozenset(cs.mark(name) for name in self.names)
        self.keys = KeyTable(rules)
        self.block_step = block.step
        self.tokens: list[tokens.TokenHandler] = []
        exact: dict[bytes, list[Handler]] = {}
        folded: dict[bytes, list[Handler]] = {}
        for rule in rules:
            if rule.kind == "token":
                handler = tokens.TokenHandler(rule)
                self.tokens.append(handler)
                for anchor in rule.anchors:
                    exact.setdefault(anchor.encode("latin-1"), []).append(handler)
        options.install(rules, exact)
        for name, anchors, found in block.HANDLERS + headers.HANDLERS + context.HANDLERS:
            if name is None or name in self.names:
                for text in anchors:
                    folded.setdefault(text, []).append(found)
        self._exact = _inherit(exact)
        self._folded = _inherit(folded)
        self._memo: dict[bytes, Anchor] = {}
        self._overlap: dict[bytes, bool] = {}
        every = [*exact, *folded]
        self.longest = max(map(len, every), default=1)
        self.heads = frozenset(
            anchor[:size].lower() for anchor in every for size in range(1, len(anchor))
        )
        self.held = frozenset(
            anchor[:size].lower()
            for anchor, own in exact.items()
            for size in range(1, len(anchor))
            if any(isinstance(item, tokens.TokenHandler) and item.from_anchor for item in own)
        )
        self._heads = self.heads | {anchor.lower() for anchor in every}
        # The trie form keeps the automaton small; RE2 factors common prefixes by itself.
        literal = "|".join(re2.escape(anchor.decode("latin-1")) for anchor in sorted(exact))
        caseless = "|".join(re2.escape(anchor.decode("latin-1")) for anchor in sorted(folded))
        parts = [part for part in (literal, f"(?i:{caseless})" if caseless else "") if part]
        self.anchors = re2.compile("|".join(parts).encode("latin-1"), _options())

    def anchor(self, text: bytes) -> Anchor:
        """What to do at an anchor as it is written in the input."""
        found = self._memo.get(text)
        if found is None:
            lower = text.lower()
            handlers = list(self._exact.get(text) or _prefixed(self._exact, text))
            handlers += self._folded.get(lower) or _prefixed(self._folded, lower)
            inner = self.anchors.search(text, 1) is not None
            found = Anchor(tuple(handlers), inner)
            if len(self._memo) < 4096:
                self._memo[text] = found
        return found

    def token_in(self, buf: bytes, start: int, stop: int) -> int | None:
        """Start of the first anchor of a token in a part of the input."""
        for match in self.anchors.finditer(buf, start, stop):
            if any(
                isinstance(item, tokens.TokenHandler) for item in self.anchor(match[0]).handlers
            ):
                return int(match.start())
        return None

    def overlaps(self, buf: bytes, start: int, stop: int) -> bool:
        """Whether an anchor may begin within ``start + 1 .. stop`` and end behind it."""
        text = buf[start : stop + 1]
        found = self._overlap.get(text)
        if found is None:
            lower, heads = text.lower(), self._heads
            found = any(lower[index:] in heads for index in range(1, stop - start))
            if len(self._overlap) < 16384:
                self._overlap[text] = found
        return found

    def is_exactly(self, text: bytes) -> bool:
        """Whether a text is one of this rule set's marks."""
        return text in self._marks

    def is_mark(self, buf: bytes, index: int) -> bool:
        """Whether one of this rule set's marks stands at ``index``."""
        end = buf.find(b"]", index, index + cs.MARK_MAX + len(cs.MARK_OPEN))
        return end != -1 and buf[index : end + 1] in self._marks


def _prefixed(table: dict[bytes, list[Handler]], anchor: bytes) -> list[Handler]:
    for size in range(len(anchor) - 1, 0, -1):
        if anchor[:size] in table:
            return table[anchor[:size]]
    return []


def _inherit(table: dict[bytes, list[Handler]]) -> dict[bytes, list[Handler]]:
    """Give each anchor the handlers of the anchors that begin it, the most specific first."""
    result: dict[bytes, list[Handler]] = {}
    for anchor, own in table.items():
        chain = list(own)
        for size in range(len(anchor) - 1, 0, -1):
            chain += [item for item in table.get(anchor[:size], ()) if item not in chain]
        result[anchor] = chain
    return result
