"""How a command ended, and what it said."""

from __future__ import annotations

from .process import Status
from .tree import Ended


class Completed:
    """How a command ended; times are milliseconds, sizes bytes.

    `sha256` is that of the stream if only one carried anything, else that of both digests, raw,
    standard output's first. `output` is the handle under which more than was shown is kept.
    `used` is what all its processes used.
    `refused` is set for an enforced command: its diagnostics that tell of a refused change.
    `timeout` is set to the seconds after which the command was killed. `killed` counts background
    processes that ended with it, `survivors` those that did not. `redactions` counts the secrets
    hidden in the whole output, by rule; None where nothing was looked for.
    """

    __slots__ = (
        "bytes",
        "duration_ms",
        "exit",
        "killed",
        "output",
        "redactions",
        "refused",
        "sha256",
        "signal",
        "signal_number",
        "stderr",
        "stdout",
        "survivors",
        "timeout",
        "truncated",
        "used",
    )

    def __init__(self, status: Status, ended: Ended, duration_ms: int) -> None:
        self.exit = status.exit
        self.signal = status.signal
        self.signal_number = status.signal_number
        self.used = status.used
        self.killed = ended.killed
        self.survivors = ended.survivors
        self.duration_ms = duration_ms
        self.stdout = ""
        self.stderr = ""
        self.bytes = 0
        self.sha256 = ""
        self.truncated = False
        self.output: str | None = None
        self.timeout: float | None = None
        self.refused: list[str] | None = None
        self.redactions: dict[str, int] | None = None
