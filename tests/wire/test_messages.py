"""The table is closed: what it does not list is refused, and its rows are sound."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.wire.checking import check
from relay_shell.wire.errors import RelayError
from relay_shell.wire.messages import TABLE, Field

ROLES = {"front", "broker", "worker", "observer", "operator"}
FIELDS = {
    "s": Field(str, 4),
    "i": Field(int, 100),
    "b": Field(bool, 1),
    "l": Field(list, 2, False),
    "f": Field((int, float), 10, False),
}
GOOD: dict[str, Any] = {"s": "abcd", "i": -100, "b": False}


def test_rows_are_sound() -> None:
    """Roles exist, descriptors ride on requests only, a hello is a request."""
    for name, row in TABLE.items():
        assert {row.sender, row.receiver} <= ROLES, name
        assert row.sender != row.receiver, name
        assert row.reply is not None or not (row.fds or row.hello), name


def test_each_role_has_one_hello_a_peer() -> None:
    """A link's first message is unambiguous."""
    hellos = [(row.sender, row.receiver) for row in TABLE.values() if row.hello]
    assert len(hellos) == len(set(hellos))


def test_each_field_that_a_row_needs_is_missed_by_its_name() -> None:
    kinds = {str: "x", int: 1, bool: True, list: [], dict: {}, (int, float): 1}
    for name, row in TABLE.items():
        for fields in filter(None, (row.body, row.reply)):
            whole = {key: kinds[field.type] for key, field in fields.items()}
            assert check(name, whole, fields) is whole
            needed = {key: whole[key] for key, field in fields.items() if field.required}
            assert check(name, needed, fields) is needed
            for key in needed:
                # As many as are needed, but one of them another.
                lacking = {other: value for other, value in whole.items() if other != key}
                with pytest.raises(RelayError, match=f"field '{key}' is missing"):
                    check(name, lacking, fields)


def test_good_body() -> None:
    """Bounds are inclusive."""
    assert check("x", GOOD, FIELDS) is GOOD
    assert check("x", GOOD | {"f": -10.0, "l": [1, 2]}, FIELDS)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"s": "abcde"}, "too large"),
        ({"s": 1}, "mistyped"),
        ({"i": 101}, "too large"),
        ({"i": -101}, "too large"),
        ({"i": True}, "mistyped"),
        ({"i": 1.0}, "mistyped"),
        ({"b": 1}, "mistyped"),
        ({"l": [1, 2, 3]}, "too large"),
        ({"l": None}, "mistyped"),
        ({"f": math.nan}, "too large"),
        ({"f": math.inf}, "too large"),
        ({"extra": 1}, "unknown"),
    ],
)
def test_bad_body(change: dict[str, Any], word: str) -> None:
    """Each way of missing the table is named."""
    with pytest.raises(RelayError, match=word):
        check("x", GOOD | change, FIELDS)


def test_missing_field() -> None:
    """A required field may not be left out."""
    with pytest.raises(RelayError, match="'s' is missing"):
        check("x", {"i": 1, "b": True}, FIELDS)


@given(
    st.sampled_from(sorted(TABLE)),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ),
)
def test_any_body(name: str, body: object) -> None:
    """No value makes the check do anything but pass it or raise Protocol."""
    try:
        check(name, body, TABLE[name].body)
    except RelayError as error:
        assert error.kind == "Protocol"
