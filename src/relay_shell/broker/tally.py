"""What the broker counts for those who watch it: verdicts, how long they took, and how calls end.

The labels are from tables: a worker can neither name a tool that is none, nor make labels without
end.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable
from itertools import accumulate
from typing import Any

from ..policy.toolgroups import GROUP_OF
from ..wire.errors import RelayError

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds of a verdict at most, bucket by bucket; what takes longer is in none of them."""

Body = dict[str, Any]


class Tally:
    """Counts since the broker's start."""

    def __init__(self) -> None:
        self._verdicts: Counter[tuple[str, int, str]] = Counter()
        self._ends: Counter[str] = Counter()
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    async def verdict(self, tool: str, work: Awaitable[Body]) -> Body:
        """Wait for a verdict, and count it: `allow`, `deny`, the status of an earlier call whose
        outcome was given again as `replay`, or the kind of the error that came instead.

        Raises:
            RelayError: what the work raised.
        """
        began = time.monotonic()
        tier, word = -1, "Cancelled"
        try:
            body = await work
            tier, word = body["tier"], body["decision"]
            return body
        except RelayError as error:
            word = error.kind
            raise
        except Exception:
            word = "Internal"
            raise
        finally:
            self._verdicts[tool if tool in GROUP_OF else "other", tier, word] += 1
            seconds = time.monotonic() - began
            self._buckets[bisect_left(BOUNDS, seconds)] += 1
            self._seconds += seconds

    def ended(self, status: str) -> None:
        """Count how an admitted call ended."""
        self._ends[status] += 1

    def status(self) -> Body:
        """The counts for `relay-shell metrics`; tier -1 where there was no judgement."""
        return {
            "verdicts": [
                {"tool": tool, "tier": tier, "verdict": verdict, "count": count}
                for (tool, tier, verdict), count in sorted(self._verdicts.items())
            ],
            "ends": dict(sorted(self._ends.items())),
            "bounds": list(BOUNDS),
            "within": list(accumulate(self._buckets)),
            "seconds": round(self._seconds, 6),
        }
