"""Secrets hidden in what leaves the worker, where the setting redaction.output asks for it.

A stream is redacted as it arrives and kept only so: what is shown, paged, searched, rendered or
reported is cut from text in which a secret is already a mark, so no cut can part one. Digest and
size remain those of the true octets. The rules and RE2 are loaded at the first use: a worker whose
setting is off never pays for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..wire.errors import RelayError

if TYPE_CHECKING:
    from ..secrets import Redactor, StreamRedactor

SETTING = "redaction.output"

Counts = dict[str, int]

_MARK = re.compile(r"\[REDACTED:([a-z0-9-]{1,64})\]")


class Redaction:
    """Output redaction by the live settings."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings

    @property
    def on(self) -> bool:
        """Whether output is to be redacted now."""
        return bool(self._settings.get(SETTING, "off") == "on")

    def stream(self) -> StreamRedactor | None:
        """A redactor for one stream of output; None where the setting is off.

        Raises:
            RelayError: kind Internal, if the rules cannot be loaded; nothing may run then.
        """
        return _redactor().stream() if self.on else None

    def text(self, text: str) -> str:
        """Text as it may be shown: for what was kept before the setting was switched on, and for
        secrets that only showed once control sequences between their letters were taken out.

        Raises:
            RelayError: kind Internal, as `stream`.
        """
        return _redactor().text(text).text if self.on else text

    def counts(self, *texts: str) -> Counts | None:
        """How many secrets are hidden in texts that are shown, by rule; None where it is off."""
        if not self.on:
            return None
        found: Counts = {}
        for text in texts:
            for name in _MARK.findall(text):
                found[name] = found.get(name, 0) + 1
        return found


def merged(*counts: Counts) -> Counts:
    """The sums by rule."""
    total: Counts = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total


def _redactor() -> Redactor:
    try:
        from ..secrets import default
    except ImportError as error:
        reason = f"redaction.output is on and its rules cannot be loaded: {error}"
        raise RelayError("Internal", reason=reason) from None
    # Output is no command: a quoted value is hidden up to its closing quote.
    return default(keep_structure=False)
