"""Short options whose argument is a secret, by program: ``mysql -pSECRET``, ``curl -u user:pw``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import re2

from . import charset as cs
from . import headers, judge
from .rules import Rule
from .scan import Found, Handler, More, Scanner
from .tokens import compile_bytes

_BOUNDARIES = (b";", b"|", b"&", b"\n", b"(", b"`", b"{")
_BLANKS = " \t\x1f"
_REACH = 400


class OptionHandler:
    """Decides the ``option`` rules of one flag."""

    def __init__(self, flag: str, rules: Sequence[Rule]) -> None:
        self.flag = flag
        self._rules: dict[bytes, list[Rule]] = {}
        for rule in rules:
            for program in rule.programs:
                self._rules.setdefault(program.encode(), []).append(rule)
        self._pattern: Any = None

    def _programs(self, text: bytes) -> Iterator[bytes]:
        if self._pattern is None:
            names = "|".join(re2.escape(name.decode()) for name in sorted(self._rules))
            # The name ends a path or stands alone, perhaps quoted.
            self._pattern = compile_bytes(
                rf"(?:^|\x1b\[[0-9;]{{0,8}}m|[ \t\x1f/\"'])({names})(?:[\"' \t\x1f]|$)"
            )
        seen = set()
        for match in islice(self._pattern.finditer(text), 8):
            if match[1] not in seen:
                seen.add(match[1])
                yield match[1]

    def __call__(self, scanner: Scanner, start: int, stop: int) -> Found | More | None:
        text = scanner.before(start, _REACH)
        text = text[max(map(text.rfind, _BOUNDARIES)) + 1 :]
        for name in self._programs(text):
            for rule in self._rules[name]:
                if rule.needs and not any(
                    need.encode() in text.replace(b"\x1f", b" ").split() for need in rule.needs
                ):
                    continue
                found = self._argument(scanner, rule, start, stop)
                if found is not None:
                    return found
        return None

    def _argument(self, scanner: Scanner, rule: Rule, start: int, stop: int) -> Found | More | None:
        buf = scanner.buf
        limit, complete = scanner.window(start)
        limit = scanner.clip(stop, limit)
        at = scanner.run(cs.BLANK, stop, limit)
        if at == len(buf) and not complete:
            return More(len(buf))
        if at == stop and rule.flag.startswith("--"):
            if buf[at : at + 1] != b"=":
                return None
            at += 1
        if at == stop and not rule.attached:
            return None
        if at > stop and not rule.separate:
            return None
        if buf[at : at + 1] in (b'"', b"'"):
            at += 1
        end = scanner.run(cs.PLAIN, at, limit)
        if end == len(buf) and not complete:
            return More(at)
        value = buf[at:end]
        capped = end == limit and end < len(buf) and end - at >= 256
        if rule.shape == "name=value":
            at += len(value) - len(value.partition(b"=")[2])
            value = value.partition(b"=")[2]
        if rule.shape == "user:password":
            user, colon, secret = value.partition(b":")
            if not colon:
                sign = b"%" if b"%" in value else b","
                user, colon, secret = value.partition(sign)
            at += len(user) + 1
            value = secret
        if not value or judge.placeholder(value) or value.startswith(b"-"):
            return None
        name = headers.token_at(scanner, at, end) or rule.name
        return Found(name, [(at, end)], end, cs.PLAIN if capped else None)


def install(rules: Sequence[Rule], table: dict[bytes, list[Handler]]) -> None:
    """Add a handler for each flag, once for each kind of blank before it."""
    flags: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.kind == "option":
            flags.setdefault(rule.flag, []).append(rule)
    for flag, own in flags.items():
        handler = OptionHandler(flag, own)
        for blank in _BLANKS:
            table.setdefault((blank + flag).encode(), []).append(handler)
