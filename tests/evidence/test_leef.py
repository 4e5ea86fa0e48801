"""LEEF, read back by a parser that follows IBM's description and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.hostile import TRICKS, records
from relay_shell.evidence.leef import TAB, attributes, delimiter, encode
from relay_shell.evidence.siem import MAP, visible

PREDEFINED = set(
    "cat devTime devTimeFormat proto sev src dst srcPort dstPort srcPreNAT dstPreNAT srcPostNAT "
    "dstPostNAT usrName srcMAC dstMAC srcPreNATPort dstPreNATPort srcPostNATPort dstPostNATPort "
    "identSrc identHostName identNetBios identGrpName identMAC vSrc vSrcName accountName srcBytes "
    "dstBytes srcPackets dstPackets totalPackets role realm policy resource url groupID domain "
    "isLoginEvent isLogoutEvent calLanguage calCountryOrRegion".split()
)


def parse(line: str) -> tuple[list[str], dict[str, str]]:
    """The header's fields and the attributes. A delimiter field is one character, or x or 0x and
    one to four hexadecimal digits; LEEF 1.0 has none, and its attributes are divided by tabs."""
    version = line.split("|", 1)[0].removeprefix("LEEF:")
    count = {"1.0": 5, "2.0": 6}[version]
    *fields, body = line.split("|", count)
    between = TAB
    if version == "2.0":
        found = re.fullmatch(r"0?x([0-9A-Fa-f]{1,4})", fields[5])
        between = chr(int(found[1], 16)) if found else fields[5]
        assert len(between) == 1
    pairs: dict[str, str] = {}
    for pair in body.split(between):
        key, sign, text = pair.partition("=")
        assert sign and key not in pairs
        pairs[key] = text
    return fields, pairs


RECORD: dict[str, Any] = {
    "seq": 7,
    "ts": "2026-01-31T12:00:00.123456Z",
    "event": "deny",
    "principal": "unix:alice",
    "tier": 3,
    "address": "2001:db8::1",
    "args": {"command": "a\tb ^ c"},
}


def test_one_record() -> None:
    line = encode(RECORD, host="web1", program="0.1.0")
    fields, pairs = parse(line)
    assert fields == ["LEEF:2.0", "relay-shell", "relay-shell", "0.1.0", "deny", "x09"]
    assert pairs["usrName"] == "unix:alice" and pairs["sev"] == "8" and pairs["cat"] == "deny"
    assert pairs["devTime"] == "2026-01-31T12:00:00.123+0000"
    assert pairs["devTimeFormat"] == "yyyy-MM-dd'T'HH:mm:ss.SSSZ"
    assert pairs["src"] == "2001:db8::1"
    assert pairs["arguments"] == r'{"command":"a\tb ^ c"}'
    assert pairs["deviceHostName"] == "web1"


def test_versions_and_delimiters() -> None:
    old = encode(RECORD, version="1.0", between="^")
    assert old.startswith("LEEF:1.0|relay-shell|relay-shell||deny|sev=8\tname=")
    caret = encode(RECORD, between=delimiter("x5e"))
    assert caret.startswith("LEEF:2.0|relay-shell|relay-shell||deny|^|sev=8^name=")
    assert parse(caret)[1]["arguments"] == r'{"command":"a\tb \x5e c"}'
    assert parse(caret)[1].keys() == parse(old)[1].keys()


@pytest.mark.parametrize(
    ("text", "char"),
    [("^", "^"), ("x09", "\t"), ("0x5E", "^"), ("x7E", "~"), ("#", "#"), ("\t", "\t")],
)
def test_delimiter(text: str, char: str) -> None:
    assert delimiter(text) == char


@pytest.mark.parametrize(
    "text",
    ["", "ab", "=", "|", "\\", "x", "a", "7", " ", "x0A", "0x0d", "x61", "x2028", "xé", "é", "x00"],
)
def test_no_delimiter(text: str) -> None:
    with pytest.raises(ValueError, match="cannot delimit"):
        delimiter(text)


@given(records, st.sampled_from([("1.0", TAB), ("2.0", TAB), ("2.0", "^"), ("2.0", ";")]))
@settings(max_examples=200, deadline=None)
def test_round_trip(record: dict[str, Any], form: tuple[str, str]) -> None:
    version, between = form
    line = encode(record, host="host", program="1", version=version, between=between)
    assert len(line.splitlines()) == 1 and line.replace(TAB, "").isprintable()
    line.encode()
    fields, pairs = parse(line)
    assert fields[1:4] == ["relay-shell", "relay-shell", "1"]
    assert fields[4] == visible(
        record["event"][:255] if len(record["event"]) < 256 else ""
    ).replace("|", "\\x7c")
    expected = attributes(record)
    shown = {key: visible(text) for key, text in expected.items()}
    if between != TAB:
        escape = f"\\x{ord(between):02x}"
        shown = {key: text.replace(between, escape) for key, text in shown.items()}
    assert {key: pairs[key] for key in expected} == shown
    assert set(pairs) - set(expected) == {"deviceHostName", "msg"}
    assert all(re.fullmatch(r"[A-Za-z0-9]{1,64}", key) for key in pairs)
    assert 1 <= int(pairs["sev"]) <= 10


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("between", [TAB, "^"])
def test_no_value_makes_a_key_or_an_event(trick: str, between: str) -> None:
    quiet = set(parse(encode({"event": "deny", "args": "x", "principal": "x"}))[1])
    line = encode({"event": "deny", "args": trick, "principal": trick}, between=between)
    assert set(parse(line)[1]) == quiet
    assert len(line.splitlines()) == 1


def test_own_keys_are_not_predefined_ones() -> None:
    from relay_shell.evidence.record import FIELDS
    from relay_shell.evidence.siem import camel

    assert {camel(name) for name in FIELDS if name not in MAP}.isdisjoint(PREDEFINED)
    keys = [row.leef for row in MAP.values() if row]
    assert len(keys) == len(set(keys))
