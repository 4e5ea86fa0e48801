"""A command's time that is over when it has come to a certain point, however long that takes."""

from __future__ import annotations

from typing import Any

import pytest

from processes import processes_with
from relay_shell.shell.run import _Running

POLL = 0.02


def expires_at(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the time of commands be over once a process with a text in its command line runs."""
    start = _Running.start

    def begin(self: _Running, *args: Any, **options: Any) -> None:
        start(self, *args, **options)

        def look() -> None:
            if processes_with(text):
                self._expire()
            if not self.end.done():
                self._loop.call_later(POLL, look)

        look()

    monkeypatch.setattr(_Running, "start", begin)
