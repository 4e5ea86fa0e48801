"""A quick yes to arguments that certainly fit a tool's schema (JSON Schema 2020-12).

Most calls have nothing wrong, and a full validator takes 35 µs to say so. Only what fits is known
here: anything else, and any schema with a keyword that is not below, is the validator's to judge
and to explain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

_COMMENTS = {"title", "description"}


def compile_schema(schema: Mapping[str, Any]) -> Check | None:
    """A check that is true only of values that the schema allows; None for a schema it cannot."""
    make = _MAKERS.get(str(schema.get("type")))
    return None if make is None else make(schema)


def _text(schema: Mapping[str, Any]) -> Check | None:
    if not _known(schema, {"type", "minLength", "maxLength", "enum"}):
        return None
    least, most = schema.get("minLength", 0), schema.get("maxLength", float("inf"))
    names = schema.get("enum")
    if names is not None:
        return lambda value: type(value) is str and value in names and least <= len(value) <= most
    return lambda value: type(value) is str and least <= len(value) <= most


def _number(schema: Mapping[str, Any]) -> Check | None:
    if not _known(schema, {"type", "minimum", "maximum", "exclusiveMinimum"}):
        return None
    kinds = (int,) if schema["type"] == "integer" else (int, float)
    least, most = schema.get("minimum", -float("inf")), schema.get("maximum", float("inf"))
    above = schema.get("exclusiveMinimum", -float("inf"))
    # type() and not isinstance: a boolean is an int to Python and no number to JSON Schema.
    return lambda value: type(value) in kinds and least <= value <= most and value > above


def _boolean(schema: Mapping[str, Any]) -> Check | None:
    return (lambda value: type(value) is bool) if _known(schema, {"type"}) else None


def _array(schema: Mapping[str, Any]) -> Check | None:
    item = compile_schema(schema.get("items", {}))
    if item is None or not _known(schema, {"type", "items", "minItems", "maxItems"}):
        return None
    least, most = schema.get("minItems", 0), schema.get("maxItems", float("inf"))
    return lambda value: (
        type(value) is list and least <= len(value) <= most and all(map(item, value))
    )


def _object(schema: Mapping[str, Any]) -> Check | None:
    known = {"type", "properties", "required", "additionalProperties", "maxProperties"}
    if not _known(schema, known):
        return None
    checks = {name: compile_schema(each) for name, each in schema.get("properties", {}).items()}
    others = schema.get("additionalProperties", True)
    other = _ANY[others] if isinstance(others, bool) else compile_schema(others)
    if other is None or None in checks.values():
        return None
    required = frozenset(schema.get("required", ()))
    most = schema.get("maxProperties", float("inf"))

    def check(value: Any) -> bool:
        if type(value) is not dict or len(value) > most or not required <= value.keys():
            return False
        return all((checks.get(name) or other)(each) for name, each in value.items())

    return check


_ANY: dict[bool, Check] = {True: lambda value: True, False: lambda value: False}


def _known(schema: Mapping[str, Any], keywords: set[str]) -> bool:
    return schema.keys() <= keywords | _COMMENTS


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Check | None]] = {
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
}
