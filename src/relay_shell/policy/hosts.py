"""Canonical forms of addresses, so that a rule on 10.0.0.1 sees its other spellings."""

from __future__ import annotations

import ipaddress
import re

_CANDIDATE = re.compile(r"\[?[0-9A-Fa-f:.xX]*[0-9A-Fa-f]\]?(?:%[\w.]+)?")
_PART = re.compile(r"0[xX][0-9A-Fa-f]{1,8}|0[0-7]{0,11}|[1-9][0-9]{0,9}")
_WORDS = re.compile(r"[^\s'\"=,@/()<>|;&]+")
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
