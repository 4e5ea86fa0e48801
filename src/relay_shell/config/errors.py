"""What is wrong with a configuration: every problem at once, each with its place."""

from __future__ import annotations

from typing import NamedTuple

EXIT_STATUS = 78
"""EX_CONFIG of sysexits(3)."""


class Problem(NamedTuple):
    """One reason for which a configuration is refused."""

    where: str
    """File name, or the name of an environment variable."""
    line: int
    """Line in the file, counted from 1; 0 where there is none."""
    reason: str

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}" if self.line else self.where
        return f"{place}: {self.reason}"


class ConfigError(Exception):
    """A configuration that is refused as a whole; `problems` is never empty."""

    exit_status = EXIT_STATUS

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))
