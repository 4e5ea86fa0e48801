"""The scanner: one left-to-right pass that decides each anchor from a bounded window.

A decision at an anchor depends only on the output already produced (at most ``CONTEXT`` bytes of
it), on the next ``WINDOW`` bytes and on whether the input ends there. Feeding the same bytes in
other pieces therefore cannot change the result, and no input makes the cost more than linear.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import charset as cs

if TYPE_CHECKING:
    from .compiled import Compiled

WINDOW = 1024
CONTEXT = 512
#: Longest word part before an anchor that a rule may claim (``back``).
BACK = 96
_HOLD = 128


@dataclass(slots=True)
class Found:
    """A match: ``spans`` are replaced, scanning goes on at ``resume``.

    ``more`` is the character class that a secret longer than the window continues in, ``cover``
    the class that a mark may stand for, if it is not that of plain characters.
    """

    rule: str
    spans: Sequence[tuple[int, int]]
    resume: int
    more: re.Pattern[bytes] | None = None
    block: bool = False
    cover: re.Pattern[bytes] | None = None


@dataclass(slots=True)
class More:
    """Undecided until more input comes; nothing before ``safe`` can be part of a secret."""

    safe: int


Handler = Callable[["Scanner", int, int], Found | More | None]


class Scanner:
    """Redaction state of one stream of bytes."""

    __slots__ = (
        "block",
        "block_new",
        "buf",
        "compiled",
        "copied",
        "counts",
        "ctx",
        "final",
        "key_end",
        "last",
        "out",
        "pos",
        "swallow",
    )

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.counts: dict[str, int] = {}
        self.buf = b""
        self.pos = 0
        self.copied = 0
        self.last = 0
        self.ctx = b""
        self.key_end = 0
        self.final = False
        self.swallow: re.Pattern[bytes] | None = None
        self.block: str | None = None
        self.block_new = False
        self.out: list[bytes] = []

    # -- what handlers ask -------------------------------------------------------------------

    def before(self, index: int, size: int) -> bytes:
        """Up to ``size`` bytes of output that precede the input position ``index``."""
        start = index - size
        if start >= self.last:
            return self.buf[start:index]
        head = self.buf[self.last : index]
        return (self.ctx + head)[-size:]

    def bound(self, start: int) -> bool:
        """Whether what stands at ``start`` continues a word."""
        if start > self.last:
            if self.buf[start - 1] not in cs.ALNUM:
                return False
            head = self.buf[max(start - 8, self.last) : start]
            if start - 8 >= self.last and cs.ESCAPES.isdisjoint(head):
                return True
        return not cs.unbound(self.before(start, 8))

    def window(self, start: int) -> tuple[int, bool]:
        """End of the window at ``start``, and whether all of it is here."""
        end = start + WINDOW
        if end < len(self.buf):
            return end, True
        return len(self.buf), self.final

    def run(self, pattern: re.Pattern[bytes], start: int, end: int) -> int:
        """End of the run of one character class; stdlib ``re`` is linear for a single class."""
        match = pattern.match(self.buf, start, end)
        return match.end() if match is not None else start

    def mark_at(self, index: int) -> bool | None:
        """Whether a redaction mark stands there; None while it may still become one."""
        if self.compiled.is_mark(self.buf, index):
            return True
        text = self.buf[index : index + cs.MARK_SPAN]
        if self.final or len(text) == cs.MARK_SPAN:
            return False
        return None if cs.MARK_HEAD.fullmatch(text) is not None else False

    def clip(self, start: int, end: int) -> int:
        """``end``, or the start of the first redaction mark in between."""
        mark = self.buf.find(cs.MARK_OPEN, start, end)
        while mark != -1:
            if self.compiled.is_mark(self.buf, mark):
                return mark
            mark = self.buf.find(cs.MARK_OPEN, mark + 1, end)
        return end

    # -- driving -----------------------------------------------------------------------------

    def feed(self, data: bytes, final: bool) -> bytes:
        """Take more input and return what is decided; ``final`` says that the input ends."""
        self.buf = self.buf + data if self.buf else data
        self.final = final
        safe = self._advance()
        if safe > self.copied:
            self.out.append(self.buf[self.copied : safe])
            self.copied = safe
        result = b"".join(self.out)
        self.out.clear()
        self._trim()
        return result

    def flush(self) -> bytes:
        """Return what is held back unless it is, as it stands, a secret."""
        pending = self.buf[self.copied :]
        if not pending or self.block is not None or self.swallow is not None:
            return b""
        probe = copy.copy(self)
        probe.counts = {}
        probe.out = []
        if probe.feed(b"", True) != pending:
            return b""
        self.copied = len(self.buf)
        return pending

    def _advance(self) -> int:
        """Decide as far as the input allows; the end of what may be released."""
        compiled = self.compiled
        buf = self.buf
        hits = None
        while True:
            if self.swallow is not None and not self._swallow(self.swallow):
                return len(buf)
            if self.block is not None:
                verdict = self.compiled.block_step(self)
                if verdict is not None:
                    return verdict.safe
                continue
            if hits is None:
                hits = compiled.anchors.finditer(buf, self.pos)
            match = next(hits, None)
            if match is None:
                start = stop = len(buf)
            else:
                start, stop = match.span()
            if not self.final and start >= len(buf) - compiled.longest + 1:
                held = self._partial(start)
                if held is not None:
                    return self._release(held)
            if match is None:
                self.pos = len(buf)
                return self._release(len(buf))
            anchor = compiled.anchor(buf[start:stop])
            for handler in anchor.handlers:
                outcome = handler(self, start, stop)
                if outcome is None:
                    continue
                if isinstance(outcome, More):
                    self.pos = start
                    return self._release(outcome.safe)
                self._replace(outcome)
                hits = None
                break
            else:
                self.pos = start + 1
                if anchor.inner or compiled.overlaps(buf, start, stop):
                    # The iterator goes on behind the anchor, but another one may begin within it.
                    hits = None

    def _release(self, safe: int) -> int:
        """Hold the trailing word too: a rule with ``back`` may yet claim it."""
        if self.final:
            return len(self.buf)
        tail = self.buf[-_HOLD:]
        word = len(self.buf) - len(tail) + len(tail.rstrip(cs.WORD))
        return min(safe, word)

    def _partial(self, start: int) -> int | None:
        """Whether an anchor may begin at the end of the input, at or before the match.

        Returns how far the input may be released meanwhile: an anchor that is no part of the
        secret itself need not be held.
        """
        buf, size = self.buf, len(self.buf)
        heads, held = self.compiled.heads, self.compiled.held
        found = False
        for index in range(max(self.pos, size - self.compiled.longest + 1), min(start + 1, size)):
            tail = buf[index:].lower()
            if tail in heads:
                if tail in held:
                    return index
                found = True
        return size if found else None

    def _swallow(self, pattern: re.Pattern[bytes]) -> bool:
        end = self.run(pattern, self.pos, len(self.buf))
        self.pos = end
        self.copied = max(self.copied, end)
        self.last = end
        if end == len(self.buf) and not self.final:
            return False
        self.swallow = None
        return True

    def _replace(self, found: Found) -> None:
        buf = self.buf
        mark = cs.mark(found.rule)
        cover = found.cover or (cs.PLAIN if self.compiled.keep_structure else cs.LINE)
        for start, end in found.spans:
            plain = self.run(cover, start, end)
            if plain <= start:
                continue
            if self.copied < start:
                self.out.append(buf[self.copied : start])
                self.copied = start
            self.out.append(mark)
            self.copied = max(self.copied, plain)
            self.ctx = (self.before(start, CONTEXT) + mark)[-CONTEXT:]
            self.last = plain
            self.counts[found.rule] = self.counts.get(found.rule, 0) + 1
            if plain < end:
                # A pattern reached too far: what it took beyond the plain run is not hidden.
                self.pos = plain
                return
        if found.spans:
            # A name that was judged with the secret in it begins anew behind the mark.
            self.key_end = 0
        self.pos = found.resume
        self.swallow = found.more
        if found.block:
            self.block = found.rule
            self.block_new = True

    def drop(self, start: int, end: int, rule: str, show: bool) -> None:
        """Replace one part of a block; later parts of the same block vanish without a mark."""
        if self.copied < start:
            self.out.append(self.buf[self.copied : start])
        mark = cs.mark(rule) if show else b""
        self.out.append(mark)
        self.copied = max(self.copied, end)
        self.ctx = (self.before(start, CONTEXT) + mark)[-CONTEXT:]
        self.last = end
        if show:
            self.counts[rule] = self.counts.get(rule, 0) + 1

    def _trim(self) -> None:
        cut = min(self.pos, self.copied, len(self.buf)) - _HOLD
        if cut <= 4096:
            return
        if cut > self.last:
            self.ctx = self.before(cut, CONTEXT)
            self.last = cut
        self.last -= cut
        self.buf = self.buf[cut:]
        self.pos -= cut
        self.copied -= cut
        self.key_end -= cut
