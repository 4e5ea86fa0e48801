"""Streams: any split gives the bytes of the whole, and little is held back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redaction_texts import long_texts, texts

from relay_shell.secrets import default
from relay_shell.secrets.rules import fill, shipped
from relay_shell.secrets.scan import WINDOW


def pieces(data: bytes, sizes: list[int], keep: bool = True) -> tuple[bytes, dict[str, int]]:
    stream = default(keep).stream()
    out, index = [], 0
    for size in sizes:
        out.append(stream.feed(data[index : index + size]))
        index += size
    out += [stream.feed(data[index:]), stream.finish()]
    return b"".join(out), stream.counts


@settings(max_examples=800, deadline=None)
@given(texts, st.lists(st.integers(0, 40), max_size=40), st.booleans())
def test_any_split_gives_the_whole(text: str, sizes: list[int], keep: bool) -> None:
    data = text.encode()
    whole = default(keep).data(data)
    assert pieces(data, sizes, keep) == (whole.data, whole.counts)


@settings(max_examples=400, deadline=None)
@given(long_texts, st.lists(st.integers(0, 700), max_size=12), st.booleans())
def test_any_split_of_long_runs_gives_the_whole(text: str, sizes: list[int], keep: bool) -> None:
    data = text.encode()
    whole = default(keep).data(data)
    assert pieces(data, sizes, keep) == (whole.data, whole.counts)
    assert default(keep).data(whole.data).data == whole.data


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), texts, st.binary(max_size=50), st.lists(st.integers(0, 60)))
def test_any_bytes_pass(head: bytes, text: str, tail: bytes, sizes: list[int]) -> None:
    data = head + text.encode() + tail
    whole = default().data(data)
    assert pieces(data, sizes) == (whole.data, whole.counts)
    assert default().text(data.decode("utf-8", "replace")).text is not None


@settings(max_examples=300, deadline=None)
@given(texts)
def test_byte_by_byte_gives_the_whole(text: str) -> None:
    data = text.encode()
    whole = default().data(data)
    assert pieces(data, [1] * len(data)) == (whole.data, whole.counts)


@pytest.mark.parametrize("rule", shipped(), ids=lambda rule: rule.name)
def test_every_shape_split_at_every_place(rule: object) -> None:
    data = f"$ {rule.synthetic()}\n$ ".encode()  # type: ignore[attr-defined]
    whole = default().data(data).data
    step = max(1, len(data) // 40)
    for cut in range(0, len(data), step):
        assert pieces(data, [cut])[0] == whole


def test_a_key_over_many_pieces_leaves_no_line() -> None:
    lines = [fill("⟦b64⟧", str(number)) for number in range(40)]
    block = "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----", "done"])
    rng = random.Random(7)
    for _ in range(20):
        shown, counts = pieces(block.encode(), [rng.randrange(90) for _ in range(60)])
        assert not any(line.encode() in shown for line in lines)
        assert shown.endswith(b"-----END PRIVATE KEY-----\ndone")
        assert counts == {"private-key-block": 1}


def test_a_key_without_end_is_gone_to_the_last_letter() -> None:
    lines = [fill("⟦b64⟧", str(number)) for number in range(10)]
    text = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "\n".join(lines)
    shown, _ = pieces(text.encode(), [50, 50, 1, 1, 200])
    assert shown.split(b"-----\n")[1].strip(b"\n") == b"[REDACTED:private-key-block]"


def test_a_prompt_is_not_held_back() -> None:
    for prompt in (b"[sudo] password for root: ", b"Password: ", b"user@host:~$ ", b"Token? "):
        assert default().stream().feed(prompt) == prompt


def test_hold_back_is_bounded() -> None:
    stream = default().stream()
    for _ in range(2000):
        stream.feed(b"x1" * 50)
        assert stream.pending <= WINDOW
    stream = default().stream()
    stream.feed(b"password=")
    for _ in range(200):
        stream.feed(b"x1" * 50)
        assert stream.pending <= 2 * WINDOW
    assert stream.finish() == b""
    assert stream.counts == {"password-value": 1}


def test_flush_releases_what_is_no_secret_and_keeps_what_is() -> None:
    stream = default().stream()
    assert stream.feed(b"name: ghp") + stream.flush() == b"name: ghp"
    token = fill("⟦A36⟧").encode()
    stream = default().stream()
    assert token not in stream.feed(b"ghp_" + token) + stream.flush()
    rest = stream.feed(b" tail") + stream.finish()
    assert token not in rest and rest.endswith(b" tail")


def test_flush_within_a_secret_still_redacts_the_rest() -> None:
    stream = default().stream()
    head = stream.feed(b"ghp_abc") + stream.flush()
    body = fill("⟦A33⟧").encode()
    rest = stream.feed(body + b"\n") + stream.finish()
    assert head == b"ghp_abc" and body not in rest
    assert rest == b"[REDACTED:github-pat]\n"


def test_a_finished_stream_takes_nothing() -> None:
    stream = default().stream()
    stream.finish()
    assert stream.finish() == b""
    with pytest.raises(ValueError, match="finished"):
        stream.feed(b"x")
