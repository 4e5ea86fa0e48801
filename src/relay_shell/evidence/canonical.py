"""Bytes for JSON: the same facts are always the same bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..wire.compact import encoder
from .record import ORDER

_record = encoder(allow_nan=False)
_sorted = encoder(allow_nan=False, sort_keys=True)

_SHAPES = 512
_orders: dict[tuple[str, ...], tuple[str, ...]] = {}
"""The order of the table for the names that records were given with; there are few such sets."""


def encode(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no blanks, UTF-8, nothing escaped that need not be.

    A lone surrogate, which UTF-8 cannot hold, is its JSON escape; NaN and the infinities, which
    JSON lacks but some parsers accept, are the strings that name them.

    Raises:
        TypeError: a type that JSON lacks.
    """
    try:
        text = _sorted(value)
    except ValueError:
        text = _sorted(_finite(value))
    return text.encode("utf-8", "backslashreplace")


def body(facts: Mapping[str, Any], prev: str) -> bytes:
    """A record without its chain: the facts in the order of the table, then `prev`.

    Keys inside a fact keep their order, so that parsing and encoding again gives these bytes.
    """
    given = tuple(facts)
    names = _orders.get(given)
    if names is None:
        names = tuple(name for name in ORDER if name in facts)
        if len(_orders) < _SHAPES:
            _orders[given] = names
    ordered = {name: facts[name] for name in names}
    ordered["prev"] = prev
    try:
        text = _record(ordered)
    except ValueError:
        text = _record(_finite(ordered))
    return text.encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
