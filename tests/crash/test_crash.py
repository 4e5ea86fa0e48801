"""Power cuts and kills under load: whatever ran is in the record, and the record is whole.

`python -m bench crash` runs a hundred of these trials; the seeds here are a few of them.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from crash.disk import usable
from crash.trial import Result, trial

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(usable()), reason=usable() or "none"),
]


def crash(seed: int, kind: str, *, sync: bool = True) -> Result:
    return asyncio.run(trial(seed, kind, sync=sync))


@pytest.mark.parametrize(
    ("seed", "kind"), [(1, "cut"), (2, "cut"), (4, "broker"), (5, "worker"), (6, "front")]
)
def test_whatever_ran_is_in_a_record_that_verifies(seed: int, kind: str) -> None:
    result = crash(seed, kind)
    assert result.ran and result.answered, result
    assert result.problems == [], result


def test_a_broker_that_does_not_wait_for_the_disk_is_found_out() -> None:
    """The trial can fail: a verdict before its intent is durable costs the record at the cut."""
    # What nobody asked the file system to write, it may have written by itself before the cut.
    kinds: Counter[str] = Counter()
    for seed in range(1, 9):
        result = crash(seed, "cut", sync=False)
        kinds.update(problem.split(" ", 1)[1] for problem in result.problems)
        if kinds["ran and has no intent"]:
            break
    assert kinds["ran and has no intent"] > 0, kinds
