"""HTTP credentials: authentication schemes (RFC 9110 section 11) and cookies (RFC 6265)."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

from . import charset as cs
from . import judge
from .scan import Found, Handler, More
from .tokens import TokenHandler

if TYPE_CHECKING:
    from .scan import Scanner

_SCHEME = re.compile(rb"[A-Za-z0-9\-]{0,24}")
_SCHEMES = {
    b"basic": "authorization-basic",
    b"bearer": "authorization-bearer",
    b"dpop": "authorization-bearer",
    b"jwt": "authorization-bearer",
    b"token": "authorization-other",
    b"apikey": "authorization-other",
    b"api-key": "authorization-other",
    b"key": "authorization-other",
    b"negotiate": "authorization-negotiate",
    b"kerberos": "authorization-negotiate",
    b"ntlm": "authorization-negotiate",
    b"ssws": "authorization-other",
    b"genie": "authorization-other",
    b"geniekey": "authorization-other",
    b"splunk": "authorization-other",
    b"sharedkey": "authorization-other",
    b"sharedkeylite": "authorization-other",
    b"googlelogin": "authorization-other",
    b"cpanel": "authorization-other",
    b"whm": "authorization-other",
    b"bot": "authorization-other",
    b"aws": "authorization-other",
    b"discogs": "authorization-other",
}
_PARAMETRIC = {
    b"digest": "authorization-digest",
    b"aws4-hmac-sha256": "authorization-aws-sigv4",
    b"hawk": "authorization-digest",
    b"oauth": "authorization-digest",
    b"signature": "authorization-digest",
    b"mac": "authorization-digest",
    b"sharedaccesssignature": "authorization-digest",
}
_COMMA = re.compile(rb"[ \t\x1f,]*")
_PARAMETER = re.compile(rb"[A-Za-z0-9_\-]*")
_PARAMETER_VALUE = re.compile(rb"[^\x00-\x20\x7f\"'`\\;&|<>(){}$,]*")
_PROOFS = frozenset(b"response signature oauth_signature mac sig hash".split())
_CREDENTIAL = re.compile(rb"[A-Za-z0-9._~+/\-]+=*")
_COOKIE_LEAD = re.compile(rb"[ \t\x1f]*[\"']?")
_COOKIE_NAME = re.compile(rb"[^\x00-\x20\x7f\"'`\\;&|<>(){}$=,]*")
_ATTRIBUTES = frozenset(b"path domain expires max-age samesite version priority".split())


def token_at(scanner: Scanner, start: int, stop: int) -> str | None:
    """Name of the token rule that a known value falls under, for a more telling mark."""
    match = scanner.compiled.anchors.match(scanner.buf, start, stop)
    if match is None:
        return None
    for handler in scanner.compiled.anchor(match.group()).handlers:
        if isinstance(handler, TokenHandler) and handler.at(scanner.buf, start, stop):
            return handler.rule.name
    return None


def scheme(
    scanner: Scanner, begin: int, limit: int, complete: bool, allowed: bool
) -> Found | More | None:
    """Credentials after a scheme name; None when no scheme stands there."""
    if not allowed:
        # "authorization=Bearer cmd" in a shell runs cmd.
        return None
    buf = scanner.buf
    end = scanner.run(_SCHEME, begin, limit)
    if end == len(buf) and not complete:
        return More(begin)
    name = buf[begin:end].lower()
    if name not in _SCHEMES and name not in _PARAMETRIC:
        return None
    start = scanner.run(cs.BLANK, end, limit)
    if start == len(buf) and not complete:
        return More(len(buf))
    if start == end:
        return None
    if name in _PARAMETRIC:
        return Found(_PARAMETRIC[name], [], start, block=True)
    stop = scanner.run(cs.PLAIN, start, limit)
    if stop == len(buf) and not complete:
        return More(start)
    value = buf[start:stop].rstrip(b",")
    capped = stop == limit and stop < len(buf) and stop - start >= 256
    if not value or not (capped or judge.argument(value, "token")):
        return Found(_SCHEMES[name], [], end)
    stop = start + len(value)
    rule = token_at(scanner, start, stop) or _SCHEMES[name]
    return Found(rule, [(start, stop)], stop, cs.PLAIN if capped else None)


def _bare(scanner: Scanner, start: int, stop: int) -> tuple[int, int, bool] | More | None:
    if scanner.bound(start):
        return None
    limit, complete = scanner.window(start)
    limit = scanner.clip(stop, limit)
    end = scanner.run(cs.PLAIN, stop, limit)
    if end == len(scanner.buf) and not complete:
        return More(stop)
    return stop, end, end == limit and end - stop >= 256


def bearer(scanner: Scanner, start: int, stop: int) -> Found | More | None:
    """``Bearer`` and a credential, without the header's name."""
    bounds = _bare(scanner, start, stop)
    if bounds is None or isinstance(bounds, More):
        return bounds
    begin, end, capped = bounds
    match = _CREDENTIAL.match(scanner.buf, begin, end)
    if match is None or match.end() - begin < 16 or not judge.random_like(match[0]):
        return None
    rule = token_at(scanner, begin, end) or "authorization-bearer"
    return Found(rule, [(begin, match.end())], match.end(), cs.PLAIN if capped else None)


def basic(scanner: Scanner, start: int, stop: int) -> Found | More | None:
    """``Basic`` and base64 that decodes to ``user:password`` (RFC 7617)."""
    bounds = _bare(scanner, start, stop)
    if bounds is None or isinstance(bounds, More):
        return bounds
    begin, end, _ = bounds
    value = cs.BASE64.match(scanner.buf, begin, end)
    if value is None or len(value[0]) < 8 or len(value[0]) % 4:
        return None
    try:
        text = binascii.a2b_base64(value[0], strict_mode=True)
    except binascii.Error:
        return None
    if b":" not in text or not text.isascii() or any(byte < 0x20 for byte in text):
        return None
    return Found("authorization-basic", [(begin, value.end())], value.end())


def cookie(scanner: Scanner, start: int, stop: int) -> Found | More | None:
    """Start of a ``Cookie:`` or ``Set-Cookie:`` header; the pairs follow as a block."""
    limit, complete = scanner.window(start)
    lead = scanner.run(_COOKIE_LEAD, stop, limit)
    if lead == len(scanner.buf) and not complete:
        return More(lead)
    return Found("cookie-header", [], lead, block=True)


def cookie_step(scanner: Scanner) -> More | None:
    """One ``name=value`` of a cookie header; the names and the separators stay."""
    return _pair(scanner, cs.BLANK, _COOKIE_NAME, cs.PLAIN, cookies=True)


def parameter_step(scanner: Scanner) -> More | None:
    """One ``name=value`` of the parameters of an authentication scheme."""
    return _pair(scanner, _COMMA, _PARAMETER, _PARAMETER_VALUE, cookies=False)


def _pair(
    scanner: Scanner,
    blanks: re.Pattern[bytes],
    names: re.Pattern[bytes],
    values: re.Pattern[bytes],
    cookies: bool,
) -> More | None:
    buf, size = scanner.buf, len(scanner.buf)
    limit, complete = scanner.window(scanner.pos)
    start = scanner.run(blanks, scanner.pos, limit)
    equals = scanner.run(names, start, limit)
    if equals == size and not complete:
        return More(start)
    if equals == start or buf[equals : equals + 1] != b"=" or equals >= limit:
        scanner.block = None
        return None
    begin = equals + 1
    if begin < limit and buf[begin : begin + 1] == b'"':
        begin += 1
    stop = scanner.run(values, begin, limit)
    end = stop + (buf[stop : stop + 1] == b'"')
    if end >= size and not complete:
        return More(begin)
    name, value = buf[start:equals], buf[begin:stop]
    scanner.pos = stop
    token = token_at(scanner, begin, stop)
    fresh = value and not value.startswith(cs.MARK_OPEN)
    if fresh and (token is not None or _hides(scanner, name, value, cookies)):
        scanner.drop(begin, stop, token or scanner.block or "", True)
        if stop == limit and stop < size:
            scanner.swallow = values
            scanner.block = None
            return None
    separator = buf[end : end + 1]
    if separator == b";" if cookies else separator in (b",", b" ", b"\t"):
        scanner.pos = end + 1
    else:
        scanner.block = None
    return None


def _hides(scanner: Scanner, name: bytes, value: bytes, cookies: bool) -> bool:
    if judge.placeholder(value):
        return False
    if cookies:
        return name.lower() not in _ATTRIBUTES
    return name.lower() in _PROOFS or (
        name.lower() != b"credential"
        and scanner.compiled.keys.find(name.decode("latin-1")) is not None
    )


HANDLERS: tuple[tuple[str | None, tuple[bytes, ...], Handler], ...] = (
    ("authorization-bearer", (b"bearer ",), bearer),
    ("authorization-basic", (b"basic ",), basic),
    ("cookie-header", (b"cookie:",), cookie),
)
