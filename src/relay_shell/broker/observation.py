"""Whether what calls execute is observed at present, and what is known of sessions for it."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

from .calls import LiveCall

SESSIONS = 4096
"""Sessions whose call is remembered."""


class Observation:
    """The state of the observation, for `relay-shell status` and each outcome."""

    def __init__(self) -> None:
        self.wanted = False
        """Whether the settings ask for it, where there can be an observer at all."""
        self.state = "absent"
        """on, off, failed, absent."""
        self.reason = ""
        self.lost = 0
        """Executions of which the observer knows no more than that they were."""
        self._since = 0.0
        self._sessions: OrderedDict[str, str] = OrderedDict()

    @property
    def on(self) -> bool:
        return self.state == "on"

    def set(self, state: str, reason: str = "") -> bool:
        """Take note of a change; False if it is none."""
        if (state, reason) == (self.state, self.reason):
            return False
        if state == "on":
            self._since = time.monotonic()
        self.state, self.reason = state, reason
        return True

    def gap(self, lost: int) -> None:
        """Something was not seen: no call that runs now was observed as a whole."""
        self.lost += lost
        self._since = time.monotonic()

    def covers(self, call: LiveCall) -> bool | None:
        """Whether a call that ends now was observed from its beginning; None if not wanted."""
        if not self.wanted:
            return None
        return self.on and self._since <= call.began

    def opened(self, session: str, call: str) -> None:
        """A call opened a session."""
        self._sessions[session] = call
        if len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)

    def call_of(self, session: str) -> str | None:
        """The call that opened a session."""
        return self._sessions.get(session)

    def as_status(self) -> dict[str, Any]:
        """The row of `relay-shell status`."""
        row: dict[str, Any] = {"wanted": self.wanted, "state": self.state, "lost": self.lost}
        return row | ({"reason": self.reason} if self.reason else {})
