"""What is made once gives what the json module gives."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.wire import compact
from relay_shell.wire.compact import decode, encoder

TEXT = st.text(st.characters(), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXT | st.integers() | st.booleans(), inner, max_size=4)
    ),
    max_leaves=12,
)


def plain(**options: Any) -> json.JSONEncoder:
    return json.JSONEncoder(
        ensure_ascii=False, separators=(",", ":"), check_circular=False, **options
    )


def told(encode: Any, value: object) -> tuple[str, str]:
    """What an encoder answers, or the kind of its refusal."""
    try:
        return "text", encode(value)
    except (TypeError, ValueError) as error:
        return "refused", type(error).__name__


@given(VALUES, st.booleans(), st.booleans())
def test_it_encodes_as_the_module_does(value: object, sort_keys: bool, allow_nan: bool) -> None:
    expected = told(plain(sort_keys=sort_keys, allow_nan=allow_nan).encode, value)
    assert told(encoder(sort_keys=sort_keys, allow_nan=allow_nan), value) == expected


@pytest.mark.parametrize("value", ["text", "\ud800", 1, 1.5, True, None, [], {}, "€"])
def test_a_value_need_not_be_an_object(value: object) -> None:
    assert encoder()(value) == plain().encode(value)


def test_what_json_lacks_is_refused() -> None:
    with pytest.raises(TypeError):
        encoder()({"bytes": b"x"})
    with pytest.raises(ValueError, match="not JSON compliant"):
        encoder(allow_nan=False)([math.nan])


def test_nesting_without_end_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(RecursionError):
        encoder()(value)


@pytest.mark.parametrize("made", [None, lambda: None])
def test_another_version_of_the_module_is_used_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, made: object
) -> None:
    monkeypatch.setattr(compact, "_make", made)
    assert encoder(sort_keys=True)({"b": 1, "a": [None]}) == '{"a":[null],"b":1}'


def _refused(name: str) -> object:
    raise ValueError(name)


def parsed(text: str, decoder: Any) -> tuple[str, str]:
    """What a decoder answers, or its refusal."""
    try:
        return "value", repr(decoder(text))
    except ValueError as error:
        return "refused", repr(error)


BLANK = st.text(" \t\r\n", max_size=2)
JSON = st.builds(json.dumps, VALUES)
TEXTS = (
    st.builds("{}{}{}".format, BLANK, JSON, BLANK)
    | st.builds(lambda text, end: text[:end], JSON, st.integers(0, 20))
    | st.builds("{}{}".format, JSON, JSON)
    | st.text('{}[]",:0123456789eE+-.truefalsnNIity\\u \n', max_size=16)
)


@given(TEXTS)
def test_it_decodes_as_the_module_does(text: str) -> None:
    assert parsed(text, decode) == parsed(text, json.JSONDecoder(parse_constant=_refused).decode)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        (" ", "Expecting value"),
        ("NaN", "NaN"),
        ("[Infinity]", "Infinity"),
        ("1 2", "Extra data"),
        ("{}x", "Extra data"),
        ('{"a":1', "Expecting ',' delimiter"),
        ("\ufeff{}", "Expecting value"),
    ],
)
def test_what_is_no_json_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decode(text)
