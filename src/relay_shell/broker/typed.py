"""What was typed into sessions and not yet entered.

A shell runs lines, not messages: `rm -r` and ` /` in two messages are one command. So the text
that waits for its line end is kept for each session, and judged together with what follows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

TOOL = "session_send"
SESSIONS = 4096
LINE = 4096
"""Characters kept; the terminal's own line buffer holds no more (termios(3), canonical mode)."""

TOO_LONG = "\N{FULL BLOCK}" * (64 * 1024 + 1)
"""Stands for a line that is not kept: longer than what is judged at all."""


class Typed:
    """Unfinished lines by session handle; the sessions longest unused are forgotten first."""

    def __init__(self) -> None:
        self._pending: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pending)

    def whole(self, tool: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments to judge: those of the call, and the line that they complete."""
        if tool != TOOL:
            return args
        pending = self._pending.get(str(args.get("session")), "")
        return {**args, "text": _text(args), "pending": pending}

    def sent(self, tool: str, args: Mapping[str, Any]) -> None:
        """Keep what an admitted call leaves on the line."""
        if tool != TOOL:
            return
        session = str(args.get("session"))[:256]
        text = _text(args)
        if not isinstance(text, str):
            return
        line = (self._pending.pop(session, "") + text).replace("\r", "\n")
        rest = line.rpartition("\n")[2]
        if rest:
            self._pending[session] = rest if len(rest) <= LINE else TOO_LONG
        while len(self._pending) > SESSIONS:
            self._pending.popitem(last=False)


def _text(args: Mapping[str, Any]) -> Any:
    text = args.get("text", "")
    return text + "\n" if isinstance(text, str) and args.get("submit") is True else text
