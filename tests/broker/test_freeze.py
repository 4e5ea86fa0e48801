"""Freezes: their scopes, and that nothing but an operator ends them."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_shell.broker.freeze import LIMIT, Freezer
from relay_shell.wire.errors import RelayError


@pytest.fixture
def path(tmp_path: Path) -> str:
    tmp_path.chmod(0o700)
    return str(tmp_path / "freeze.json")


def held(
    freezer: Freezer,
    principal: str = "unix:a",
    worker: str = "w",
    tier: int = 0,
    hosts: tuple[str, ...] = (),
) -> bool:
    return freezer.find(principal, worker, tier, hosts) is not None


def test_nothing_is_frozen_at_first(path: str) -> None:
    freezer = Freezer(path)
    assert not held(freezer, tier=3) and freezer.trouble == ""


@pytest.mark.parametrize(
    ("scope", "value", "frozen", "free"),
    [
        ("all", "ignored", {"principal": "unix:b"}, None),
        ("principal", "unix:a", {}, {"principal": "unix:b"}),
        ("worker", "w", {}, {"worker": "v"}),
        ("tier", "2", {"tier": 2}, {"tier": 1}),
        ("tier", "2", {"tier": 3}, {"tier": 0}),
        ("tier", "0", {"tier": 0}, None),
        ("host", "web1", {"hosts": ("x", "WEB1.")}, {"hosts": ("web11",)}),
        ("host", "WEB*", {"hosts": ("web1",)}, {"hosts": ("db1", "?web1")}),
        ("host", "10.0.0.0/8", {"hosts": ("web1", "0x0a.1")}, {"hosts": ("web1", "11.0.0.1")}),
        ("host", "10.1", {"hosts": ("10.0.0.1",)}, {}),
    ],
)
def test_scopes(path: str, scope: str, value: str, frozen: dict, free: dict | None) -> None:
    freezer = Freezer(path)
    freezer.add(scope, value, "incident 42", "alice")
    assert held(freezer, **frozen)
    assert free is None or not held(freezer, **free)


def test_a_tier_holds_only_calls_whose_tier_is_known(path: str) -> None:
    freezer = Freezer(path)
    freezer.add("tier", "1", "", "alice")
    assert freezer.find("unix:a", "w") is None
    assert freezer.find("unix:a", "w", 1) is not None


def test_a_kept_freeze_survives_and_a_lifted_one_does_not(path: str) -> None:
    freezer = Freezer(path)
    freezer.add("principal", "unix:a", "one", "alice")
    two = freezer.add("worker", "w", "two", "alice")
    freezer.keep()
    again = Freezer(path)
    assert again.standing() == freezer.standing()
    again.keep(without=two)
    assert [freeze.reason for freeze in Freezer(path).standing()] == ["one"]
    assert len(again.standing()) == 2, "it stands until it is dropped"
    again.drop(two)
    assert len(again.standing()) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b'{"freezes":[{}]}', b'{"freezes":[["all","","r","s","b"]]}', b"[]", b"{\xff"],
)
def test_a_damaged_file_freezes_everything(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    Path(path).chmod(0o600)
    freezer = Freezer(path)
    assert freezer.trouble and held(freezer)
    standing = freezer.get("all", "")
    freezer.keep(without=standing)
    freezer.drop(standing)
    assert not held(freezer) and not held(Freezer(path)) and freezer.trouble == ""


def test_a_file_that_others_may_write_freezes_everything(path: str) -> None:
    freezer = Freezer(path)
    freezer.keep()
    Path(path).chmod(0o666)
    assert held(Freezer(path))


@pytest.mark.parametrize(
    ("scope", "value"),
    [("host", "a b"), ("conn", "h"), ("tier", "4"), ("tier", ""), ("worker", ""), ("", "")],
)
def test_a_scope_that_means_nothing_is_refused(path: str, scope: str, value: str) -> None:
    with pytest.raises(RelayError) as caught:
        Freezer(path).add(scope, value, "", "alice")
    assert caught.value.kind == "InvalidArguments"


def test_freezes_are_bounded(path: str) -> None:
    freezer = Freezer(path)
    for n in range(LIMIT):
        freezer.add("worker", f"w{n}", "", "alice")
    with pytest.raises(RelayError, match="freeze all"):
        freezer.add("worker", "one more", "", "alice")
    freezer.add("worker", "w1", "again", "alice")


def test_an_unknown_freeze_cannot_be_lifted(path: str) -> None:
    with pytest.raises(RelayError) as caught:
        Freezer(path).get("all", "")
    assert caught.value.kind == "NotFound"
