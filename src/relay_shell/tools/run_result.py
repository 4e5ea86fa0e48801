"""From a finished command to a result: what shell_exec and shell_script share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..wire.errors import RelayError
from . import text
from .base import Json, Outcome, Result

if TYPE_CHECKING:
    from ..shell.completed import Completed


ASK_FOR_MORE = (
    "Only $TMPDIR is writable here. To change something use shell_exec; in readonly mode ask the"
    " operator for another mode."
)


def result(done: Completed) -> Result:
    """The result of a run: facts for the client, figures for the record."""
    facts: Json = {
        "exit": done.exit if done.signal is None else 128 + done.signal_number,
        "stdout": done.stdout,
        "duration_ms": done.duration_ms,
        "bytes": done.bytes,
        "truncated": done.truncated,
    }
    facts["used"] = {name: value for name, value in done.used.facts().items() if value != 0}
    if done.signal is not None:
        facts["signal"] = done.signal
    if done.stderr:
        facts["stderr"] = done.stderr
    if done.truncated:
        facts["sha256"] = done.sha256
    if done.output is not None:
        facts["output"] = done.output
    if done.redactions is not None:
        facts["redactions"] = done.redactions
    if done.killed:
        facts["killed"] = done.killed
    if done.refused is not None:
        facts["enforced"] = True
        if done.refused:
            facts["refused"] = done.refused
    if done.timeout is not None:
        facts["timeout"] = done.timeout
        facts.update(text.error_facts(RelayError("Timeout", seconds=f"{done.timeout:g}")))
    outcome = Outcome(
        "ok" if done.timeout is None else "timeout",
        exit=done.exit if done.signal is None else None,
        signal=done.signal,
        sha256=done.sha256,
        bytes=done.bytes,
        truncated=done.truncated,
        survivors=done.survivors,
        used=done.used.facts(),
    )
    return Result(facts, done.timeout is not None, outcome)


def render(facts: Json) -> str:
    """The text of a run: status, output, then what else there is to know."""
    if "exit" not in facts:
        return text.error_text(facts)
    parts = [f"[exit {facts['exit']}]"]
    if "timeout" in facts:
        parts = [f"[TIMEOUT after {facts['timeout']:g}s]"]
    elif "signal" in facts:
        parts = [f"[exit {facts['exit']}] ended by {facts['signal']}"]
    parts.append(facts["stdout"])
    if facts.get("stderr"):
        parts += ["[stderr]", facts["stderr"]]
    if facts.get("output"):
        parts.append(f"[kept as {facts['output']}: page or search it with output_read]")
    if facts.get("redactions"):
        parts.append(text.redacted(facts["redactions"]))
    if facts.get("killed"):
        parts.append(f"[killed {facts['killed']} background process(es) the command left]")
    if facts.get("refused"):
        parts += ["[READ-ONLY: the kernel refuses every change here]", *facts["refused"]]
        parts.append(ASK_FOR_MORE)
    if "error" in facts:
        parts.append(facts["error"]["next_step"])
    return text.join(parts)
