"""Any octets at all: a message, or an error that can be answered."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.front import jsonrpc
from relay_shell.front.jsonrpc import Malformed, Message, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


def verdict(line: bytes) -> Message | None:
    """Parse, and check that a refusal can be sent and has a code of JSON-RPC."""
    try:
        return parse(line)
    except Malformed as fault:
        assert fault.code in (-32700, -32600, -32602)
        answer = json.loads(jsonrpc.error(fault.ident, fault.code, fault.message))
        assert answer["id"] is None or jsonrpc.is_id(answer["id"])
        return None


@given(st.binary(max_size=300))
def test_any_octets(line: bytes) -> None:
    verdict(line)


@given(VALUES)
def test_any_json(value: object) -> None:
    verdict(json.dumps(value).encode())


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "jsonrpc": st.just("2.0") | VALUES,
            "id": st.integers() | st.text(max_size=10) | VALUES,
            "method": st.text(max_size=10) | VALUES,
            "params": st.dictionaries(st.text(max_size=5), VALUES, max_size=3) | VALUES,
            "result": VALUES,
            "error": VALUES,
        },
    )
)
def test_almost_requests(value: object) -> None:
    message = verdict(json.dumps(value).encode())
    if message is not None:
        assert isinstance(message.method, str)
        assert message.params is None or isinstance(message.params, dict)


def test_depth_and_count_are_bounded() -> None:
    def nested(depth: int) -> bytes:
        inner = b'{"a":' * depth + b"1" + b"}" * depth
        return b'{"jsonrpc":"2.0","id":1,"method":"m","params":' + inner + b"}"

    assert parse(nested(jsonrpc.MAX_DEPTH - 2)) is not None
    with pytest.raises(Malformed, match="deeper"):
        parse(nested(jsonrpc.MAX_DEPTH))
    many = b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":[' + b"0," * jsonrpc.MAX_VALUES
    with pytest.raises(Malformed, match="values"):
        parse(many + b"0]}}")
    # Commas and brackets of a text are no values.
    text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"a": ",[{" * 100_000}})
    assert parse(text.encode()) is not None


def test_what_is_sent_is_always_valid() -> None:
    line = jsonrpc.result(1, {"text": "\ud800", "number": float("inf"), "\udfff": [float("nan")]})
    answer = json.loads(line.decode("utf-8", "strict"), parse_constant=pytest.fail)
    assert answer["result"]["number"] is None
