"""The same facts are the same bytes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from relay_shell.evidence.canonical import body, encode
from relay_shell.evidence.chain import link, parse, seal

TEXT = st.text(st.characters(categories=None), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def test_keys_are_sorted_and_nothing_is_escaped_in_vain() -> None:
    value = {"b": [1, True, None], "a": 'ä\n"\u2028', "Z": {"y": 1.5, "x": "\ud800"}}
    expected = r'{"Z":{"x":"\ud800","y":1.5},"a":"ä\n\"' + '\u2028","b":[1,true,null]}'
    assert encode(value) == expected.encode()


def test_what_json_lacks_is_named() -> None:
    value = {"a": [float("nan"), float("inf")], "b": float("-inf")}
    assert encode(value) == b'{"a":["nan","inf"],"b":"-inf"}'


@given(JSON)
def test_encoding_is_stable_and_says_the_same(value) -> None:
    data = encode(value)
    assert b"\n" not in data
    again = json.loads(data)
    assert encode(again) == data
    shuffled = dict(reversed(value.items())) if isinstance(value, dict) else value
    assert encode(shuffled) == data


@given(st.dictionaries(TEXT, JSON, max_size=4), TEXT)
def test_a_line_parsed_and_encoded_again_is_the_line(args, client) -> None:
    facts = {"client": client, "args": args, "event": "intent", "v": 1, "seq": 7, "ts": "T"}
    line, value = seal("ab" * 32, body(facts, "ab" * 32))
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    found = link(line[:-1])
    assert found is not None and (found.seq, found.chain) == (7, value)
    record = parse(line)
    assert record is not None and record.pop("chain") == value
    assert seal("ab" * 32, body(record, "ab" * 32))[0] == line
