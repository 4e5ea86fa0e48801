"""Tokens that name themselves: a literal anchor, then a body of known alphabet and length."""

from __future__ import annotations

from typing import Any

import re2

from . import charset as cs
from .rules import Rule, RuleError
from .scan import BACK, Found, More, Scanner


def compile_bytes(text: str) -> Any:
    """RE2 on Latin-1 bytes; raises :class:`RuleError` for what RE2 does not take."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    try:
        return re2.compile(text.encode("latin-1"), options)
    except (re2.error, UnicodeEncodeError) as error:
        raise RuleError(f"RE2 does not take {text!r}: {error}") from error


class TokenHandler:
    """Decides one ``token`` rule at one of its anchors."""

    __slots__ = ("_back", "_pattern", "_reach", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._reach = cs.REACH[rule.reach]
        self._pattern: Any = None
        self._back: Any = None

    def compile(self) -> None:
        """Compile now; raises :class:`RuleError`."""
        if self._pattern is None:
            self._pattern = compile_bytes(self.rule.pattern)
            if self.rule.back:
                self._back = compile_bytes(f"(?:{self.rule.back})$")

    def _done(self, scanner: Scanner, start: int, reach: int) -> Found | None:
        """The same text redacted before: go where the first time went, so that twice is once."""
        match = self._pattern.match(scanner.buf, start, reach)
        if match is None:
            return None
        spans = [match.span(i) for i in range(1, match.re.groups + 1) if match.start(i) >= 0]
        marks = [scanner.buf[begin:end] for begin, end in spans]
        if not marks or any(not scanner.compiled.is_exactly(mark) for mark in marks):
            return None
        return Found(self.rule.name, [], spans[-1][1])

    @property
    def from_anchor(self) -> bool:
        """Whether the anchor itself is part of the secret."""
        return "(" not in self.rule.body.replace("(?:", "")

    def at(self, buf: bytes, start: int, stop: int) -> bool:
        """Whether this token stands at ``start`` within a value that ends at ``stop``."""
        if self.rule.back or self.rule.reach != "token":
            return False
        self.compile()
        return self._pattern.match(buf, start, stop) is not None

    def __call__(self, scanner: Scanner, start: int, stop: int) -> Found | More | None:
        rule = self.rule
        if rule.left and scanner.bound(start):
            return None
        head = start
        if rule.back:
            self.compile()
            word = scanner.before(start, BACK)
            word = word[len(word.rstrip(cs.WORD)) :]
            match = self._back.search(word)
            if match is None:
                return None
            head = start - (len(word) - match.start(1 if match.re.groups else 0))
            if head < scanner.last:
                return None
        end, complete = scanner.window(start)
        reach = scanner.run(self._reach, start, end)
        if reach == end and not complete:
            return More(head)
        if reach - start < rule.min:
            return None
        self.compile()
        clipped = scanner.clip(start, reach)
        if clipped < reach and self._pattern.groups:
            done = self._done(scanner, start, reach)
            if done is not None:
                return done
        reach = clipped
        match = self._pattern.match(scanner.buf, start, reach)
        if match is None:
            return None
        tail = match.end()
        if rule.right and tail < len(scanner.buf):
            if scanner.buf[tail] in cs.ALNUM:
                return None
            marked = scanner.mark_at(tail)
            if marked is not False:
                return More(head) if marked is None else None
        if match.re.groups:
            spans = [match.span(i) for i in range(1, match.re.groups + 1) if match.start(i) >= 0]
            tail = max((span[1] for span in spans), default=stop)
        else:
            spans = [(head, tail)]
        more = cs.WORDRUN if tail == end else None
        return Found(rule.name, spans, tail, more)
