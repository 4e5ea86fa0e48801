"""Whether a value fits its setting; each function returns the value or says why not."""

from __future__ import annotations

import os.path
import re
from typing import Any

from .errors import ConfigError, Problem
from .table import Setting, env_name

PATTERN_LENGTH = 4096
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def fit(setting: Setting, value: Any) -> Any:
    """Return `value` as the setting keeps it (lists as tuples).

    Raises:
        ValueError: why it does not fit.
    """
    # bool is an int to Python, never to a setting.
    if setting.kind == "int":
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"must be an integer, not {_type(value)}")
        if not setting.low <= value <= setting.high:
            raise ValueError(f"must be between {setting.low} and {setting.high}, not {value}")
        return value
    if setting.kind in ("names", "patterns"):
        return _items(setting, value)
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {_type(value)}")
    if setting.kind == "choice":
        if value not in setting.choices:
            raise ValueError(f"must be one of {', '.join(setting.choices)}, not {value!r}")
        return value
    if "\0" in value or "\n" in value:
        raise ValueError("must not contain a NUL or a line break")
    if not setting.low <= len(value.encode()) <= setting.high:
        raise ValueError(f"must have {setting.low} to {setting.high} bytes")
    if setting.kind == "path" and (not value.startswith("/") or value != os.path.normpath(value)):
        raise ValueError(f"must be an absolute path without '.', '..' or '//', not {value!r}")
    return value


def _items(setting: Setting, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"must be a list of strings, not {_type(value)}")
    if not setting.low <= len(value) <= setting.high:
        raise ValueError(f"must have at most {setting.high} items, not {len(value)}")
    for at, item in enumerate(value, 1):
        if not isinstance(item, str):
            raise ValueError(f"item {at} must be a string, not {_type(item)}")
        if setting.kind == "names":
            if item not in setting.choices:
                known = ", ".join(setting.choices)
                raise ValueError(f"item {at} must be one of {known}, not {item[:64]!r}")
        else:
            _pattern(at, item)
    return tuple(value)


def _pattern(at: int, pattern: str) -> None:
    # An empty pattern is found in everything: as a deny rule an outage, as an allow rule a hole.
    if not pattern:
        raise ValueError(f"item {at} is empty and would match every command")
    if len(pattern) > PATTERN_LENGTH:
        raise ValueError(f"item {at} is longer than {PATTERN_LENGTH} characters")
    try:
        import re2
    except ImportError:
        raise ValueError(f"item {at} cannot be checked: install python3-re2") from None
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"item {at} is no RE2 pattern: {text}") from None


def from_env(setting: Setting, text: str) -> Any:
    """The value that an environment variable holds.

    A list is a TOML array, or else its items separated by commas (names) or line breaks
    (patterns, in which a comma means something).

    Raises:
        ConfigError: the text does not fit the setting.
    """
    value: Any = text
    try:
        if setting.kind == "int":
            if not _INTEGER.fullmatch(text.strip()):
                raise ValueError(f"must be an integer, not {text[:64]!r}")
            value = int(text)
        elif setting.kind in ("names", "patterns"):
            value = _list(text, "," if setting.kind == "names" else "\n")
        return fit(setting, value)
    except ValueError as error:
        raise ConfigError([Problem(env_name(setting.name), 0, str(error))]) from None


def _list(text: str, separator: str) -> Any:
    text = text.strip()
    # A bare pattern may begin with a character class; one that begins with a quote is not meant.
    if text.startswith(("[]", '["', "['")) or (separator == "," and text.startswith("[")):
        import tomllib

        try:
            return tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"is no TOML array: {error}") from None
    return [item.strip() for item in text.split(separator) if item.strip()]


def _type(value: Any) -> str:
    names = {bool: "a boolean", str: "a string", int: "an integer", float: "a float"}
    names |= {list: "a list", dict: "a table"}
    return names.get(type(value), type(value).__name__)
