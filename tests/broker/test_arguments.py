"""Arguments in the record: redacted before they are cut, and a digest of them all."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_shell.broker import arguments
from relay_shell.evidence import canonical

SECRET = "tok_" + "0123456789abcdef" * 8


def redact(value: Any) -> Any:
    """Replaces whole occurrences of one secret, as an engine would."""
    if isinstance(value, str):
        return value.replace(SECRET, "[REDACTED]")
    if isinstance(value, dict):
        return {redact(key): redact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redact(item) for item in value]
    return value


def shown(value: Any, limit: int = 4096) -> str:
    found = arguments.shown(value, redact, limit)
    text = found if isinstance(found, str) else canonical.encode(found).decode()
    assert len(text.encode()) <= limit
    return text


def test_short_arguments_are_shown_as_they_are() -> None:
    args = {"command": "df -h", "env": {"LANG": "C"}, "timeout": 5, "argv": ["a", None, True]}
    facts = arguments.describe(args, redact, 4096).facts()
    assert facts["args"] == args
    full = json.dumps(args, sort_keys=True, separators=(",", ":")).encode()
    assert facts["args_sha256"] == hashlib.sha256(full).hexdigest()
    assert facts["args_bytes"] == len(full)


def test_padding_hides_nothing_from_digest_and_length() -> None:
    short = arguments.describe({"command": "x" * 10_000 + "rm"}, redact, 4096)
    other = arguments.describe({"command": "x" * 10_000 + "ls"}, redact, 4096)
    assert short.shown == other.shown and short.sha256 != other.sha256
    assert short.length == len('{"command":""}') + 10_002


@pytest.mark.parametrize("pad", [0, 3000, 4000, 4090, 16_000, 18_400, 18_430, 20_000, 500_000])
def test_no_cut_lays_a_secret_bare(pad: int) -> None:
    for value in (
        {"command": "x" * pad + SECRET + "y" * 50_000},
        {"argv": ["x" * pad, SECRET, "y" * 50_000]},
        {"env": {"A": "x" * pad, "B" + SECRET: SECRET}},
        # Redaction shortens the text, and so moves what follows into view.
        {"command": (SECRET + " ") * 300 + "x" * pad + SECRET},
        {"command": (SECRET + " ") * 3000},
    ):
        text = shown(value)
        for size in range(12, len(SECRET)):
            assert SECRET[:size] not in text, f"{size} characters of the secret are shown"


def test_many_small_items_are_bounded() -> None:
    text = shown({"argv": ["a"] * 1_000_000})
    assert len(text) <= 4096
    text = shown({f"k{n}": n for n in range(100_000)})
    assert len(text) <= 4096


@pytest.mark.parametrize(
    "command",
    [
        "df -h",
        "systemctl status nginx --no-pager",
        "journalctl -u ssh --since '1 hour ago' | grep -i fail | sort | uniq -c | tail -n 20",
        'cd /srv && for f in *.log; do grep -c ERR "$f" > /dev/null || echo "$f"; done',
    ],
)
def test_what_agents_usually_send_is_light(command: str) -> None:
    assert arguments.cost({"command": command, "timeout": 60}, 10**6) <= arguments.LIGHT


@pytest.mark.parametrize(
    "args",
    [
        {"command": "{a,b}{a,b}{a,b}{a,b}{a,b}"},
        {"command": "echo {1..9999}"},
        {"command": "a;" * 100},
        {"command": "eval " * 100},
        {"script": "x" * 20_000},
        {"argv": [""] * 10_000},
        {"x" * 20_000: 1},
        {"a": {"b": [{"c": "x" * 20_000}]}},
    ],
)
def test_what_could_be_costly_is_not_light(args: dict[str, Any]) -> None:
    assert arguments.cost(args, arguments.LIGHT) > arguments.LIGHT


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(st.dictionaries(st.text(), json_values), st.integers(256, 1024))
@settings(max_examples=60, deadline=None)
def test_anything_that_json_can_say_is_described(args: dict[str, Any], limit: int) -> None:
    facts = arguments.describe(args, redact, limit)
    assert len(facts.sha256) == 64 and facts.length > 0
    text = facts.shown if isinstance(facts.shown, str) else canonical.encode(facts.shown)
    assert len(text.encode() if isinstance(text, str) else text) <= limit


@given(st.dictionaries(st.text(), json_values), st.integers(0, 2100), st.integers(256, 1024))
@settings(max_examples=60, deadline=None)
def test_what_is_short_is_shown_as_what_is_looked_through(
    args: dict[str, Any], pad: int, limit: int
) -> None:
    args = {**args, "pad": ["x" * pad, SECRET]}
    known = arguments.shown(args, redact, limit, canonical.encode(args))
    assert canonical.encode(known) == canonical.encode(arguments.shown(args, redact, limit))


@pytest.mark.parametrize("count", [2040, 2044, 2046, 2047, 2048, 2049, 3000])
def test_items_are_counted_where_the_text_is_short_as_well(count: int) -> None:
    for value in ([1] * count, [[]] * (count // 2), {"a": [0] * (count - 1)}):
        args = {"argv": value}
        known = arguments.shown(args, redact, 65_536, canonical.encode(args))
        assert known == arguments.shown(args, redact, 65_536)
