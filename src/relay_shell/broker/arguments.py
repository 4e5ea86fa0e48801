"""What a record says of a call's arguments: redacted and bounded, beside the digest of all.

The digest and the length are of the full arguments, so that padding hides nothing; the text is
redacted before it is cut, so that a cut never lays half a secret bare.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ..evidence import canonical

LIGHT = 2048
"""Cost (see `cost`) of arguments that may be judged on the event loop: a few milliseconds at the
very worst. A short text can be made expensive, so its length alone says little."""

LARGE = 64 * 1024
"""Cost from which arguments count as large; few of those are kept in memory at once."""

SHOWN = 16 * 1024
"""Characters of arguments that are redacted, to show `evidence.args_bytes` of them."""

TAIL = 2048
"""Characters before a cut that are not shown: a secret that the cut split looks like none."""

_ITEMS = 2048
_OPERATOR = re.compile(r"[;|&(){}$`<>\n]")

Redact = Callable[[Any], Any]


class Arguments(NamedTuple):
    """The facts of one call's arguments."""

    shown: Any
    """An object where all of it fits, else the beginning of its JSON."""
    sha256: str
    length: int
    """Bytes of the canonical JSON of the full arguments."""

    def facts(self) -> dict[str, Any]:
        return {"args": self.shown, "args_sha256": self.sha256, "args_bytes": self.length}


def cost(value: Any, most: int) -> int:
    """About what it costs to judge and redact a JSON value; counting ends above `most`.

    A character counts 1. What makes the grammar work counts more: blanks part words, operators
    part commands, and brace expansion multiplies.
    """
    spent = 0
    stack = [value]
    while stack and spent <= most:
        item = stack.pop()
        if isinstance(item, str):
            spent += len(item)
            if spent <= most:
                spent += 24 * item.count(" ") + 64 * len(_OPERATOR.findall(item))
                spent += LIGHT if "{" in item and ("," in item or ".." in item) else 0
        elif isinstance(item, (dict, list)):
            spent += 8 * len(item)
            if spent <= most:
                stack.extend(item)
                if isinstance(item, dict):
                    stack.extend(item.values())
    return spent


def describe(args: dict[str, Any], redact: Redact, limit: int) -> Arguments:
    """Compute the facts of `args`.

    Args:
        redact: replaces the secrets in a JSON value.
        limit: bytes that the shown form may have (evidence.args_bytes).
    """
    full = canonical.encode(args)
    seen = shown(args, redact, limit, full)
    return Arguments(seen, hashlib.sha256(full).hexdigest(), len(full))


def shown(value: Any, redact: Redact, limit: int, full: bytes | None = None) -> Any:
    """The redacted, bounded form of a JSON value.

    Args:
        full: its canonical JSON, if that is known.
    """
    room = _Room(max(SHOWN, 2 * limit) + TAIL)
    # JSON has no fewer bytes than items or characters, so what is short has room.
    cut = value if full is not None and len(full) < _ITEMS else room.take(value)
    redacted = redact(cut)
    if room.cut:
        redacted = _trim(cut, redacted, room.cut)
    text = full if full is not None and redacted == value else canonical.encode(redacted)
    if len(text) <= limit:
        return redacted
    ending = "…"
    return text[: limit - len(ending.encode())].decode("utf-8", "ignore") + ending


class _Room:
    """Copies a value as far as it has room; remembers the strings that it cut."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.items = _ITEMS
        self.cut: set[int] = set()
        self._kept: list[str] = []

    def take(self, value: Any) -> Any:
        self.items -= 1
        if isinstance(value, str):
            if len(value) <= self.room:
                self.room -= len(value)
                return value
            if self.room < 2:
                self.room = 0
                return "…"
            # A slice of two characters or more is a new object: its id names this occurrence.
            part = value[: self.room]
            self.room = 0
            self.cut.add(id(part))
            self._kept.append(part)
            return part
        if isinstance(value, dict):
            taken: dict[str, Any] = {}
            for key, item in value.items():
                if self.room <= 0 or self.items <= 0:
                    taken["…"] = f"{len(value) - len(taken)} more"
                    break
                taken[self.take(key) if len(key) > self.room else key] = self.take(item)
                self.room -= len(key)
            return taken
        if isinstance(value, list):
            listed: list[Any] = []
            for item in value:
                if self.room <= 0 or self.items <= 0:
                    listed.append(f"… {len(value) - len(listed)} more")
                    break
                listed.append(self.take(item))
            return listed
        return value


def _trim(cut: Any, redacted: Any, marks: set[int]) -> Any:
    """Drop the last part of each string that was cut before it was redacted."""
    if isinstance(cut, str) and isinstance(redacted, str):
        return redacted[:-TAIL] + "…" if id(cut) in marks else redacted
    if isinstance(cut, dict) and isinstance(redacted, dict) and len(cut) == len(redacted):
        pairs = zip(cut.items(), redacted.items(), strict=True)
        return {
            _trim(key, shown_key, marks): _trim(value, shown_value, marks)
            for (key, value), (shown_key, shown_value) in pairs
        }
    if isinstance(cut, list) and isinstance(redacted, list):
        return [_trim(a, b, marks) for a, b in zip(cut, redacted, strict=False)]
    return redacted
