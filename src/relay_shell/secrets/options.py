"""Short options whose argument is a secret, by program: ``mysql -pSECRET``, ``curl -u user:pw``."""

from __future__ import annotations

from collections.abc import Sequence

from . import charset as cs
from . import headers, judge
from .rules import Rule
from .scan import Found, Handler, More, Scanner

_BOUNDARY = b";|&\n(`{"
_BLANKS = " \t\x1f"
_REACH = 400


def _words(scanner: Scanner, start: int) -> list[bytes]:
    """Words of the simple command before ``start``, as far as the context goes."""
    text = scanner.before(start, _REACH)
    cut = max(text.rfind(bytes((byte,))) for byte in _BOUNDARY)
    return text[cut + 1 :].replace(b"\x1f", b" ").split()


class OptionHandler:
    """Decides the ``option`` rules of one flag."""

    def __init__(self, flag: str, rules: Sequence[Rule]) -> None:
        self.flag = flag
        self.programs: dict[bytes, list[Rule]] = {}
        for rule in rules:
            for program in rule.programs:
                self.programs.setdefault(program.encode(), []).append(rule)

    def __call__(self, scanner: Scanner, start: int, stop: int) -> Found | More | None:
        words = _words(scanner, start)
        for word in words:
            name = word.strip(b"\"'").rpartition(b"/")[2]
            for rule in self.programs.get(name, ()):
                if rule.needs and not any(need.encode() in words for need in rule.needs):
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
