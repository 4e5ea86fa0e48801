"""The machines of a call: what is taken from a worker, and what the record names."""

from __future__ import annotations

from typing import Any

import pytest

from relay_shell.broker import reach
from relay_shell.broker.judge import redactor
from relay_shell.wire.errors import RelayError

REDACT = redactor()
SECRET = "AKIA" + "QJZ7RW4MXT2KVPLD"


def fleet(count: int, jumps: int = 4, addresses: int = 6) -> list[list[str]]:
    """So many machines of a fan-out, each behind jump hosts of its own."""
    names = [f"web{n}" for n in range(count)]
    names += [f"jump{n}-{hop}" for n in range(count) for hop in range(jumps)]
    return [
        [name, f"{name}.example.org", *(f"2001:db8::{n:x}:{more:x}" for more in range(addresses))]
        for n, name in enumerate(names)
    ]


def test_a_machine_is_a_list_of_names_or_one_name() -> None:
    found = reach.machines_of(["web1", ["db1", "10.0.0.1", "db1"], "web1", ["db1", "10.0.0.1"]])
    assert found == (("web1",), ("db1", "10.0.0.1"))
    assert reach.names_of(found) == ("web1", "db1", "10.0.0.1")
    assert reach.machines_of([]) == ()


def test_a_fan_out_of_a_hundred_with_its_jump_hosts_fits() -> None:
    given = fleet(100)
    machines = reach.machines_of(given)
    assert len(machines) == 500
    shown = reach.recorded(machines, (), REDACT)
    assert shown[:500] == [names[0] for names in given] and shown[-1].startswith("… ")
    machines = reach.machines_of(fleet(100, jumps=1, addresses=2))
    shown = reach.recorded(machines, (), REDACT)
    assert set(reach.names_of(machines)) == set(shown) and len(shown) == 800


@pytest.mark.parametrize(
    "hosts",
    [
        "web1",
        {"web1": 1},
        None,
        [7],
        [None],
        [[]],
        [["web1", 7]],
        [[["web1"]]],
        [{"name": "web1"}],
        [""],
        [["web1", ""]],
        ["web 1"],
        ["web\n1"],
        ["web\u202e1"],
        ["?"],
        [["web1", "?known only when the command runs"]],
        ["x" * 256],
        [["web1"] * (reach.NAMES + 1)],
        [f"h{n}" for n in range(reach.MACHINES + 1)],
        [[f"{n}-{m}".ljust(200, "x") for m in range(32)] for n in range(64)],
        [True],
    ],
)
def test_what_no_worker_sends_is_refused(hosts: Any) -> None:
    with pytest.raises(RelayError) as caught:
        reach.machines_of(hosts)
    assert caught.value.kind == "InvalidArguments"


def test_every_machine_of_a_hundred_is_named_whatever_its_length() -> None:
    machines = reach.machines_of(
        [[f"web{n}.".ljust(255, "x"), *(f"10.0.{n}.{m}" for m in range(31))] for n in range(100)]
    )
    shown = reach.recorded(machines, ["named"], REDACT)
    assert shown[:100] == [names[0] for names in machines]
    others = shown[100:-2]
    # What is cut is counted: further names, then hosts that the command names.
    assert shown[-2:] == [f"… {3100 - len(others)} more names", "… 1 more hosts"]
    assert 0 < len(others) < 3100


def test_machines_that_have_no_room_are_counted() -> None:
    machines = reach.machines_of([f"web{n}.".ljust(255, "x") for n in range(512)])
    shown = reach.recorded(machines, (), REDACT)
    assert len(shown) == 129 and shown[-1] == "… 384 more machines"
    assert sum(map(len, shown[:-1])) <= reach.RECORDED


def test_hosts_that_a_command_names_come_last_and_once() -> None:
    machines = reach.machines_of([["web1", "10.0.0.1"], ["jump", "10.0.0.2"]])
    named = ["db1", "10.0.0.2", "?$H", "?", "db1", "x" * 300]
    assert reach.recorded(machines, named, REDACT) == [
        *("web1", "jump", "10.0.0.1", "10.0.0.2", "db1", "?$H", "x" * 100 + "…"),
    ]


@pytest.mark.parametrize("before", [0, 80, 250, 2030, 2040])
def test_no_secret_is_recorded_whole_or_in_part(before: int) -> None:
    text = "?" + "y" * before + f" {SECRET} " + "z" * 3000
    shown = reach.recorded((("web1", SECRET),), [text, text[: before + 40]], REDACT)
    assert not any(SECRET[n : n + 8] in item for item in shown for n in range(12))


@pytest.mark.parametrize(
    ("args", "machines"),
    [
        ({"host": "web1"}, (("web1",),)),
        ({"hosts": ["web1", "db1"]}, (("web1",), ("db1",))),
        ({"hosts": ["web1", "@eu"]}, (("?",),)),
        ({"hosts": ["web*"]}, (("?",),)),
        ({"hosts": []}, ()),
        ({"hosts": [7]}, (("?",),)),
        ({"host": ""}, (("?",),)),
        ({}, (("?",),)),
    ],
)
def test_what_arguments_mean_without_being_resolved(args: Any, machines: Any) -> None:
    assert reach.meant(args) == machines


def test_a_fan_out_counts_its_machines() -> None:
    machines = reach.machines_of(fleet(50, jumps=0))
    assert reach.runs("ssh_fanout", machines) == 50 and reach.runs("ssh_exec", machines) == 1
    assert reach.at_once("ssh_fanout", {}, machines, 32) == 32
    assert reach.at_once("ssh_fanout", {}, machines, 64) == 50
    assert reach.at_once("ssh_fanout", {"at_once": 8}, machines, 32) == 8
    assert reach.at_once("ssh_fanout", {"at_once": 500}, machines, 32) == 32
    for wrong in (0, -1, True, "9", 2.5, None):
        assert reach.at_once("ssh_fanout", {"at_once": wrong}, machines, 32) == 32
    assert reach.at_once("ssh_fanout", {}, (), 32) == 1
    assert reach.at_once("ssh_exec", {}, machines, 32) == 1
