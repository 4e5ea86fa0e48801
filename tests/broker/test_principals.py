"""Roles, postures and principals follow from kernel facts alone."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from relay_shell.broker import principals
from relay_shell.broker.peer import Facts, Peer
from relay_shell.broker.principals import Accounts
from relay_shell.wire.errors import RelayError

FRONT, BROKER, WORKER = 901, 902, 903
OURS = Accounts(
    front=FRONT,
    workers={WORKER: "scoped", 0: "privileged"},
    operators=950,
    own=frozenset({FRONT, BROKER, WORKER}),
)


def peer(uid: int, unit: str = "", *, inner: str = "", parent: int = 1) -> Peer:
    facts = Facts(7, parent, f"/system.slice/{unit}/{inner}", unit, inner, None)
    return Peer(4242, uid, uid, (), facts)


WORKER_UNIT = "relay-shell-worker@3-991-1000.service"


def refusal(call: object, *args: object) -> str:
    assert callable(call)
    with pytest.raises(RelayError) as caught:
        call(*args)
    assert caught.value.kind == "PermissionDenied"
    return caught.value.message


def test_the_front_is_its_account_in_its_unit() -> None:
    OURS.front_peer(peer(FRONT, "relay-shell-front.service"))
    OURS.front_peer(peer(FRONT, "relay-shell-http.service"))
    assert "uid 0" in refusal(OURS.front_peer, peer(0, "relay-shell-front.service"))
    assert "unit none" in refusal(OURS.front_peer, peer(FRONT))
    assert "session-1.scope" in refusal(OURS.front_peer, peer(FRONT, "session-1.scope"))
    assert "unit" in refusal(OURS.front_peer, Peer(1, FRONT, FRONT, (), None))


def test_a_worker_is_the_main_process_of_a_worker_unit() -> None:
    assert OURS.worker_peer(peer(WORKER, WORKER_UNIT)) == "scoped"
    assert OURS.worker_peer(peer(WORKER, WORKER_UNIT, inner="main")) == "scoped"
    assert OURS.worker_peer(peer(0, WORKER_UNIT)) == "privileged"


@pytest.mark.parametrize(
    ("who", "why"),
    [
        (peer(FRONT, WORKER_UNIT), "no worker's account"),
        (peer(WORKER, "relay-shell-front.service"), "no worker's"),
        (peer(WORKER, "cron.service"), "no worker's"),
        # Commands of an agent: same account, same unit.
        (peer(WORKER, WORKER_UNIT, inner="call-k-1"), "not the main process"),
        (peer(WORKER, WORKER_UNIT, inner="main/session-s1"), "not the main process"),
        (peer(WORKER, WORKER_UNIT, parent=991), "not the main process"),
        (Peer(4242, WORKER, WORKER, (), None), "cannot be identified"),
    ],
)
def test_a_command_of_a_worker_is_no_worker(who: Peer, why: str) -> None:
    assert why in refusal(OURS.worker_peer, who)


def test_who_can_be_neither_front_nor_worker_is_a_stranger() -> None:
    assert OURS.ours(peer(FRONT, "relay-shell-front.service"))
    assert OURS.ours(peer(WORKER, WORKER_UNIT, inner="worker"))
    assert not OURS.ours(peer(WORKER, WORKER_UNIT, inner="call-k-1"))
    assert not OURS.ours(peer(1000, "session-1.scope"))


def test_operators_are_root_and_the_members_of_their_group() -> None:
    root = Peer(1, 0, 0, (), None)
    assert OURS.operator_peer(root) == principals.user_name(0)
    nobody = Peer(1, 65534, 65534, (), None)
    assert "relay-shell-operators" in refusal(OURS.operator_peer, nobody)
    assert OURS.operator_peer(nobody._replace(groups=(950,)))
    assert OURS.operator_peer(nobody._replace(gid=950))
    nameless = Peer(1, 4_000_000, 4_000_000, (), None)
    assert OURS.operator_peer(nameless._replace(groups=(950,))) == "#4000000"
    without_group = replace(OURS, operators=None)
    assert refusal(without_group.operator_peer, nobody._replace(groups=(950,)))


def test_an_account_without_a_usable_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert principals.principal_of(4_000_000).name == "unix:#4000000"
    for name in ("two words", "a:b", "", "x" * 200, "esc\x1b[2J"):
        entry = type("Entry", (), {"pw_name": name})
        monkeypatch.setattr(principals.pwd, "getpwuid", lambda uid, entry=entry: entry)
        assert principals.user_name(1000) == "#1000"


def accepted(path: Path) -> tuple[socket.socket, socket.socket]:
    """A client's socket and what the listener at `path` accepted of it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(path))
        return client, listening.accept()[0]


def test_a_client_is_who_connected_to_our_socket(tmp_path: Path) -> None:
    path = tmp_path / "mcp.sock"
    client, sock = accepted(path)
    with client, sock:
        assert OURS.client_peer(sock, str(path)).pid == os.getpid()
        # The other end of the same connection names the listener's owner, not a client.
        assert "not accepted at" in refusal(OURS.client_peer, client, str(path))
        assert "not accepted at" in refusal(OURS.client_peer, sock, "/run/other.sock")


def test_a_socket_of_another_kind_is_no_client_s(tmp_path: Path) -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with left, right:
        assert refusal(OURS.client_peer, left, str(tmp_path / "mcp.sock"))
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        assert refusal(OURS.client_peer, sock, str(tmp_path / "mcp.sock"))


def test_our_own_accounts_and_units_are_no_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, sock = accepted(tmp_path / "mcp.sock")
    path = str(tmp_path / "mcp.sock")
    with client, sock:
        own = replace(OURS, own=frozenset({os.geteuid()}))
        assert "may not be a client" in refusal(own.client_peer, sock, path)
        # A root command of a privileged worker would otherwise become a principal of its own.
        monkeypatch.setattr(principals, "of", lambda sock: peer(0, WORKER_UNIT, inner="call-k-1"))
        assert "may not be a client" in refusal(OURS.client_peer, sock, path)
        monkeypatch.setattr(principals, "of", lambda sock: peer(0, "ssh.service"))
        assert OURS.client_peer(sock, path).uid == 0


def test_the_posture_of_new_workers_is_that_of_the_drop_in_s_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_in = tmp_path / "50-posture.conf"
    monkeypatch.setattr(principals, "POSTURE_DROP_IN", str(drop_in))
    assert OURS.posture() == "scoped"
    drop_in.write_text("[Service]\nUser=\nUser=root\n")
    assert OURS.posture() == "privileged"
    drop_in.write_text("[Service]\nUser=no-such-account\n")
    assert OURS.posture() == "scoped"
    assert Accounts.local().posture() == "standalone"


def test_missing_accounts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(principals, "FRONT_ACCOUNT", "no-such-account")
    with pytest.raises(RelayError, match="no-such-account") as caught:
        Accounts.system()
    assert caught.value.exit_status == 78
