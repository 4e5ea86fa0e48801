"""Frames survive packetising, and no octets whatever can do more than fail as Protocol."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.wire.errors import RelayError
from relay_shell.wire.frame import FIRST, LAST, MAX_DEPTH, PAYLOAD, Decoder, encode

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def decode(packets: list[bytes]) -> list[dict[str, object]]:
    """Feed every packet to one decoder and collect the frames."""
    decoder = Decoder()
    return [frame for packet in packets if (frame := decoder.feed(packet)) is not None]


@given(st.dictionaries(st.text(), json_values, max_size=6))
def test_round_trip(frame: dict[str, object]) -> None:
    """What is encoded comes out again."""
    assert decode(encode(frame)) == [frame]


def test_long_frame_is_a_run_of_packets() -> None:
    """A frame over one payload is split, and each packet stays inside the bound."""
    frame = {"m": "x", "b": {"text": "é" * 100_000}}
    packets = encode(frame)
    assert [p[0] for p in packets] == [FIRST, 0, 0, LAST]
    assert max(map(len, packets)) <= PAYLOAD + 1
    assert decode(packets) == [frame]


def test_reader_that_joins_midway_drops_the_tail() -> None:
    """A restarted front that inherits a connection skips the frame its predecessor began."""
    long, short = encode({"b": "x" * 200_000}), encode({"b": "short"})
    assert decode(long[2:] + short) == [{"b": "short"}]


def test_writer_that_died_midway_is_forgotten() -> None:
    """The first packet of a new writer discards what the old one left unfinished."""
    assert decode(encode({"b": "x" * 200_000})[:2] + encode({"b": "new"})) == [{"b": "new"}]


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_any_octets(packets: list[bytes]) -> None:
    """Arbitrary packets give frames that are objects, or the one error."""
    try:
        frames = decode(packets)
    except RelayError as error:
        assert error.kind == "Protocol"
    else:
        assert all(isinstance(frame, dict) for frame in frames)


@given(st.binary(max_size=400))
def test_any_json_octets(data: bytes) -> None:
    """Arbitrary octets behind a valid flag give an object or the one error."""
    try:
        frame = Decoder().feed(b"\x03" + data)
    except RelayError as error:
        assert error.kind == "Protocol"
    else:
        assert isinstance(frame, dict)
        assert json.loads(data) == frame


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}",
        b'{"a":' + b"9" * 10_000 + b"}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"[]",
        b"",
    ],
    ids=["objects", "arrays", "just-over", "digits", "nan", "infinity", "array", "empty"],
)
def test_hostile_json(data: bytes) -> None:
    """Nesting, numbers and types that JSON or Python's decoder allow too much of."""
    decoder = Decoder()
    with pytest.raises(RelayError, match="Protocol"):
        for at in range(0, max(len(data), 1), PAYLOAD):
            flags = (FIRST if at == 0 else 0) | (LAST if at + PAYLOAD >= len(data) else 0)
            decoder.feed(bytes([flags]) + data[at : at + PAYLOAD])


def test_frame_over_the_limit_frees_what_it_held() -> None:
    """An endless frame stops at the limit, and the decoder goes on with the next one."""
    decoder = Decoder(limit=100_000)
    decoder.feed(bytes([FIRST]) + b"x" * 60_000)
    with pytest.raises(RelayError, match="over 100000"):
        decoder.feed(b"\x00" + b"x" * 60_000)
    assert decoder.feed(encode({"ok": 1})[0]) == {"ok": 1}


def test_lone_surrogate_is_replaced() -> None:
    """Text that is not encodable as UTF-8 must not break the link."""
    assert decode(encode({"a": "x\ud800y"})) == [{"a": "x?y"}]


def test_too_large_to_send() -> None:
    """The sender learns of an oversized frame; the peer never sees a part of it."""
    with pytest.raises(RelayError, match="is over"):
        encode({"a": "x" * 20_000_000})
