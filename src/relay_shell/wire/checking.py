"""Whether a body is what the table says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import RelayError
from .messages import TABLE, Field

_SIZED = frozenset({str, dict, list})

_needed: dict[int, frozenset[str]] = {
    id(fields): frozenset(key for key, field in fields.items() if field.required)
    for row in TABLE.values()
    for fields in (row.body, row.reply)
    if fields is not None
}
"""The fields that each body must have, by the identity of its row, which the table keeps."""


def check(name: str, body: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Validate a body against its row and return it.

    Raises:
        RelayError: kind Protocol, for a missing, unknown, mistyped or oversized field.
    """
    if not isinstance(body, dict):
        raise RelayError("Protocol", reason=f"{name}: the body is not an object")
    for key, value in body.items():
        field = fields.get(key)
        if field is None:
            raise RelayError("Protocol", reason=f"{name}: unknown field {key[:64]!r}")
        kind = type(value)
        if kind is field.type and kind in _SIZED and len(value) <= field.size:
            continue
        if not _fits(value, field):
            raise RelayError("Protocol", reason=f"{name}: field {key!r} is mistyped or too large")
    if len(body) < len(fields) and not body.keys() >= _needed.get(id(fields), fields.keys()):
        for key, field in fields.items():
            if field.required and key not in body:
                raise RelayError("Protocol", reason=f"{name}: field {key!r} is missing")
    return body


def _fits(value: Any, field: Field) -> bool:
    # bool is an int to Python, never to this table.
    if isinstance(value, bool):
        return field.type is bool
    typed = isinstance(value, field.type)
    # A NaN compares false and so does not fit.
    return typed and bool((abs(value) if type(value) in (int, float) else len(value)) <= field.size)
