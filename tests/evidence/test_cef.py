"""CEF, read back by a parser that follows the specification and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings

from evidence.hostile import TRICKS, records
from relay_shell.evidence.cef import encode, extension
from relay_shell.evidence.siem import MAP, name, plain, severity, visible

RECORD: dict[str, Any] = {
    "v": 1,
    "seq": 7,
    "ts": "2026-01-31T12:00:00.123456Z",
    "boot_id": "ab" * 16,
    "event": "intent",
    "call_id": "k-0123456789abcdef",
    "principal": "unix:alice",
    "uid": 1000,
    "tool": "shell_exec",
    "tier": 2,
    "decision": "allow",
    "reasons": ["dd writes", "of= names a device"],
    "args": {"command": "dd if=/dev/zero of=x | cat"},
    "prev": "0" * 64,
    "chain": "1" * 64,
}
KEYS = {
    "act": 63, "app": 31, "cat": 1023, "dhost": 1023, "dpriv": 1023, "externalId": 40,
    "fileHash": 255, "msg": 1023, "outcome": 63, "reason": 1023, "requestClientApplication": 1023,
    "shost": 1023, "suid": 1023, "suser": 1023, "destinationServiceName": 1023, "dvchost": 100,
    "flexString1": 1023, "flexString2": 1023, "rt": 20, "spid": 20, "src": 45, "c6a2": 45,
    **{f"cs{n}": 4000 for n in range(1, 7)}, **{f"cn{n}": 20 for n in range(1, 4)},
    **{f"{key}Label": 128 for key in ("c6a2", "flexString1", "flexString2")},
    **{f"cs{n}Label": 1023 for n in range(1, 7)}, **{f"cn{n}Label": 1023 for n in range(1, 4)},
}  # fmt: skip
"""The dictionary of the specification, as far as it is used: keys and their lengths."""


def parse(line: str) -> tuple[list[str], dict[str, str]]:
    """The header's seven fields and the extension, with escapes resolved.

    "Implementing ArcSight Common Event Format": `\\|` and `\\\\` in the header, `\\=`, `\\\\`,
    `\\n` and `\\r` in the extension; a key is the word before an `=` that is not escaped.
    """
    fields: list[str] = []
    field, at = "", 0
    while len(fields) < 7:
        char = line[at]
        if char == "\\":
            assert line[at + 1] in "|\\", f"no escape of a header: {line[at : at + 2]!r}"
            field, at = field + line[at + 1], at + 2
        elif char == "|":
            fields.append(field)
            field, at = "", at + 1
        else:
            field, at = field + char, at + 1
    rest = line[at:]
    signs = [found.start(1) for found in re.finditer(r"(?<!\\)(?:\\\\)*(=)", rest)]
    pairs: dict[str, str] = {}
    for sign, after in zip(signs, [*signs[1:], None], strict=True):
        key = re.search(r"(?:^| )([^ ]+)$", rest[:sign])
        assert key is not None
        end = len(rest) if after is None else rest.rindex(" ", 0, after)
        assert key[1] not in pairs, f"twice: {key[1]}"
        pairs[key[1]] = unescape(rest[sign + 1 : end])
    return fields, pairs


def unescape(text: str) -> str:
    out, at = "", 0
    while at < len(text):
        if text[at] == "\\":
            out += {"n": "\n", "r": "\r", "=": "=", "\\": "\\"}[text[at + 1]]
            at += 2
        else:
            assert text[at] != "="
            out += text[at]
            at += 1
    return out


def test_one_record() -> None:
    line = encode(RECORD, host="web1", program="0.1.0")
    fields, pairs = parse(line)
    assert fields[:5] == ["CEF:0", "relay-shell", "relay-shell", "0.1.0", "intent"]
    assert fields[5:] == ["A call was admitted", "5"]
    assert pairs["rt"] == "1769860800123"
    assert pairs["suser"] == "unix:alice" and pairs["act"] == "allow"
    assert (pairs["cn1"], pairs["cn1Label"]) == ("2", "tier")
    assert pairs["cs1"] == '{"command":"dd if=/dev/zero of=x | cat"}'
    assert r"dd if\=/dev/zero of\=x | cat" in line
    assert pairs["reason"] == "dd writes; of= names a device"
    assert pairs["dvchost"] == "web1" and pairs["relayShellChain"] == "1" * 64


def test_header_of_the_specification() -> None:
    """The specification's own examples: a pipe and a backslash in the header, not elsewhere."""
    line = encode({"event": "detected a | in \\ message", "detail": "| is | here, = too\nand \\"})
    assert "|detected a \\| in \\\\ message|" in line
    assert "relayShellDetail=| is | here, \\= too\\nand \\\\ " in line


@pytest.mark.parametrize(
    ("version", "address", "pairs"),
    [
        ("0", "192.0.2.7", {"src": "192.0.2.7"}),
        ("1", "192.0.2.7", {"src": "192.0.2.7"}),
        ("0", "2001:db8::1", {"c6a2": "2001:db8::1", "c6a2Label": "Source IPv6 Address"}),
        ("1", "2001:DB8:0::1", {"src": "2001:db8::1"}),
        ("0", "host.example", {"shost": "host.example"}),
    ],
)
def test_addresses(version: str, address: str, pairs: dict[str, str]) -> None:
    assert (
        extension({"event": "connect", "address": address}, version) == {"cat": "connect"} | pairs
    )
    assert encode({"event": "connect"}, version=version).startswith(f"CEF:{version}|")


def test_numbers_stay_numbers() -> None:
    """A key of the dictionary that is a Long never holds text, or more than 64 bits."""
    found = extension({"event": "outcome", "exit": "0 act=x", "bytes": 2**63, "tier": True}, "0")
    assert found == {"cat": "outcome"}
    assert extension({"event": "outcome", "exit": -9}, "0")["cn3"] == "-9"


def test_what_is_no_time_is_no_time() -> None:
    found = extension({"event": "outcome", "ts": "0" * 21}, "0")
    assert "rt" not in found and found["relayShellTs"] == "0" * 21


@given(records)
@settings(max_examples=150, deadline=None)
def test_round_trip(record: dict[str, Any]) -> None:
    """Whatever the facts are: one line, seven fields, the keys of the dictionary, each value as it
    was but for what is written visibly."""
    for version in ("0", "1"):
        line = encode(record, host="host", program="1", version=version)
        assert len(line.splitlines()) == 1 and line.isprintable()
        line.encode()
        fields, pairs = parse(line)
        assert fields[0] == f"CEF:{version}" and fields[6] == str(severity(record))
        assert fields[4] == visible(plain(record["event"], 1023))
        assert fields[5] == visible(plain(name(record), 512))
        expected = extension(record, version)
        assert {key: pairs[key] for key in expected} == {
            key: visible(text, keep="\r\n") for key, text in expected.items()
        }
        assert set(pairs) - set(expected) == {"dvchost", "msg"}
        for key, text in expected.items():
            limit = KEYS.get(key)
            if limit is None:
                assert re.fullmatch(r"relayShell[A-Za-z0-9]{1,48}", key)
                limit = 4000
            assert len(text) <= limit


@pytest.mark.parametrize("trick", TRICKS)
def test_no_value_makes_a_key_or_an_event(trick: str) -> None:
    plain_keys = set(parse(encode({"event": "deny", "args": "x", "principal": "x"}))[1])
    line = encode({"event": "deny", "args": trick, "principal": trick})
    assert set(parse(line)[1]) == plain_keys
    assert len(line.splitlines()) == 1


def test_every_row_is_of_the_dictionary() -> None:
    for row in MAP.values():
        if row is not None:
            assert row.cef in KEYS and row.limit <= 4000
            assert bool(row.label) == bool(re.fullmatch(r"(cs|cn|flexString)\d", row.cef))
    keys = [row.cef for row in MAP.values() if row]
    assert len(keys) == len(set(keys))
