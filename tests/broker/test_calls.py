"""The table of live calls."""

from __future__ import annotations

import pytest

from relay_shell.broker.calls import Calls, LiveCall
from relay_shell.wire.errors import RelayError


def call(ident: str, worker: str) -> LiveCall:
    return LiveCall(ident, "c-1", "unix:a", "a", worker, "shell_exec", 0, {})


def test_a_call_belongs_to_its_worker() -> None:
    calls = Calls()
    mine, other = call("k-1", "w1"), call("k-2", "w2")
    calls.add(mine)
    calls.add(other)
    with pytest.raises(RelayError, match="already running"):
        calls.add(call("k-1", "w2"))
    assert calls.count("w1") == 1 and calls.of_worker("w2") == [other]
    assert not calls.remove(call("k-1", "w1")), "another object is another call"
    assert calls.remove(mine) and not calls.remove(mine)
    assert calls.count("w1") == 0 and len(calls) == 1 and not calls._by_worker["w1"]


def test_the_longest_call_is_the_one_that_began_first() -> None:
    calls = Calls()
    assert calls.longest() is None
    old, new = call("k-1", "w"), call("k-2", "w")
    old.began -= 12
    calls.add(new)
    calls.add(old)
    assert calls.longest() is old and 12 <= old.seconds() < 60
    assert old.as_status()["call"] == "k-1"
