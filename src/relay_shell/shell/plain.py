"""Terminal output as plain text: control sequences taken out (ECMA-48, xterm's ctlseqs)."""

from __future__ import annotations

import re

_SEQUENCE = re.compile(
    rb"\x1b(?:"
    rb"\[[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor, modes
    rb"|\][^\x07\x1b]*(?:\x07|\x1b\\)"  # operating system commands: titles, links
    rb"|[PX^_][^\x1b]*\x1b\\"  # device control and other strings
    rb"|[ -/]*[0-OQ-WYZ\\`-~]"  # escapes of two characters and more: charsets, save, restore
    rb")"
)
_UNFINISHED = re.compile(
    rb"(?:\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[PX^_][^\x1b]*\x1b?|[ -/]*)?|\r)\Z"
)
_OTHER = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_RETURNS = re.compile(rb"\r+")

HELD = 4096
"""Octets that an unfinished sequence may hold back; a longer one is no sequence."""


def plain(data: bytes, final: bool) -> tuple[bytes, int]:
    """Return the text in `data` and how many octets of it were used.

    Every pattern is linear: no two of its parts can match the same octets. A carriage return
    becomes a line end, so that what a progress bar wrote over is not lost.

    Args:
        final: nothing follows, so that nothing at the end is held back.
    """
    used = len(data)
    if not final:
        tail = data[-HELD:]
        unfinished = _UNFINISHED.search(tail)
        if unfinished is not None:
            used -= len(tail) - unfinished.start()
        used = _characters(data, used)
    text = _SEQUENCE.sub(b"", data[:used])
    text = _RETURNS.sub(b"\r", text)
    # A return after a line end moves nothing (readline writes one after its paste mode).
    text = text.replace(b"\r\n", b"\n").replace(b"\n\r", b"\n").replace(b"\r", b"\n")
    return _OTHER.sub(b"", text), used


def _characters(data: bytes, used: int) -> int:
    from .capture import whole_characters

    return used - min(used, 4) + len(whole_characters(data[max(0, used - 4) : used]))
