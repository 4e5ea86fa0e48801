"""Idempotency keys: one execution a key, over restarts, within bounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay_shell.broker import idempotency
from relay_shell.broker.idempotency import EACH, Entry, Replays, digest_of, key_of
from relay_shell.wire.errors import RelayError

WINDOW = 600.0
DIGEST = digest_of({"command": "make", "idempotency_key": "k"})


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def find(replays: Replays, key: str = "k", principal: str = "unix:a") -> Entry | None:
    return replays.find(principal, "shell_exec", key, DIGEST, WINDOW)


def begin(replays: Replays, call: str, key: str = "k", principal: str = "unix:a") -> None:
    replays.begin(principal, "shell_exec", key, DIGEST, call, "w", WINDOW)


def test_the_key_is_no_part_of_the_arguments() -> None:
    assert digest_of({"idempotency_key": "other", "command": "make"}) == DIGEST
    assert digest_of({"command": "make", "cwd": "/"}) != DIGEST
    assert key_of({"command": "x"}) == "" and key_of({"idempotency_key": "k"}) == "k"
    for odd in ("", "x" * 129, 5, ["k"]):
        with pytest.raises(RelayError, match="InvalidArguments"):
            key_of({"idempotency_key": odd})


def test_a_call_from_begin_to_repetition(place: Path) -> None:
    replays = Replays(str(place))
    assert find(replays) is None
    begin(replays, "k-1")
    running = find(replays)
    assert running is not None and running.outcome is None and not running.ended.is_set()
    replays.ended("k-1", {"status": "ok", "exit": 0, "signal": None})
    entry = find(replays)
    assert entry is running and entry.ended.is_set()
    assert entry.outcome == {"status": "ok", "exit": 0} and entry.call == "k-1"


def test_a_key_belongs_to_principal_and_tool(place: Path) -> None:
    replays = Replays(str(place))
    begin(replays, "k-1")
    assert find(replays, principal="unix:b") is None
    assert replays.find("unix:a", "shell_script", "k", DIGEST, WINDOW) is None


def test_other_arguments_are_refused(place: Path) -> None:
    replays = Replays(str(place))
    begin(replays, "k-1")
    with pytest.raises(RelayError, match="other arguments, by call k-1"):
        replays.find("unix:a", "shell_exec", "k", digest_of({"command": "rm x"}), WINDOW)


def test_the_window_ends(place: Path) -> None:
    clock = Clock()
    replays = Replays(str(place), clock)
    begin(replays, "k-1")
    clock.now += 10 * WINDOW
    assert find(replays) is not None, "a call that runs is not forgotten"
    replays.ended("k-1", {"status": "ok"})
    clock.now += WINDOW - 1
    assert find(replays) is not None
    clock.now -= 5
    assert find(replays) is not None
    clock.now += 6
    assert find(replays) is None and len(replays) == 0 and os.listdir(place) == []


def test_what_never_ran_may_be_asked_again(place: Path) -> None:
    replays = Replays(str(place))
    begin(replays, "k-1")
    waiting = find(replays)
    assert waiting is not None
    replays.never_ran("k-1")
    assert waiting.ended.is_set() and waiting.outcome is None
    assert find(replays) is None and os.listdir(place) == []


def test_a_restarted_broker_knows_its_keys(place: Path) -> None:
    first = Replays(str(place))
    for n in range(3):
        begin(first, f"k-{n}", key=f"key {n}/../\0")
    first.ended("k-0", {"status": "ok", "exit": 3})
    (place / "replay-x.json").write_text("not ours")
    (place / f"replay-{'0' * 64}.json").write_text("{}")

    again = Replays(str(place))
    again.restore(["k-1"], WINDOW)
    assert len(again) == 3
    done, running, lost = (find(again, f"key {n}/../\0") for n in range(3))
    assert done is not None and done.outcome == {"status": "ok", "exit": 3}
    assert running is not None and running.outcome is None
    assert lost is not None and lost.outcome == {"status": "interrupted"}
    again.ended("k-1", {"status": "cancelled"})
    assert running.outcome == {"status": "cancelled"}
    assert not (place / f"replay-{'0' * 64}.json").exists()
    assert (place / "replay-x.json").exists()


def test_one_principal_takes_no_others_room(place: Path) -> None:
    replays = Replays(str(place))
    begin(replays, "b-0", principal="unix:b")
    replays.ended("b-0", {"status": "ok"})
    for n in range(EACH + 20):
        begin(replays, f"k-{n}", key=str(n))
        replays.ended(f"k-{n}", {"status": "ok"})
    assert len(replays) == EACH + 1 == len(os.listdir(place))
    assert find(replays, principal="unix:b") is not None
    assert find(replays, "0") is None and find(replays, "25") is not None


def test_only_running_keys_are_never_forgotten(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "EACH", 3)
    replays = Replays(str(place))
    for n in range(3):
        begin(replays, f"k-{n}", key=str(n))
    with pytest.raises(RelayError, match="Busy"):
        begin(replays, "k-3", key="3")


def test_a_key_that_cannot_be_kept_runs_nothing(place: Path) -> None:
    replays = Replays(str(place / "gone"))
    with pytest.raises(RelayError, match="EvidenceUnavailable"):
        begin(replays, "k-1")
    assert find(replays) is None
