"""inventory.toml as a document: every fault with its line, and nothing but faults."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.policy.hosts import canonical_host
from relay_shell.ssh.inventory import parse
from relay_shell.wire.errors import RelayError


def faults(text: str) -> list[str]:
    """What `parse` says, a line each."""
    with pytest.raises(RelayError) as caught:
        parse(text, "i.toml")
    assert caught.value.kind == "Config"
    return caught.value.message.split("\n")


def fault(line: str) -> str:
    """What is wrong with one line of a host that has all else."""
    found = faults(f'[defaults]\nuser = "u"\n[host.a]\n{line}\n')
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("adress = 'b'", "unknown key 'adress'; did you mean 'address'?"),
        ("proxy_command = 'nc %h'", "unknown key 'proxy_command'"),
        ("address = '-oProxyCommand=x'", "address '-oProxyCommand=x' is neither a DNS name nor"),
        ("address = 'root@b'", "address 'root@b' holds a user; that is the key 'user'"),
        ("address = 'b:22'", "address 'b:22': no brackets and no port; that is the key 'port'"),
        ("address = '[::1]'", "address '[::1]': no brackets"),
        ("address = 'b c'", "address 'b c' is neither"),
        ('address = "b\\u0000"', r"address 'b\x00' is neither"),
        ("address = ''", "address is empty"),
        ("address = 'bücher.example'", "address 'bücher.example' must be in the form that DNS"),
        ("address = 'b.'", "address 'b.' is neither"),
        ("address = '127.1'", "address '127.1' is no IP address as usually written"),
        ("address = '2130706433'", "address '2130706433' is no IP address as usually written"),
        ("address = '0x7f.1'", "address '0x7f.1' is no IP address"),
        ("address = 'a.0x7f'", "address 'a.0x7f' is no IP address"),
        ("address = '010.0.0.1'", "address '010.0.0.1' is no IP address"),
        ("address = '::ffff:10.0.0.1'", "address '::ffff:10.0.0.1': write 10.0.0.1"),
        ("address = 'fe80::1%eth0'", "address 'fe80::1%eth0': an address with a zone"),
        ("address = '1:2:3'", "address '1:2:3' is no IPv6 address"),
        (f"address = '{'a' * 64}.org'", "is neither a DNS name"),
        (f"address = '{'a.' * 127}'", "address is longer than 253 characters"),
        ("address = 5", "address must be a string, not 5"),
        ("user = '-l'", "user '-l' is no name of a user"),
        ("user = ''", "user is empty"),
        ("user = 'a b'", "user 'a b' is no name of a user"),
        ("user = 'a;b'", "user 'a;b' is no name of a user"),
        ("user = '$x'", "user '$x' is no name of a user"),
        ('user = "a\\\\"', r"user 'a\\' is no name of a user"),
        ("user = 'jürgen'", "is no name of a user"),
        (f"user = '{'u' * 256}'", "user is longer than 255 characters"),
        ("port = 0", "port must be between 1 and 65535"),
        ("port = 65536", "port must be between 1 and 65535"),
        ("port = true", "port must be an integer, not True"),
        ("port = '22'", "port must be an integer, not '22'"),
        ("port = 22.0", "port must be an integer, not 22.0"),
        ("jump = 'b'", "unknown host 'b'"),
        ("jump = 'a'", "the jumps go in a ring: 'a' -> 'a'; jump = \"\" is none"),
        ("jump = ['b']", "jump must be a string, not ['b']"),
        ("groups = 'web'", "groups must be a list of strings, not 'web'"),
        ("groups = [1]", "groups must be a list of strings, not [1]"),
        ("groups = ['@web']", "groups '@web': '@web' is no name"),
        ("groups = ['*']", "groups '*': '*' is no name"),
        (f"groups = {[f'g{n}' for n in range(65)]}", "groups must name at most 64, not 65"),
        ("key = 'SHA256:short'", "key must be SHA256: and 43 characters of base64"),
        ("key = 'MD5:00:11'", "key must be a SHA256 fingerprint (ssh-keygen -l) or a comment"),
        ('key = "a\\nb"', "key must be one line"),
        (f"key = '{'k' * 257}'", "key must be one line of at most 256 printable characters"),
        ("host_key = '*'", "host_key '*' is neither"),
        ("host_key = 'a,b'", "host_key 'a,b' is neither"),
        ("shell = 'fish'", "shell is one of bash, sh"),
        ("shell = 1", "shell must be a string, not 1"),
        ('description = "a\\nb"', "description must be one line of printable characters"),
        (f"description = '{'d' * 513}'", "description must have at most 512 characters, not 513"),
    ],
)
def test_what_a_host_may_not_say(line: str, reason: str) -> None:
    said = fault(line)
    assert said.startswith("i.toml:4: "), said
    assert reason in said


@pytest.mark.parametrize(
    "user",
    ["a", "_apt", "web-1", "j.doe", "host$", "DOMAIN\\jdoe", "jdoe@example.org", "a+b", "1"],
)
def test_users_of_directories_are_users_too(user: str) -> None:
    found = parse(f"[host.a]\nuser = {json.dumps(user)}\n", "i.toml")
    assert found.find("a").user == user


@pytest.mark.parametrize(
    "name", ["-a", ".a", "a.", "a-", "a b", "a/b", "a:b", "a@b", "*", "ä", "a\x00", "", "a" * 254]
)
def test_names_that_are_none(name: str) -> None:
    (said,) = faults(f'[host.{json.dumps(name)}]\naddress = "b"\nuser = "u"\n')
    assert said.startswith("i.toml:1: ")


@pytest.mark.parametrize("name", ["1", "127.1", "0x7f000001", "1.2.3.4.5", "010.0.0.1"])
def test_a_name_cannot_be_read_as_an_address(name: str) -> None:
    (said,) = faults(f'[host."{name}"]\naddress = "b"\nuser = "u"\n')
    assert said == f"i.toml:1: {name!r} would be read as an address that it does not look like"


def test_a_name_that_is_an_address_has_it() -> None:
    text = '[host."10.0.0.1"]\nuser = "u"\n'
    assert parse(text, "i.toml").find("10.0.0.1").address == "10.0.0.1"
    (said,) = faults(f'{text}address = "10.0.0.2"\n')
    assert said == "i.toml:3: a name that is an address can have no other"


def test_a_name_that_no_resolver_takes_needs_an_address() -> None:
    (said,) = faults('[host."a..b"]\nuser = "u"\n')
    assert said == (
        "i.toml:1: the name is no address ('a..b' is neither a DNS name nor an IP address); "
        "add 'address'"
    )


def test_names_must_differ_by_more_than_case() -> None:
    (said,) = faults('[defaults]\nuser = "u"\n[host.web]\n[host.Web]\n')
    assert said == "i.toml:4: 'Web' differs from 'web' by case only"


def test_an_address_is_not_the_name_of_another_host() -> None:
    text = '[defaults]\nuser = "u"\n[host.a]\naddress = "B"\n[host.b]\n'
    assert parse(text, "i.toml").find("a").address == "b"
    (said,) = faults(f'{text}address = "10.0.0.1"\n')
    assert said == (
        "i.toml:4: the address 'b' is the name of another host, whose address is '10.0.0.1'"
    )


def test_a_host_needs_a_user() -> None:
    assert faults("[host.a]\n[host.b]\n") == [
        "i.toml:1: 'a' has no 'user', and neither has [defaults]",
        "i.toml:2: 'b' has no 'user', and neither has [defaults]",
    ]


def test_a_name_with_a_dot_is_quoted() -> None:
    (said,) = faults('[defaults]\nuser = "u"\n[host.web1.example]\nport = 5\n')
    assert said == (
        "i.toml:3: unknown table 'example'; a name with a dot is quoted: [host.\"web1.example\"]"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("host = 5", ["i.toml:1: 'host' holds tables: write [host.NAME]"]),
        ("[[host]]", ["i.toml:1: 'host' holds tables: write [host.NAME]"]),
        ("[host]\na = 5", ["i.toml:2: 'a' is a table: write [host.NAME]"]),
        ("defaults = 5", ["i.toml:1: 'defaults' is a table: write [defaults]"]),
        ("[hosts.a]", ["i.toml:1: unknown table 'hosts'; did you mean 'host'?"]),
        ("[defaults]\naddress = 'a'", ["i.toml:2: unknown key 'address'"]),
        ("[defaults]\njump = 'a'", ["i.toml:2: unknown host 'a'"]),
        ("[defaults]\nport = -1", ["i.toml:2: port must be between 1 and 65535"]),
        ("\n[host.a", ["i.toml:2: is no TOML: Expected ']' at the end of a table declaration"]),
        ("a = " + "[" * 5000, ["i.toml: is nested too deeply"]),
    ],
)
def test_what_is_no_inventory(text: str, said: list[str]) -> None:
    found = faults(text)
    if text.startswith("[host]"):
        assert found.pop().endswith("has no 'user', and neither has [defaults]")
    assert found == said


def test_a_number_of_many_digits_is_a_fault() -> None:
    (said,) = faults(f"a = 1{'0' * 5000}\n")
    assert said.startswith("i.toml: has a number that is too long: ")


def test_rings_of_jumps() -> None:
    text = '[defaults]\nuser = "u"\n[host.a]\njump = "b"\n[host.b]\njump = "c"\n[host.c]\n'
    assert [host.name for host in parse(text, "i").chain(parse(text, "i").find("a"))] == [
        "c",
        "b",
        "a",
    ]
    # Said at each host of the ring, and not at the one that leads to it.
    assert faults(f'{text}jump = "b"\n') == [
        "i.toml:6: the jumps go in a ring: 'b' -> 'c' -> 'b'; jump = \"\" is none",
        "i.toml:8: the jumps go in a ring: 'c' -> 'b' -> 'c'; jump = \"\" is none",
    ]
    defaults = text.replace('"u"\n', '"u"\njump = "a"\n')
    assert [h.name for h in parse(defaults, "i").chain(parse(defaults, "i").find("a"))] == [
        "c",
        "b",
        "a",
    ]


def test_more_jumps_than_anybody_has() -> None:
    def row(count: int) -> str:
        hosts = "".join(f'[host.h{n}]\njump = "h{n + 1}"\n' for n in range(count))
        return f'[defaults]\nuser = "u"\n{hosts}[host.h{count}]\n'

    assert len(parse(row(8), "i").chain(parse(row(8), "i").find("h0"))) == 9
    assert faults(row(9)) == ["i.toml:4: more than 8 jumps on the way to 'h0'"]


def test_more_hosts_than_a_file_may_have() -> None:
    text = '[defaults]\nuser = "u"\n' + "".join(f"[host.h{n}]\n" for n in range(4096))
    assert len(parse(text, "i.toml")) == 4096
    assert "more than 4096 hosts" in faults(f"{text}[host.more]\n")[0]


def test_faults_are_told_together_and_in_bounds() -> None:
    found = faults('[host.a]\nport = 0\nuser = "-"\n[other]\n[host."-"]\nuser = "u"\nx = 1\n')
    assert [line.split(" ", 1)[0] for line in found] == ["i.toml:4:"] + [
        f"i.toml:{number}:" for number in (7, 3, 2, 5)
    ]
    many = faults("".join(f'[host.h{n}]\njump = "gone{n}"\n' for n in range(4000)))
    assert len(many) == 51
    assert many[-1] == "i.toml: and more; correct these first"


scalars = st.one_of(
    st.sampled_from(["a", "b", "A", "10.0.0.1", "127.1", "", "-x", "a.b", "SHA256:x", "::1"]),
    st.text(max_size=20),
    st.integers(),
    st.booleans(),
    st.lists(st.sampled_from(["a", "b", "*"]), max_size=3),
)
names = st.one_of(st.sampled_from(["a", "b", "A", "10.0.0.1", "1", "x.y"]), st.text(max_size=12))
tables = st.dictionaries(
    st.one_of(
        st.sampled_from(["address", "user", "port", "jump", "groups", "key", "host_key"]),
        st.text(max_size=8),
    ),
    scalars,
    max_size=5,
)


def toml(value: object) -> str:
    # JSON's strings are TOML's, but for the escape of U+007F.
    return json.dumps(value).replace("\x7f", "\\u007f") if not isinstance(value, dict) else ""


@given(defaults=tables, hosts=st.dictionaries(names, tables, max_size=4))
def test_documents_give_an_inventory_or_an_error(
    defaults: dict[str, object], hosts: dict[str, dict[str, object]]
) -> None:
    """An accepted inventory means the same to the rules on hosts, and its jumps end."""
    lines = ["[defaults]", *(f"{toml(key)} = {toml(value)}" for key, value in defaults.items())]
    for name, table in hosts.items():
        lines.append(f"[host.{toml(name)}]")
        lines += [f"{toml(key)} = {toml(value)}" for key, value in table.items()]
    try:
        found = parse("\n".join(lines), "i.toml")
    except RelayError as error:
        assert error.kind == "Config"
        return
    for host in found.hosts.values():
        assert canonical_host(host.name) == host.name.lower()
        assert canonical_host(host.address) == host.address
        assert found.chain(host)[-1] is host
        assert len(found.chain(host)) <= len(found)
        assert found.select([host.name]) == [host]


@given(st.text())
def test_any_text_gives_an_inventory_or_an_error(text: str) -> None:
    try:
        parse(text, "i.toml")
    except RelayError as error:
        assert error.kind == "Config"
