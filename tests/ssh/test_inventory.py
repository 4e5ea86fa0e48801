"""The inventory: what its words stand for, and whose file it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.ssh.inventory import FILE, Host, Inventory, listed_as, load, parse
from relay_shell.wire.errors import RelayError

ETC = Path(__file__).parents[2] / "etc" / "relay-shell"
FLEET = """
[defaults]
user = "deploy"
jump = "bastion"
key = "ops@example.org"

[host.web1]
address = "10.0.0.11"
groups = ["web", "eu"]
host_key = "Web1"
description = "front end, Zürich"

[host."web2.example.org"]
port = 2222
user = "root"
groups = ["web"]
key = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"

[host.db1]
address = "2001:DB8:0::5"
jump = ""
key = ""

[host.bastion]
address = "GW.example.org"
jump = "outer"

[host.outer]
address = "192.0.2.1"
"""


@pytest.fixture
def fleet() -> Inventory:
    return parse(FLEET, "inventory.toml")


def test_hosts_are_as_the_file_says(fleet: Inventory) -> None:
    assert list(fleet.hosts) == ["web1", "web2.example.org", "db1", "bastion", "outer"]
    assert len(fleet) == 5
    ops = "ops@example.org"
    assert fleet.find("web1") == Host(
        "web1",
        "10.0.0.11",
        22,
        "deploy",
        "bastion",
        ("web", "eu"),
        ops,
        "web1",
        "front end, Zürich",
    )
    fingerprint = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
    name = "web2.example.org"
    assert fleet.find(name) == Host(
        name, name, 2222, "root", "bastion", ("web",), fingerprint, "", ""
    )
    assert fleet.find("db1") == Host("db1", "2001:db8::5", 22, "deploy", "", (), "", "", "")
    assert fleet.groups == {"web": ("web1", "web2.example.org"), "eu": ("web1",)}


def test_the_way_to_the_default_jump_has_it_not(fleet: Inventory) -> None:
    assert fleet.find("bastion").jump == "outer"
    assert fleet.find("outer").jump == ""
    assert [host.name for host in fleet.chain(fleet.find("web1"))] == ["outer", "bastion", "web1"]
    assert [host.name for host in fleet.chain(fleet.find("db1"))] == ["db1"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], []),
        (["db1"], ["db1"]),
        (["db1", "web1", "db1"], ["web1", "db1"]),
        (["@web"], ["web1", "web2.example.org"]),
        (["web?", "@eu"], ["web1"]),
        (["*.example.org"], ["web2.example.org"]),
        (["[wd]*1"], ["web1", "db1"]),
        (["*"], ["web1", "web2.example.org", "db1", "bastion", "outer"]),
    ],
)
def test_words_select_hosts(fleet: Inventory, words: list[str], names: list[str]) -> None:
    assert [host.name for host in fleet.select(words)] == names


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("WEB1", "no host 'WEB1' in the inventory; did you mean 'web1'?"),
        ("bastoin", "no host 'bastoin' in the inventory; did you mean 'bastion'?"),
        ("10.0.0.11", "no host '10.0.0.11' in the inventory"),
        ("deploy@web1", "no host 'deploy@web1' in the inventory"),
        ("@wed", "no group '@wed' in the inventory; did you mean '@web'?"),
        ("@w*", "no group '@w*' in the inventory"),
        ("WEB*", "no host fits 'WEB*'"),
        ("", "no host '' in the inventory"),
        ("*" * 300, f"no host {'*' * 255!r} in the inventory"),
    ],
)
def test_words_that_fit_nothing(fleet: Inventory, word: str, reason: str) -> None:
    with pytest.raises(RelayError) as caught:
        fleet.select(["web1", word])
    assert (caught.value.kind, caught.value.message) == ("NotFound", reason)
    assert caught.value.next_step.startswith("ssh_hosts lists")


def test_an_empty_inventory_says_so() -> None:
    for empty in (Inventory(), parse("", "i.toml"), parse("# [host.a]\n", "i.toml")):
        assert (len(empty), dict(empty.hosts), dict(empty.groups)) == (0, {}, {})
        with pytest.raises(RelayError, match="which is empty"):
            empty.find("web1")
        with pytest.raises(RelayError, match="which is empty"):
            empty.select(["@web"])


def test_a_file_that_others_can_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "inventory.toml"
    assert dict(load(str(path)).hosts) == {}
    path.write_text(FLEET)
    path.chmod(0o644)
    assert list(load(str(path)).hosts) == list(parse(FLEET, "i").hosts)
    path.chmod(0o664)
    with pytest.raises(RelayError, match="can be changed by others") as caught:
        load(str(path))
    assert caught.value.kind == "Config"
    path.chmod(0o644)
    path.write_bytes(b"[host.a]\n# \xff\n")
    with pytest.raises(RelayError, match=r"inventory\.toml:2: is not UTF-8"):
        load(str(path))
    path.unlink()
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(RelayError, match="is a link to a file that does not exist"):
        load(str(path))


def test_the_file_that_is_shipped_names_no_host() -> None:
    text = (ETC / FILE).read_text()
    assert not parse(text, FILE)
    # Uncommented, its examples are an inventory.
    lines = [line[1:] for line in text.splitlines() if line.startswith("#") and line[1:2] != " "]
    found = parse("\n".join(lines), FILE)
    assert [host.name for host in found.chain(found.find("web1"))] == ["bastion", "web1"]
    assert found.find("db1.example.org").jump == ""


def test_a_key_is_listed_by_address_port_or_alias(fleet: Inventory) -> None:
    names = {name: listed_as(host) for name, host in fleet.hosts.items()}
    assert names == {
        "web1": "web1",
        "web2.example.org": "[web2.example.org]:2222",
        "db1": "2001:db8::5",
        "bastion": "gw.example.org",
        "outer": "192.0.2.1",
    }


def test_an_unknown_jump_in_a_chain_is_an_error() -> None:
    host = Host("a", "a", 22, "u", "gone", (), "", "", "")
    with pytest.raises(RelayError, match="no host 'gone'"):
        Inventory([host]).chain(host)
    ring = [Host(a, a, 22, "u", b, (), "", "", "") for a, b in ("xy", "yx")]
    assert len(Inventory(ring).chain(ring[0])) == 3


@given(st.lists(st.text(max_size=40), max_size=3))
def test_any_words_give_hosts_or_an_error(words: list[str]) -> None:
    try:
        found = parse(FLEET, FILE).select(words)
    except RelayError as error:
        assert error.kind == "NotFound"
    else:
        assert bool(found) == bool(words)
