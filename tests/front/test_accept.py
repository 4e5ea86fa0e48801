"""The quick check of arguments: it may only say yes where the validator finds no fault."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from relay_shell.front.accept import compile_schema
from relay_shell.tools.registry import TOOLS

JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values near the schema: most of them fit, and each bound is met from both sides."""
    kind = schema["type"]
    if kind == "string":
        if "enum" in schema:
            return st.sampled_from([*schema["enum"], "other"])
        most = schema.get("maxLength", 4)
        return st.one_of(st.text(max_size=4), st.sampled_from(["a" * most, "ä" * (most + 1)]))
    if kind in ("integer", "number"):
        ends = [schema[k] for k in ("minimum", "maximum", "exclusiveMinimum") if k in schema]
        near = [end + step for end in ends for step in (-1, 0, 1, 0.5, 1.0)]
        return st.one_of(st.sampled_from([*near, 7, 2.0]), st.booleans())
    if kind == "boolean":
        return st.booleans()
    if kind == "array":
        return st.lists(fitting(schema["items"]), max_size=3)
    names = schema.get("properties", {})
    some = {name: fitting(each) for name, each in names.items()}
    wanted = {name: some.pop(name) for name in schema.get("required", [])}
    given = st.fixed_dictionaries(wanted, optional=some)
    more = schema.get("additionalProperties", True)
    each = JSON if more is True else fitting(more) if more else st.nothing()
    others = st.dictionaries(st.text(max_size=3), each, max_size=3)
    return st.builds(lambda a, b: {**b, **a}, given, others)


@pytest.mark.parametrize("name", sorted(TOOLS))
@settings(deadline=None)
@given(data=st.data())
def test_yes_only_where_the_validator_finds_nothing(name: str, data: st.DataObject) -> None:
    schema = TOOLS[name].input_schema
    accepts = compile_schema(schema)
    assert accepts is not None, "each tool's schema has only keywords that are known"
    args = data.draw(st.one_of(fitting(schema), fitting(schema), JSON))
    if isinstance(args, dict) and data.draw(st.booleans()):
        args = {**args, **data.draw(st.dictionaries(st.sampled_from(sorted(args) or ["x"]), JSON))}
    valid = Draft202012Validator(schema).is_valid(args)
    assert valid or not accepts(args)
    # Only an integer that is written as 2.0 is left to the validator.
    assert accepts(args) == valid or any(isinstance(value, float) for value in dict(args).values())


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": ["string", "null"]},
        {"type": "string", "pattern": "a"},
        {"type": "integer", "multipleOf": 2},
        {"type": "boolean", "const": True},
        {"type": "array"},
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        {"type": "object", "additionalProperties": False, "properties": {"a": {}}},
        {"type": "object", "additionalProperties": False, "minProperties": 1},
        {"anyOf": [{"type": "string"}]},
    ],
)
def test_a_schema_with_anything_else_is_the_validators(schema: dict[str, Any]) -> None:
    assert compile_schema(schema) is None
