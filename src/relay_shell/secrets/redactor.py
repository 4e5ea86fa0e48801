"""The public face: text, bytes, JSON values and streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from . import charset as cs
from . import judge
from .compiled import Compiled
from .rules import Rule, shipped
from .scan import Scanner

#: Deeper JSON is refused by the wire already; here it is cut off rather than recursed into.
MAX_DEPTH = 64

SHORT = 4096
"""Bytes of a text that is asked for an anchor first: without one there is nothing to decide."""


class Redacted(NamedTuple):
    """Redacted text and how often each rule applied."""

    text: str
    counts: dict[str, int]


class RedactedBytes(NamedTuple):
    """Redacted bytes and how often each rule applied."""

    data: bytes
    counts: dict[str, int]


class RedactedValue(NamedTuple):
    """Redacted JSON value and how often each rule applied."""

    value: Any
    counts: dict[str, int]


class StreamRedactor:
    """Redaction of bytes that arrive in pieces; any split gives the bytes of the whole.

    At most ``WINDOW`` bytes are held back, and only while they may be the beginning of a secret.
    """

    __slots__ = ("_done", "_scanner")

    def __init__(self, compiled: Compiled) -> None:
        self._scanner = Scanner(compiled)
        self._done = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return those that are decided; raises ValueError after ``finish``."""
        if self._done:
            raise ValueError("the stream is finished; make a new one")
        return self._scanner.feed(data, False)

    def flush(self) -> bytes:
        """Release held bytes that are, as they stand, no secret: for a session gone quiet.

        A secret whose first bytes were released this way is still redacted from there on.
        """
        return b"" if self._done else self._scanner.flush()

    def finish(self) -> bytes:
        """The rest; further calls return nothing."""
        if self._done:
            return b""
        self._done = True
        return self._scanner.feed(b"", True)

    @property
    def pending(self) -> int:
        """Bytes held back."""
        return len(self._scanner.buf) - self._scanner.copied

    @property
    def counts(self) -> dict[str, int]:
        """Redactions by rule so far."""
        return dict(self._scanner.counts)


class Redactor:
    """A rule set ready for use; safe to share between threads and streams.

    ``keep_structure`` (default) never lets a mark cover a shell operator, expansion, quote or
    blank: the setting for anything that was or will be a command. Without it a quoted value is
    redacted up to its closing quote, which suits output and configuration files.
    """

    def __init__(self, rules: Sequence[Rule] | None = None, *, keep_structure: bool = True) -> None:
        self.rules = tuple(rules) if rules is not None else shipped()
        self._compiled = Compiled(self.rules, keep_structure)

    @property
    def compiled(self) -> Compiled:
        """The compiled rule set, for the self-test."""
        return self._compiled

    def data(self, data: bytes, limit: int | None = None) -> RedactedBytes:
        """Redact bytes in whatever encoding.

        Of input longer than ``limit`` bytes only the head is read and returned, without what the
        cut leaves undecided: half a secret at the cut is not shown.
        """
        if limit is None or len(data) <= limit:
            data = bytes(data)
            if len(data) <= SHORT and self._compiled.anchors.search(data) is None:
                return RedactedBytes(data, {})
            scanner = Scanner(self._compiled)
            return RedactedBytes(scanner.feed(data, True), scanner.counts)
        scanner = Scanner(self._compiled)
        return RedactedBytes(scanner.feed(bytes(data[:limit]), False), scanner.counts)

    def text(self, text: str, limit: int | None = None) -> Redacted:
        """Redact text; unpaired surrogates survive. ``limit`` as in :meth:`data`."""
        source = text.encode("utf-8", "surrogatepass")
        done = self.data(source, limit)
        if not done.counts and len(done.data) == len(source):
            return Redacted(text, done.counts)
        if limit is not None and len(source) > limit:
            return Redacted(_decode(done.data) + f"[{len(source) - limit}+ bytes cut]", done.counts)
        return Redacted(_decode(done.data), done.counts)

    def stream(self) -> StreamRedactor:
        """A redactor for bytes that arrive in pieces."""
        return StreamRedactor(self._compiled)

    def value(self, value: Any) -> RedactedValue:
        """Redact a JSON value: keys and strings by shape, scalars of sensitive keys wholly.

        A list of strings is read as an argument vector, so ``["--password", "x"]`` is seen.
        Bytes and values of other types than JSON's are redacted by their text.
        """
        counts: dict[str, int] = {}
        return RedactedValue(self._walk(value, None, counts, 0), counts)

    def sensitive(self, key: str) -> str | None:
        """Name of the rule by which a key holds a secret, or None."""
        rule = self._compiled.keys.find(key[-256:].lstrip("-"))
        return rule.name if rule is not None else None

    def _walk(self, value: Any, rule: str | None, counts: dict[str, int], depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if depth >= MAX_DEPTH:
            return self._hide("", "nesting", counts)
        if isinstance(value, str):
            return self._scalar(value, rule, counts)
        if isinstance(value, int | float):
            return value if rule is None else self._hide(str(value), rule, counts)
        if isinstance(value, bytes | bytearray):
            return self._scalar(_decode(bytes(value)), rule, counts)
        if isinstance(value, Mapping):
            return self._mapping(value, counts, depth)
        if isinstance(value, Sequence):
            return self._list(value, rule, counts, depth)
        return self._scalar(str(value), rule, counts)

    def _mapping(
        self, value: Mapping[Any, Any], counts: dict[str, int], depth: int
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        named = self._named(value)
        for key, item in value.items():
            name = key if isinstance(key, str) else str(key)
            rule = self.sensitive(name)
            if rule is None and named is not None and name.lower() == "value":
                rule = named
            shown = self._merge(name, counts)
            while shown in result:
                # Two secret keys of one shape must not overwrite each other.
                shown += "'"
            result[shown] = self._walk(item, rule, counts, depth + 1)
        return result

    def _named(self, value: Mapping[Any, Any]) -> str | None:
        """``{"name": "DB_PASSWORD", "value": "x"}``."""
        if "value" in value or "Value" in value:
            for label in ("name", "Name", "key", "Key"):
                name = value.get(label)
                if isinstance(name, str):
                    return self.sensitive(name)
        return None

    def _list(
        self, value: Sequence[Any], rule: str | None, counts: dict[str, int], depth: int
    ) -> Any:
        items = list(value)
        if rule is None and len(items) > 1 and all(isinstance(item, str) for item in items):
            joined = "\x1f".join(items)
            if joined.count("\x1f") == len(items) - 1:
                # No mark covers a separator, so the vector comes apart as it was put together.
                return self._merge(joined, counts).split("\x1f")
        return [self._walk(item, rule, counts, depth + 1) for item in items]

    def _scalar(self, text: str, rule: str | None, counts: dict[str, int]) -> str:
        if rule is None:
            return self._merge(text, counts)
        data = text.encode("utf-8", "surrogatepass")
        if not data or judge.placeholder(data) or data.startswith(b"$"):
            return self._merge(text, counts)
        if (
            data.startswith(cs.MARK_OPEN)
            and data.endswith(b"]")
            and self._compiled.is_mark(data, 0)
        ):
            return text
        return self._hide(text, rule, counts)

    def _hide(self, text: str, rule: str, counts: dict[str, int]) -> str:
        counts[rule] = counts.get(rule, 0) + 1
        return cs.mark(rule).decode("ascii")

    def _merge(self, text: str, counts: dict[str, int]) -> str:
        done = self.text(text)
        for name, count in done.counts.items():
            counts[name] = counts.get(name, 0) + count
        return done.text


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


@lru_cache(maxsize=2)
def default(keep_structure: bool = True) -> Redactor:
    """The shipped rules, compiled once per process."""
    return Redactor(keep_structure=keep_structure)
