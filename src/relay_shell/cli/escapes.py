"""What of a program's output an operator's terminal may be shown.

A recording holds whatever a program wrote, and a terminal does more than paint: it answers queries
as if the operator had typed, sets the clipboard (OSC 52), prints, renames windows and changes what
keys and mouse send. Only what paints passes (ECMA-48, and ctlseqs of XTerm); the rest is counted.
"""

from __future__ import annotations

import re

HELD = 256
"""Characters of an unfinished control sequence that are waited for."""

STRING = 65_536
"""Characters after which a control string that does not end counts as text again."""

REPEATS = 10_000

_SPECIAL = re.compile(
    "[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_CSI = re.compile(r"(?:\x1b\[|\x9b)([<-?]?)([0-9:;]*)([ -/]*)([@-~])")
_CSI_BEGUN = re.compile(r"(?:\x1b\[|\x9b)[<-?]?[0-9:;]*[ -/]*")
_ESCAPE = re.compile(r"\x1b([ -/]*)([0-~])")
_ESCAPE_BEGUN = re.compile(r"\x1b[ -/]*")
_STRING_END = re.compile("\x1b\\\\|[\x07\x18\x1a\x9c]|\x1b")

_STRINGS = {
    "\x1b]": "OSC",
    "\x9d": "OSC",
    "\x1bP": "DCS",
    "\x90": "DCS",
    "\x1b_": "APC",
    "\x9f": "APC",
    "\x1b^": "PM",
    "\x9e": "PM",
    "\x1bX": "SOS",
    "\x98": "SOS",
    "\x1bk": "title",
}
_PAINTING = frozenset("@ABCDEFGHIJKLMPSTXZ`abdefgmr")
_PLAIN = frozenset("\x08\x0b\x0c\x0e\x0f")
_MODES = frozenset({"1", "5", "6", "7", "12", "25", "45", "47", "1047", "1048", "1049", "2026"})
_RESET = "\x1b[!p\x1b[2J\x1b[H"


class Filter:
    """Takes text in pieces; a sequence that two pieces share is seen whole."""

    def __init__(self) -> None:
        self._held = ""
        self._string = ""
        """Kind of the control string that has not ended."""
        self._length = 0
        self._digits = ""
        self.counts: dict[str, int] = {}
        """What was left out, by kind."""

    def feed(self, text: str) -> str:
        """What of the text may be shown."""
        text, self._held = self._held + text, ""
        shown: list[str] = []
        at = 0
        while at < len(text):
            if self._string:
                at = self._skip(text, at)
                continue
            found = _SPECIAL.search(text, at)
            if found is None:
                shown.append(text[at:])
                break
            shown.append(text[at : found.start()])
            at = self._special(text, found.start(), shown)
        return "".join(shown)

    def _special(self, text: str, at: int, shown: list[str]) -> int:
        """Judge what begins at `at`; return where to go on."""
        char = text[at]
        if char in _PLAIN:
            shown.append(char)
            return at + 1
        if char == "\x1b" or char == "\x9b":
            if char == "\x1b" and at + 1 == len(text):
                return self._hold(text, at)
            if char == "\x9b" or text[at + 1] == "[":
                return self._csi(text, at, shown)
        kind = _STRINGS.get(char) or _STRINGS.get(text[at : at + 2])
        if kind is not None:
            self._string, self._length, self._digits = kind, 0, ""
            return at + (1 if char in _STRINGS else 2)
        if char == "\x1b":
            return self._escape(text, at, shown)
        if char >= "\u0600":
            shown.append("\ufffd")
            self._count("direction")
        else:
            self._count("ENQ" if char == "\x05" else "control")
        return at + 1

    def _csi(self, text: str, at: int, shown: list[str]) -> int:
        found = _CSI.match(text, at)
        if found is None:
            begun = _CSI_BEGUN.match(text, at)
            assert begun is not None
            if begun.end() == len(text):
                return self._hold(text, at)
            self._count("malformed")
            return begun.end()
        allowed, kind = _judge(*found.groups())
        if kind:
            self._count(kind)
        shown.append(allowed)
        return found.end()

    def _escape(self, text: str, at: int, shown: list[str]) -> int:
        found = _ESCAPE.match(text, at)
        if found is None:
            begun = _ESCAPE_BEGUN.match(text, at)
            assert begun is not None
            if begun.end() == len(text):
                return self._hold(text, at)
            self._count("malformed")
            return begun.end()
        between, final = found.groups()
        if (
            (not between and final in "78DEHM=>")
            or (len(between) == 1 and between in "()*+-./")
            or (between == "#" and final in "34568")
        ):
            shown.append(found.group())
        elif not between and final == "c":
            shown.append(_RESET)
        elif between or final != "\\":
            self._count("identify" if final == "Z" else "other")
        return found.end()

    def _skip(self, text: str, at: int) -> int:
        """Pass over a control string."""
        found = _STRING_END.search(text, at)
        end = len(text) if found is None else found.start()
        if len(self._digits) < 8:
            self._digits += text[at : min(end, at + 8)]
        self._length += end - at
        if found is None:
            if self._length > STRING:
                self._ended()
            return end
        if found.group() == "\x1b" and found.end() == len(text):
            # Its second half decides.
            return self._hold(text, end)
        self._ended()
        return end if found.group() == "\x1b" else found.end()

    def _ended(self) -> None:
        number = re.match(r"\d+", self._digits)
        self._count(f"{self._string} {number[0]}" if number else self._string)
        self._string = ""

    def _hold(self, text: str, at: int) -> int:
        if len(text) - at <= HELD:
            self._held = text[at:]
        else:
            self._count("malformed")
        return len(text)

    def _count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1


def _judge(prefix: str, numbers: str, between: str, final: str) -> tuple[str, str]:
    """What passes of a control sequence, and what was left out if that is not all."""
    whole = f"\x1b[{prefix}{numbers}{between}{final}"
    if between:
        return (whole, "") if (between + final) in (" q", "!p") and not prefix else ("", "query")
    if final in "hl" and prefix in ("", "?"):
        wanted = numbers.split(";")
        kept = [n for n in wanted if (n in _MODES if prefix else n == "4")]
        shown = f"\x1b[{prefix}{';'.join(kept)}{final}" if kept else ""
        return shown, "" if kept == wanted else "mode"
    if prefix:
        return (whole, "") if prefix == "?" and final in "JK" else ("", "query")
    if final in "su" and not numbers:
        return whole, ""
    if final == "T" and ";" in numbers:
        return "", "mode"
    if final == "b":
        return (whole, "") if numbers.isdecimal() and int(numbers) <= REPEATS else ("", "repeat")
    if final in _PAINTING:
        return whole, ""
    kinds = {"c": "identify", "n": "query", "x": "query", "t": "window", "i": "print"}
    return "", kinds.get(final, "other")


def filtered(counts: dict[str, int]) -> str:
    """What was left out, in words; "" for nothing."""
    return ", ".join(f"{kind} x {count}" for kind, count in sorted(counts.items()))
