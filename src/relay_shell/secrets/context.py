"""Secrets known by what stands before them: assignments, flags, URLs, and file formats."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import charset as cs
from . import headers, judge, quoting
from .scan import WINDOW, Found, Handler, More, Scanner
from .tokens import TokenHandler, compile_bytes

if TYPE_CHECKING:
    from .rules import Rule

_KEY_MAX = 64
_MARK_NAME = re.compile(rb"[a-z0-9\-]*")
_AUTHORITY = re.compile(rb"[^/?#]*")
_QUOTES = re.compile(rb"\\{0,4}[\"']")
_CLOSE = re.compile(rb"\\{0,4}[\"']?[\])]?")
_SEPARATOR = re.compile(rb":=|=>|=|:|%3[Dd]")
_PREFIX = re.compile(rb"(?:\$|[bBrRuUfF]{1,2})(?=[\"'])")
_VALUE_KEY = compile_bytes(
    r"(?:\\{0,4}[\"'])?,?[ \t\r\n\x1f]{0,40}(?:- )?(?:\\{0,4}[\"'])?"
    r"(?:value|Value|VALUE)(?:\\{0,4}[\"'])?[ \t]{0,4}[:=]"
)
_VALUE_HEAD = re.compile(rb"[\\\"', \t\r\n\x1f\-vValueE]*")
_NEXT_KEY = re.compile(rb",[A-Za-z_][\w.\-]{0,40}[=:]")
_NETRC = compile_bytes(
    r"(?:\bmachine[ \t\n\x1f]+[^ \t\n\x1f]{1,128}|\bdefault)[ \t\n\x1f]+"
    r"(?:(?:login|account)[ \t\n\x1f]+[^ \t\n\x1f]{1,128}[ \t\n\x1f]+){0,2}$"
)
_CONFIG_SET = compile_bytes(
    r"\b(?:configure|config|conf)[ \t\x1f]+(?:-[^ ]+[ \t\x1f]+)*(?:set|create|update)\b|\bnmcli\b"
)
_LINE_START = compile_bytes(
    r"(?:^|[\n\r\x1f])[ \t]*(?:-[ \t]+|export[ \t]+|set[ \t]+|[#>*][ \t]*)?[\"']?$"
)
_ENDS = re.compile(rb"[ \t]*(?:\Z|[\r\n\x1f]|#|//|\})")


def _key(scanner: Scanner, start: int, stop: int) -> tuple[bytes, int, bool, bool]:
    """Key name around an anchor, its end, whether its end is certain, and whether it is a flag."""
    left = scanner.before(start, _KEY_MAX)
    left = left[len(left.rstrip(cs.KEY)) :]
    full = scanner.before(start, len(left) + 1)
    if left and full[:1] == b"\\":
        left = left[1:]
    limit = min(stop + _KEY_MAX, len(scanner.buf))
    end = scanner.run(cs.KEYRUN, stop, limit)
    sure = end < len(scanner.buf) or scanner.final or end == stop + _KEY_MAX
    end = scanner.clip(stop, end)
    name = left + scanner.buf[start:end]
    return name, end, sure, name.startswith(b"-")


def assignment(scanner: Scanner, start: int, stop: int) -> Found | More | None:
    """``KEY=value``, ``key: value``, ``--flag value``, ``<key>value</key>`` and their kin."""
    if start < scanner.key_end:
        return None
    buf = scanner.buf
    name, end, sure, flag = _key(scanner, start, stop)
    if not sure:
        return More(len(buf))
    # The rest of this name needs no second look, unless only a part of it was seen.
    scanner.key_end = end if end < stop + _KEY_MAX else start
    rule = scanner.compiled.keys.find(name.decode("latin-1"))
    if rule is None:
        return None
    limit, complete = scanner.window(start)
    limit = scanner.clip(end, limit)
    at = _CLOSE.match(buf, end, limit).end()  # type: ignore[union-attr]
    gap = scanner.run(cs.BLANK, at, limit)
    if gap == len(buf) and not complete:
        scanner.key_end = start
        return _hold(scanner, start, end, len(buf))
    verdict = _separated(scanner, rule, name, start, end, at, gap, limit, complete, flag)
    if isinstance(verdict, More):
        scanner.key_end = start
        return _hold(scanner, start, end, verdict.safe)
    if verdict is not None:
        inner = _token_in_key(scanner, start, end)
        if inner is not None:
            scanner.key_end = start
            return inner if isinstance(inner, More) else None
    return verdict


def _token_in_key(scanner: Scanner, start: int, end: int) -> Found | More | None:
    """A token that the key's name contains, which then goes first."""
    at = scanner.compiled.token_in(scanner.buf, start + 1, end)
    while at is not None:
        match = scanner.compiled.anchors.match(scanner.buf, at)
        for handler in scanner.compiled.anchor(match[0]).handlers:
            outcome = handler(scanner, *match.span()) if isinstance(handler, TokenHandler) else None
            if outcome is not None:
                return outcome
        at = scanner.compiled.token_in(scanner.buf, at + 1, end)
    return None


def _hold(scanner: Scanner, start: int, end: int, safe: int) -> More:
    """Keep back a token within the key's name, which counts if the assignment comes to nothing."""
    token = scanner.compiled.token_in(scanner.buf, start + 1, end)
    return More(safe if token is None else min(safe, token))


def _separated(
    scanner: Scanner,
    rule: Rule,
    name: bytes,
    start: int,
    end: int,
    at: int,
    gap: int,
    limit: int,
    complete: bool,
    flag: bool,
) -> Found | More | None:
    buf = scanner.buf
    if buf[end : end + 1] == b">" and _opens_element(scanner, start, name):
        return _value(scanner, rule, name, end + 1, limit, complete, "tight", False)
    match = _SEPARATOR.match(buf, gap, limit)
    if match is not None:
        op, after = match[0], match.end()
        if after == len(buf) and not complete:
            return More(len(buf))
        nxt = buf[after : after + 1]
        if op == b"=" and nxt in (b"=", b"~"):
            return None
        if op == b":" and nxt in (b":", b"/") and buf[after : after + 2] in (b"::", b"//"):
            return None
        if op == b":" and nxt == b":":
            return None
        if op == b":" and nxt in (b"-", b"+", b"?") and _expands(scanner, start, name):
            # ${KEY:-value}: the operator stays, as it decides what the expansion is.
            return _value(scanner, rule, name, after + 1, limit, complete, "tight", False)
        blank = scanner.run(cs.BLANK, after, limit)
        if blank == len(buf) and not complete:
            return More(len(buf))
        if blank > after and gap == at and op == b"=":
            # "env TOKEN= cmd" runs cmd; only a quoted or ini-style value may be meant.
            return None
        mode = (
            "tight" if blank == after and gap == at and op in (b"=", b"%3D", b"%3d") else "spaced"
        )
        if op == b":" and blank == after and gap == at:
            mode = "colon-tight"
        elif op == b":":
            mode = "colon"
        return _value(scanner, rule, name, blank, limit, complete, mode, flag)
    if flag and gap > at and at == end:
        return _value(scanner, rule, name, gap, limit, complete, "argument", True)
    if gap > at or flag:
        if _NETRC.search(scanner.before(start, 256)) and b"\n" not in buf[at:gap]:
            return _value(scanner, rule, name, gap, limit, complete, "argument", True)
        if _CONFIG_SET.search(scanner.before(start, 128)):
            return _value(scanner, rule, name, gap, limit, complete, "argument", True)
    return _value_key(scanner, rule, name, end, limit, complete)


def _expands(scanner: Scanner, start: int, name: bytes) -> bool:
    head = scanner.before(start, _KEY_MAX + 2)
    return head[: len(head.rstrip(cs.KEY))].endswith(b"${")


def _opens_element(scanner: Scanner, start: int, name: bytes) -> bool:
    head = scanner.before(start, _KEY_MAX + 1)
    head = head[: len(head.rstrip(cs.KEY))]
    return head.endswith(b"<")


def _value_key(
    scanner: Scanner, rule: Rule, name: bytes, end: int, limit: int, complete: bool
) -> Found | More | None:
    """``name: DB_PASSWORD`` / ``value: x``: environment lists of Kubernetes, ECS and .NET."""
    buf = scanner.buf
    match = _VALUE_KEY.match(buf, end, limit)
    if match is None:
        head = scanner.run(_VALUE_HEAD, end, min(end + 64, limit))
        if head == len(buf) and not complete and head - end < 64:
            return More(len(buf))
        return None
    blank = scanner.run(cs.BLANK, match.end(), limit)
    if blank == len(buf) and not complete:
        return More(len(buf))
    return _value(scanner, rule, name, blank, limit, complete, "tight", False)


def _value(
    scanner: Scanner,
    rule: Rule,
    name: bytes,
    at: int,
    limit: int,
    complete: bool,
    mode: str,
    flag: bool,
) -> Found | More | None:
    buf = scanner.buf
    prefix = _PREFIX.match(buf, at, limit)
    if prefix is not None:
        at = prefix.end()
    quote = _QUOTES.match(buf, at, limit)
    partial = quote is None and not complete and limit == len(buf) and limit - at <= 6
    if partial and buf[at:limit].strip(b"\\$bBrRuUfF") == b"":
        # An escaped quote may still be on its way.
        return More(at)
    begin = quote.end() if quote is not None else at
    if rule.cls == "auth":
        found = headers.scheme(
            scanner, begin, limit, complete, mode != "tight" or quote is not None
        )
        if found is not None:
            return found
    loose = quote is not None and not scanner.compiled.keep_structure
    if loose:
        inside = cs.IN_DOUBLE if buf[begin - 1 : begin] == b'"' else cs.IN_SINGLE
        stop = scanner.run(inside, begin, limit)
        if stop < limit and buf[stop : stop + 1] not in (buf[begin - 1 : begin], b"\\"):
            # The quote closes rather than opens, as in ("Password: ").
            loose, stop = False, scanner.run(cs.PLAIN, begin, limit)
    else:
        stop = scanner.run(cs.PLAIN, begin, limit)
    cover = None
    if quote is not None and quote.end() - quote.start() == 1 and mode == "tight" and not flag:
        end = quoting.whole(scanner, begin, limit) if not loose else None
        if end is not None and end > stop:
            stop, cover = end, cs.LINE
    if stop == len(buf) and not complete:
        return More(begin)
    capped = stop == limit and stop < len(buf) and stop - begin >= 256
    cut = _NEXT_KEY.search(buf, begin, stop)
    if cut is not None and quote is None:
        stop, capped = cut.start(), False
    value = buf[begin:stop]
    if quote is None:
        trimmed = value.rstrip(b",")
        if not flag and mode != "tight":
            trimmed = value.rstrip(b",.")
        stop -= len(value) - len(trimmed)
        value = trimmed
    marked = scanner.mark_at(stop)
    if not value or marked is not False:
        # Next to a mark the rest is what a more specific rule chose to leave.
        return More(begin) if value and marked is None else None
    if name[-3:].lower() == b"pwd" and value.startswith(b"/"):
        # PWD and OLDPWD of a shell (POSIX.1-2024 XBD 8.3).
        return None
    if value.startswith(b"----"):
        # A key in a variable: the block goes line by line.
        return None
    special = headers.token_at(scanner, begin, stop)
    after = buf[stop : stop + 1]
    if special is None and not capped:
        key = name.lstrip(b"-")
        if mode == "argument":
            good = judge.argument(value, rule.cls)
        elif quote is not None and mode != "tight":
            good = judge.quoted(value, rule.cls, after in (b" ", b"\t"))
        elif mode == "tight" or (mode == "colon-tight" and _passarg(scanner, name)):
            good = judge.tight(key, value, after, rule.cls, flag or quote is not None)
        else:
            tail = _ENDS.match(buf, stop)
            if not complete and scanner.run(cs.BLANK, stop, limit) == len(buf):
                return More(begin)
            line = scanner.before(begin, 200)
            good = judge.spaced(
                key, value, after, rule.cls, mode != "spaced", tail is not None, _first(line, name)
            )
        if not good:
            return None
    more = None
    if capped:
        more = cs.PLAIN if not loose else inside
    return Found(special or rule.name, [(begin, stop)], stop, more, cover=cover)


def _first(line: bytes, name: bytes) -> bool:
    index = line.rfind(name)
    return index >= 0 and _LINE_START.search(line[:index]) is not None


def _passarg(scanner: Scanner, name: bytes) -> bool:
    """``-passin pass:x`` of openssl(1)."""
    return name == b"pass"


def url(scanner: Scanner, start: int, stop: int) -> Found | More | None:
    """``scheme://user:password@host`` (RFC 3986 section 3.2.1)."""
    buf = scanner.buf
    if stop + WINDOW <= len(buf) and buf.find(b"@", stop, stop + WINDOW) == -1:
        return None
    before = scanner.before(start, 1)
    if not before or before[0] not in cs.ALNUM:
        return None
    limit, complete = scanner.window(start)
    end = scanner.run(cs.PLAIN, stop, limit)
    if end == len(buf) and not complete:
        return More(stop)
    if buf.find(b"@", stop, end) == -1:
        return None
    end = scanner.clip(stop, end)
    text = buf[stop:end]
    slash = _AUTHORITY.match(text).end()  # type: ignore[union-attr]
    at = text.rfind(b"@", 0, slash)
    if at == -1:
        # A password with a slash: only if no port could explain the colon.
        colon = text.find(b":", 0, slash)
        at = text.rfind(b"@")
        if colon == -1 or at == -1 or text[colon + 1 : slash].isdigit():
            return None
        if not re.match(rb"[\w.\-]+(?::\d+)?(?:[/,?]|\Z)", text[at + 1 :]):
            return None
    colon = text.find(b":", 0, at)
    if colon == -1:
        user = text[:at]
        if len(user) >= 20 and judge.random_like(user) and b"/" not in user:
            name = headers.token_at(scanner, stop, stop + at) or "url-user-token"
            return Found(name, [(stop, stop + at)], stop + at)
        return None
    begin, finish = stop + colon + 1, stop + at
    if finish == begin or judge.placeholder(buf[begin:finish]):
        return None
    spans = [(begin, finish)]
    inner = _token_in_key(scanner, stop - 1, begin - 1)
    if isinstance(inner, Found) and inner.resume < begin:
        spans = [*inner.spans, *spans]
    return Found(headers.token_at(scanner, begin, finish) or "url-credentials", spans, finish)


STEMS = (
    b"pass",
    b"pwd",
    b"secret",
    b"token",
    b"auth",
    b"cred",
    b"key",
    b"psk",
    b"sig",
    b"jwt",
    b"community",
    b"otp",
)


def mark(scanner: Scanner, start: int, stop: int) -> Found | More | None:
    """A mark of an earlier redaction: nothing in it is a key."""
    buf = scanner.buf
    if scanner.compiled.is_mark(buf, start):
        return Found("", [], buf.index(b"]", start) + 1)
    end = scanner.run(_MARK_NAME, stop, min(stop + cs.MARK_MAX, len(buf)))
    if end == len(buf) and end - stop < cs.MARK_MAX and not scanner.final:
        return More(start)
    return None


def short(scanner: Scanner, start: int, stop: int) -> Found | More | None:
    """``pw`` with what must follow it: alone it is too common in base64 and in words."""
    return assignment(scanner, start, start + 2)


HANDLERS: tuple[tuple[str | None, tuple[bytes, ...], Handler], ...] = (
    ("url-credentials", (b"://",), url),
    (None, (cs.MARK_OPEN.lower(),), mark),
    (None, STEMS, assignment),
    (None, (b"pw=", b"pw:", b'pw"', b"pw'", b"pw ", b"pw\\", b"pw]", b"pw>", b"pw\x1f"), short),
)
