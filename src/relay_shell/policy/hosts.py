"""Canonical forms of hosts, so that a rule on 10.0.0.1 sees its other spellings."""

from __future__ import annotations

import ipaddress
import re
import unicodedata

_CANDIDATE = re.compile(r"\[?[0-9A-Fa-f:.xX]*[0-9A-Fa-f]\]?(?:%[\w.]+)?")
_PART = re.compile(r"0[xX][0-9A-Fa-f]{1,8}|0[0-7]{0,11}|[1-9][0-9]{0,9}")
_WORDS = re.compile(r"[^\s'\"=,@/()<>|;&]+")
_BRACKETED = re.compile(r"\[([^\]]*)\](?::\d*)?")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?")
_MAX_WORDS = 2048


def canonical_ip(text: str) -> str | None:
    """The usual spelling of an IP address, or None if it is none.

    Takes what inet_aton(3) takes (`127.1`, `0x7f000001`, `2130706433`, octal parts) and
    IPv6 with brackets, zone or an embedded IPv4 address, which is returned as such.
    """
    text = text.strip("[]").partition("%")[0]
    if ":" in text:
        try:
            address = ipaddress.IPv6Address(text)
        except ValueError:
            return None
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(address)
    pieces = text.split(".")
    if not 1 <= len(pieces) <= 4 or not all(_PART.fullmatch(piece) for piece in pieces):
        return None
    numbers = [_number(piece) for piece in pieces]
    last = numbers.pop()
    if any(number > 255 for number in numbers) or last >= 1 << (8 * (4 - len(numbers))):
        return None
    value = last
    for index, number in enumerate(numbers):
        value += number << (8 * (3 - index))
    return str(ipaddress.IPv4Address(value))


def canonical_host(text: str) -> str:
    """The usual spelling of a host: `user@`, port, brackets, zone and last dot aside.

    A name is in lower case and, where it holds other letters, in the form that DNS asks for
    (RFC 3490); "" for what can be no host.
    """
    bare = unicodedata.normalize("NFKC", text).rpartition("@")[2].strip()
    bracketed = _BRACKETED.fullmatch(bare)
    if bracketed:
        return canonical_ip(bracketed.group(1)) or ""
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    bare = bare.removesuffix(".").lower()
    address = canonical_ip(bare)
    if address is not None:
        return address
    if not bare.isascii():
        try:
            bare = bare.encode("idna").decode("ascii").lower()
        except UnicodeError:
            return ""
    return bare if _HOST.fullmatch(bare) else ""


def canonical_pattern(text: str) -> str:
    """A pattern of access rules in the spelling of `canonical_host`; wildcards stay."""
    if "/" in text:
        return text
    if not any(char in text for char in "*?["):
        return canonical_host(text) or text.lower()
    return text.lower()


def _number(text: str) -> int:
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return int(text, 8) if text[0] == "0" else int(text)


def canonical_addresses(text: str) -> list[str]:
    """For each address in the text that has another usual spelling, the text with that one.

    Single small numbers are left alone: `head -n 20` holds no address.
    """
    found: dict[str, str] = {}
    for count, match in enumerate(_WORDS.finditer(text)):
        if count >= _MAX_WORDS:
            break
        for word in _candidates(match.group()):
            short = len(word) < 7 and "." not in word and ":" not in word
            if word in found or short or not _CANDIDATE.fullmatch(word):
                continue
            canonical = canonical_ip(word)
            if canonical and canonical != word:
                found[word] = canonical
    if not found:
        return []
    pattern = re.compile("|".join(re.escape(w) for w in sorted(found, key=len, reverse=True)))
    return [pattern.sub(lambda m: found[m.group()], text)]


def _candidates(word: str) -> list[str]:
    host, _, port = word.rpartition(":")
    bracketed = re.match(r"\[([^\]]+)\]", word)
    return [
        word,
        *([host] if port.isdecimal() and host else []),
        *(bracketed.groups() if bracketed else []),
    ]
