"""Which key names hold a secret: ``DB_PASSWORD``, ``authToken``, ``--api-key``, not ``author``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .rules import Rule

_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

#: Words after the sensitive one that do not change what the value is.
_TRAILING = frozenset(
    """value val prod production dev test testing staging stage live old new current previous
    default plain plaintext text base hash b64 base64 enc string data primary secondary backup
    main master repl replication admin root ro rw app web api ci file1 var input""".split()
)
#: First words that make the key a switch or a description rather than a holder.
_LEADING = frozenset(
    """no use with without has have is are show enable disable enabled disabled require required
    requires ask prompt skip check reset change forgot forget allow allowed need needs set get
    validate verify refresh_if hide max min num count total public""".split()
)


class KeyTable:
    """Lookup of key names in the ``key`` rules; decisions are remembered."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._suffix: dict[str, Rule] = {}
        self._word: dict[str, Rule] = {}
        for rule in rules:
            if rule.kind != "key":
                continue
            for key in rule.keys:
                self._suffix[key] = rule
            for word in rule.words:
                self._word[word] = rule
        self._suffixes = tuple(self._suffix)
        self._longest = max(map(len, self._suffixes), default=0)
        self._memo: dict[str, Rule | None] = {}

    def find(self, key: str) -> Rule | None:
        """The rule that a key name falls under, or None."""
        try:
            return self._memo[key]
        except KeyError:
            pass
        rule = self._find(key)
        if len(self._memo) < 8192:
            self._memo[key] = rule
        return rule

    def _find(self, key: str) -> Rule | None:
        words = [word.lower() for word in _CAMEL.findall(key)]
        if not words or words[0] in _LEADING:
            return None
        whole = len(words)
        while len(words) > 1 and (words[-1] in _TRAILING or words[-1].isdigit()):
            rule = self._match(words)
            if rule is not None:
                return rule
            words.pop()
        if whole - len(words) > 3:
            return None
        return self._match(words)

    def _match(self, words: list[str]) -> Rule | None:
        joined = "".join(words)
        if joined.endswith(self._suffixes):
            for size in range(min(len(joined), self._longest), 0, -1):
                rule = self._suffix.get(joined[-size:])
                if rule is not None:
                    return rule
        return self._word.get(words[-1]) or self._word.get(joined)
