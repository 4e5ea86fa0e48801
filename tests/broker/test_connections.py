"""The table of connections."""

from __future__ import annotations

import pytest

from relay_shell.broker.connections import Connection, Connections
from relay_shell.broker.peer import Peer
from relay_shell.broker.principals import Principal
from relay_shell.wire.errors import RelayError


def connection(ident: str, user: str) -> Connection:
    principal = Principal(f"unix:{user}", user, 1000)
    return Connection(ident, principal, Peer(1, 1000, 1000, (), None), "unix", "", "scoped", None)


def test_connections_count_by_user_and_forget_the_last() -> None:
    table = Connections()
    one, two = connection("c-1", "a"), connection("c-2", "a")
    table.add(one)
    table.add(two)
    table.check_room(one.principal, 3, 3)
    with pytest.raises(RelayError, match="per_user"):
        table.check_room(one.principal, 3, 2)
    with pytest.raises(RelayError, match=r"limits\.connections\)"):
        table.check_room(Principal("unix:b", "b", 1), 2, 2)
    assert table.remove("c-1") is one and table.remove("c-1") is None
    assert table.remove("c-2") is two
    assert len(table) == 0 and not table._users


def test_new_connections_have_ids_of_their_own() -> None:
    table = Connections()
    found = {table.new_id() for _ in range(100)}
    assert len(found) == 100 and all(len(ident) == 14 for ident in found)
    assert table.new_id("c-0123456789ab") == "c-0123456789ab"
