"""Bounds on the work that one classification may cost.

Every scanner and judge spends steps from one budget, so the cost of a verdict is bounded by
a count that tests can read, not by a clock.
"""

from __future__ import annotations

MAX_TEXT = 64 * 1024  # characters of command text
MAX_DEPTH = 48  # nesting of substitutions, subshells, wrappers and quoted scripts
MAX_STEPS = 14_000  # parts, words and commands together; about 0.1 s at the worst
MAX_WORDS = 4096  # words that the braces of one word may expand to
MAX_VALUE = 16 * 1024  # characters of a variable or an output that are kept
MAX_REASONS = 12


class Unresolvable(Exception):
    """The text is not understood exactly as the shell would; never Tier 0."""

    def __init__(self, reason: str, position: int = -1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


class OverBudget(Unresolvable):
    """The text is larger, deeper or longer than is judged at all."""


class Budget:
    """Counts the steps of one classification."""

    __slots__ = ("limit", "steps")

    def __init__(self, limit: int = MAX_STEPS) -> None:
        self.limit = limit
        self.steps = 0

    def spend(self, steps: int = 1) -> None:
        """Take steps from the budget.

        Raises:
            OverBudget: when none are left.
        """
        self.steps += steps
        if self.steps > self.limit:
            raise OverBudget("too many words and commands to judge")
