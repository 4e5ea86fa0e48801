"""Which machines a call reaches, and by which names they are judged."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from relay_shell.ssh.inventory import Host, Inventory
from relay_shell.ssh.reach import ADDRESSES, Reached, lookup, reach


def host(name: str, address: str = "", jump: str = "") -> Host:
    return Host(name, address or name, 22, "deploy", jump, ("all",), "", "", "")


SHELLS = ("bash", "bash", "sh", "")

FLEET = Inventory(
    [
        host("gw", "192.0.2.1"),
        host("inner", "10.0.0.1", "gw"),
        host("web1", "10.0.0.11", "inner"),
        host("web2", "localhost"),
    ]
)


def ask(*words: str, most: int = 100) -> Reached:
    return asyncio.run(reach(FLEET, words, most))


def test_jump_hosts_are_among_the_machines_of_a_call() -> None:
    reached = ask("web1")
    assert [hop.name for hop in reached.routes[0].hops] == ["gw", "inner", "web1"]
    assert reached.routes[0].addresses == ("192.0.2.1",)
    names = reached.names()
    assert sorted(names) == [["gw", "192.0.2.1"], ["inner", "10.0.0.1"], ["web1", "10.0.0.11"]]


def test_names_are_told_with_what_they_resolve_to() -> None:
    (names,) = ask("web2").names()
    assert names[:2] == ["web2", "localhost"]
    assert {"127.0.0.1", "::1"} & set(names[2:])
    assert ask("web2").routes[0].addresses == tuple(names[2:])


def test_login_shell_is_one_that_all_have() -> None:
    """Text that two shells read differently is not judged as one of them reads it."""
    hosts = [host(name)._replace(shell=shell) for name, shell in zip("abcd", SHELLS, strict=True)]
    fleet = Inventory(row._replace(address="192.0.2.1") for row in hosts)
    for words, shell in ((["a"], "bash"), (["a", "b"], "bash"), (["a", "c"], ""), (["d"], "")):
        assert asyncio.run(reach(fleet, words, 9)).shell == shell
    assert asyncio.run(reach(fleet, ["*"], 9)).shell == ""
    assert asyncio.run(reach(fleet, ["none"], 9)).shell == ""
    # That of a jump host reads nothing.
    way = Inventory([host("gw", "192.0.2.1")._replace(shell="sh"), host("in", "x", "gw")])
    assert asyncio.run(reach(way, ["in"], 9)).shell == ""


def test_address_behind_a_jump_host_is_not_looked_up_here() -> None:
    fleet = Inventory([host("gw", "192.0.2.1"), host("in", "localhost", "gw")])
    reached = asyncio.run(reach(fleet, ["in"], 1))
    assert reached.names() == [["in", "localhost"], ["gw", "192.0.2.1"]]


def test_machine_that_several_routes_share_is_told_once() -> None:
    assert len(ask("@all").names()) == 4
    assert len(ask("*", "web1").routes) == 4


def test_single_name_is_no_pattern() -> None:
    for word in ("web*", "@all", "web3", ""):
        reached = ask(word, most=0)
        assert reached.error is not None and reached.error.kind == "NotFound", word
        assert reached.names() == []


def test_error_is_an_answer_so_that_the_refusal_is_recorded() -> None:
    reached = ask("nowhere")
    assert reached.error is not None and "nowhere" in reached.error.message
    assert reached.routes == ()


def test_more_hosts_than_a_call_may_reach_are_refused() -> None:
    error = ask("@all", most=3).error
    assert error is not None and error.kind == "InvalidArguments"
    assert "4 hosts" in error.message


def test_name_without_an_address_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asyncio.run(lookup({"no-such-name.invalid", "10.0.0.7", "2001:db8::7"}))
    assert found["10.0.0.7"] == ("10.0.0.7",)
    assert found["2001:db8::7"] == ("2001:db8::7",)
    assert not found.get("no-such-name.invalid")


def test_lookup_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from relay_shell.ssh import reach as module

    release = threading.Event()
    real = socket.getaddrinfo

    def slow(name: Any, *args: Any, **options: Any) -> Any:
        if name == "hangs.example":
            release.wait(60)
        return real(name, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(module, "LOOKUP", 0.5)
    try:
        found = asyncio.run(lookup({"hangs.example", "localhost"}))
        assert "hangs.example" not in found
    finally:
        release.set()


def test_one_name_has_a_bounded_number_of_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(2, 1, 6, "", (f"10.0.0.{n}", 0)) for n in range(50)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: rows)
    assert len(asyncio.run(lookup({"many.example"}))["many.example"]) == ADDRESSES
