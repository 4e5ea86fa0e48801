"""JSON without blanks, by an encoder and a decoder that are made once.

`json.JSONEncoder.encode` makes its C encoder anew for each value, and `json.JSONDecoder.decode`
looks for blanks before and after each: half the cost of a short value.
"""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable
from typing import Any

_make: Any = getattr(json.encoder, "c_make_encoder", None)
"""As `iterencode` of Python 3.11 to 3.13 calls it; the module documents nothing of it."""


def encoder(*, sort_keys: bool = False, allow_nan: bool = True) -> Callable[[Any], str]:
    """What encodes values that come from JSON, or are made for it, and so hold no cycle.

    It raises as `json.JSONEncoder` does: TypeError for a type that JSON lacks; ValueError, without
    `allow_nan`, for NaN and the infinities; RecursionError for what is nested too deeply.
    """
    plain = json.JSONEncoder(
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=allow_nan,
        check_circular=False,
        sort_keys=sort_keys,
    )
    try:
        run = _make(
            None, plain.default, json.encoder.encode_basestring, None,
            ":", ",", sort_keys, False, allow_nan,
        )  # fmt: skip
    except TypeError:
        return plain.encode
    join = "".join
    return lambda value: join(run(value, 0))


def _no_constant(name: str) -> object:
    # RFC 8259 has no NaN and no Infinity; Python's decoder would take them.
    raise ValueError(name)


_decoder = json.JSONDecoder(parse_constant=_no_constant)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]


def decode(text: str) -> Any:
    """The value of a JSON text (RFC 8259).

    Raises:
        ValueError: it is none. RecursionError: it is nested too deeply.
    """
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        end = -1
    # Blanks around it, or what is wrong with it, are found by the slower way.
    return value if end == len(text) else _decoder.decode(text)
