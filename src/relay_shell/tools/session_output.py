"""Output of a session as a result: what session_recv and session_send share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import text
from .base import Json

if TYPE_CHECKING:
    from ..shell.sessions import Reading

ENDINGS = {
    "match": "pattern matched",
    "quiet": "quiet",
    "timeout": "still running at the timeout",
    "full": "more output follows; call session_recv again",
    "exit": "ended",
}


def facts_of(reading: Reading) -> Json:
    """The facts of one read."""
    facts: Json = {
        "session": reading.session,
        "output": reading.text,
        "offset": reading.offset,
        "next_offset": reading.next_offset,
        "reason": reading.reason,
        "running": reading.running,
    }
    if reading.missed:
        facts["missed"] = reading.missed
    if reading.more:
        facts["more"] = True
    if reading.match is not None:
        facts["match"] = reading.match
    if reading.exit is not None:
        facts["exit"] = reading.exit
    if reading.signal is not None:
        facts["signal"] = reading.signal
    if reading.redactions is not None:
        facts["redactions"] = reading.redactions
    return facts


def render(facts: Json) -> str:
    """Status line, then the output as it came."""
    if "session" not in facts:
        return text.error_text(facts)
    if "output" not in facts:
        return f"[sent to {facts['session']}]"
    state = "running" if facts["running"] else f"exit {facts.get('exit', '?')}"
    head = f"[{facts['session']} {state}: {ENDINGS[facts['reason']]}"
    head += f"; bytes {facts['offset']} to {facts['next_offset']}]"
    parts = [head]
    if facts.get("missed"):
        parts.append(f"[{facts['missed']} bytes left the buffer before they were read]")
    parts.append(facts["output"])
    return text.join(parts)
