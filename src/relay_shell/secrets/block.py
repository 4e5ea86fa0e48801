"""Key material over many lines: PEM (RFC 7468), OpenSSH, PGP armour, PuTTY; also without an end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import charset as cs
from . import headers
from .scan import Found, Handler, More
from .tokens import compile_bytes

if TYPE_CHECKING:
    from .scan import Scanner

_BEGIN = compile_bytes(
    r"-----BEGIN (?:[A-Z0-9][A-Za-z0-9.]* ){0,4}"
    r"(?:PRIVATE KEY(?: BLOCK)?|STATIC KEY V1|Static key V1|SECRET KEY(?: BLOCK)?)-----"
    r"|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"
)
_BEGIN_MAX = 96
_LABEL = re.compile(rb"[A-Za-z0-9 .\-]*")
_PUTTY = re.compile(rb" ?[0-9]{1,4}\r?\n")
_SEPARATORS = re.compile(rb"(?:[ \t\r\n\x1f]|\\{1,4}[nr]){0,128}")
_HEADER = re.compile(
    rb"(?:Proc-Type|DEK-Info|Comment|Version|Subject|Charset|MessageID|Hash|X-[A-Za-z\-]{1,24}):"
    rb"[^\r\n\\\"'`;|&<>(){}$]{0,200}"
)
_HEADER_HEAD = re.compile(rb"[A-Za-z\-]{1,28}")
_END = b"-----END"
_LOOK = 24
_ENOUGH = 40
_UPPER_DIGIT = re.compile(rb"[A-Z0-9+=]")
_KNOWN_HEADS = (
    b"MI",
    b"MC",
    b"MF",
    b"MH",
    b"MG",
    b"b3BlbnNza",
    b"lQ",
    b"lF",
    b"lI",
    b"xc",
    b"AAAA",
)


def begin(scanner: Scanner, start: int, stop: int) -> Found | More | None:
    """The first line of a private key; it stays, the lines after it go."""
    buf = scanner.buf
    limit = min(start + _BEGIN_MAX, len(buf))
    end = scanner.run(_LABEL, start, limit)
    if end == len(buf) and not scanner.final and end - start < _BEGIN_MAX:
        match = _BEGIN.match(buf, start, end)
        if match is None:
            return More(end)
    match = _BEGIN.match(buf, start, end)
    if match is None:
        return None
    return Found("private-key-block", [], match.end(), block=True)


def putty(scanner: Scanner, start: int, stop: int) -> Found | More | None:
    """``Private-Lines:`` of a PuTTY key file."""
    buf = scanner.buf
    match = _PUTTY.match(buf, stop)
    if match is None:
        short = len(buf) - stop < 8 and not scanner.final
        return More(len(buf)) if short and buf[stop:].strip(b" 0123456789\r") == b"" else None
    return Found("private-key-block", [], match.end(), block=True)


def step(scanner: Scanner) -> More | None:
    """Advance within a block; clears ``scanner.block`` where it ends."""
    if scanner.block == "cookie-header":
        return headers.cookie_step(scanner)
    if scanner.block != "private-key-block":
        return headers.parameter_step(scanner)
    buf, size = scanner.buf, len(scanner.buf)
    rule = scanner.block or ""
    start = scanner.run(_SEPARATORS, scanner.pos, size)
    if start == size or (buf[start : start + 1] == b"\\" and start + 5 > size):
        if not scanner.final:
            return More(size)
        scanner.block = None
        return None
    if buf.startswith(cs.MARK_OPEN, start):
        end = buf.find(b"]", start, start + cs.MARK_MAX)
        if end == -1 and size - start < cs.MARK_MAX and not scanner.final:
            return More(start)
        if buf.startswith(cs.mark(rule), start):
            scanner.pos = end + 1
            scanner.block_new = False
            return None
    word = scanner.run(_HEADER_HEAD, start, min(start + 28, size))
    if buf[word : word + 1] == b":" or (word == size and not scanner.final):
        match = _HEADER.match(buf, start)
        if word == size or (match is not None and match.end() == size and not scanner.final):
            return More(start if word == size else size)
        if match is not None:
            scanner.pos = match.end()
            return None
    return _body(scanner, rule, start)


def _body(scanner: Scanner, rule: str, start: int) -> More | None:
    buf, size = scanner.buf, len(scanner.buf)
    limit = min(start + 512, size)
    end = scanner.run(cs.BASE64, start, limit)
    length = end - start
    if length < _ENOUGH:
        if end == size and not scanner.final:
            return More(start)
        after = scanner.run(_SEPARATORS, end, min(end + _LOOK, size))
        if after + len(_END) > size and not scanner.final:
            return More(start)
        last = buf.startswith(_END, after)
        if length == 0 or not _plausible(buf[start:end], scanner.block_new, last):
            scanner.block = None
            scanner.pos = start
            return None
    scanner.drop(start, end, rule, scanner.block_new)
    scanner.block_new = False
    scanner.pos = end
    if length >= _ENOUGH:
        scanner.swallow = cs.BASE64
    return None


def _plausible(line: bytes, first: bool, last: bool) -> bool:
    """Whether a short run of base64 letters is key material rather than a command."""
    if line.startswith(b"/") or (len(line) < 4 and not last):
        return False
    if first and (line.startswith(_KNOWN_HEADS) or len(line) >= 16):
        return True
    if _UPPER_DIGIT.search(line) is None:
        # A command is mostly lower case; a line of base64 of this length hardly ever is.
        return False
    return last or len(line) >= 16 or line.endswith(b"=") or not line.isalpha()


HANDLERS: tuple[tuple[str | None, tuple[bytes, ...], Handler], ...] = (
    ("private-key-block", (b"-----begin ", b"---- begin "), begin),
    ("private-key-block", (b"private-lines:",), putty),
)
