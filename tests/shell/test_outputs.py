"""Kept outputs: pages, lines, search, and the space that they may take."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from relay_shell.shell.outputs import OutputStore
from relay_shell.wire.errors import RelayError


def _keep(store: OutputStore, data: bytes, tail: int = 100, name: str = "stdout") -> str:
    spill = store.spill()
    assert spill is not None
    for at in range(0, len(data), 1000):
        spill.write(data[at : at + 1000])
    spill.finish(data[-tail:], len(data))
    return store.keep({name: spill})


def test_pages_join_to_the_whole(tmp_path: Path) -> None:
    store = OutputStore("w", {}, str(tmp_path))
    whole = "".join(f"line {n} \u20ac\n" for n in range(1000))
    handle = _keep(store, whole.encode())
    assert handle == "o1.w"
    pages = store.get(handle, None)
    text, offset = "", 0
    while True:
        page = pages.page(offset, 77)
        assert page["offset"] == offset
        text += page["text"]
        offset = page["next_offset"]
        if not page.get("more"):
            break
    assert text == whole
    assert os.listdir(tmp_path) == []
    store.clear()


def test_lines_and_search(tmp_path: Path) -> None:
    store = OutputStore("w", {}, str(tmp_path))
    whole = b"".join(b"%d\n" % n for n in range(1, 300_001))
    pages = store.get(_keep(store, whole), "stdout")

    async def main() -> None:
        found = await pages.lines(250_000, 3)
        assert found["text"] == "250000\n250001\n250002\n"
        assert (found["line"], found["next_line"]) == (250_000, 250_003)
        found = await pages.lines(300_000, 10)
        assert (found["text"], found["next_line"]) == ("300000\n", 300_001)
        assert "more" not in found
        assert (await pages.lines(300_002, 10))["text"] == ""
        found = await pages.search("^2999(98|99)$", context=1, most=10)
        rows = [[row["text"] for row in match["lines"]] for match in found["matches"]]
        assert rows == [["299997", "299998", "299999"], ["299998", "299999", "300000"]]
        assert found["matches"][0]["line"] == 299_998
        assert whole[found["matches"][0]["offset"] :].startswith(b"299998\n")
        found = await pages.search("7", context=0, most=5)
        assert [match["line"] for match in found["matches"]] == [7, 17, 27, 37, 47]
        assert found["more"]
        found = await pages.search("$", context=0, most=3)
        assert [match["line"] for match in found["matches"]] == [1, 2, 3]
        assert (await pages.search("no such", context=0, most=3))["matches"] == []

    asyncio.run(main())
    store.clear()


def test_pattern_that_re2_refuses(tmp_path: Path) -> None:
    store = OutputStore("w", {}, str(tmp_path))
    pages = store.get(_keep(store, b"x\n"), None)
    for pattern in ("(", "(?=x)", "x{1000000}"):
        with pytest.raises(RelayError, match="RE2 pattern") as caught:
            asyncio.run(pages.search(pattern, context=0, most=1))
        assert caught.value.kind == "InvalidArguments"
    store.clear()


def test_catastrophic_pattern_is_linear(tmp_path: Path) -> None:
    store = OutputStore("w", {}, str(tmp_path))
    pages = store.get(_keep(store, b"a" * 50_000 + b"b\n"), None)
    found = asyncio.run(pages.search("^(a+)+$", context=0, most=1))
    assert found["matches"] == []
    store.clear()


def test_middle_that_found_no_room_is_named(tmp_path: Path) -> None:
    store = OutputStore("w", {"limits.outputs_bytes": 20_000}, str(tmp_path))
    lines = [b"%06d\n" % n for n in range(1, 10_001)]
    whole = b"".join(lines)
    pages = store.get(_keep(store, whole, tail=700), None)
    first = pages.page(0, 1_000_000)
    assert first["text"].encode() == whole[:10_000]
    assert first["missing"]
    assert first["resume"] == len(whole) - 700
    gap = pages.page(30_000, 100)
    assert (gap["text"], gap["missing"], gap["resume"]) == ("", True, len(whole) - 700)
    last = pages.page(gap["resume"], 1000)
    assert last["text"].encode() == whole[-700:]
    assert "more" not in last

    async def main() -> None:
        found = await pages.search("^009999$", context=0, most=5)
        assert found["matches"][0]["line"] == 9_999
        missing = await pages.lines(5_000, 5)
        assert missing["missing"]
        assert missing["text"] == ""
        assert (await pages.lines(9_999, 5))["text"] == "009999\n010000\n"

    asyncio.run(main())
    store.clear()


def test_oldest_make_room_by_number_and_by_size(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"limits.outputs": 3, "limits.outputs_bytes": 10_000}
    store = OutputStore("w", settings, str(tmp_path))
    handles = [_keep(store, b"x" * 100) for _ in range(5)]
    for gone in handles[:2]:
        with pytest.raises(RelayError) as caught:
            store.get(gone, None)
        assert caught.value.kind == "NotFound"
    assert len(store) == 3
    first = _keep(store, b"y" * 5000)
    _keep(store, b"z" * 5000)
    _keep(store, b"w" * 4000)
    with pytest.raises(RelayError):
        store.get(first, None)
    assert len(store) == 2
    store.clear()
    assert len(store) == 0


def test_nothing_is_kept_where_the_settings_say_so(tmp_path: Path) -> None:
    assert OutputStore("w", {"limits.outputs": 0}, str(tmp_path)).spill() is None
    assert OutputStore("w", {"limits.outputs_bytes": 0}, str(tmp_path)).spill() is None
    assert OutputStore("w", {}, "/no/such/directory").spill() is None


def test_output_dropped_while_it_is_read(tmp_path: Path) -> None:
    store = OutputStore("w", {}, str(tmp_path))
    pages = store.get(_keep(store, b"x" * 1000), None)
    store.clear()
    with pytest.raises(RelayError) as caught:
        pages.page(0, 10)
    assert caught.value.kind == "NotFound"


def test_short_stream_beside_a_long_one(tmp_path: Path) -> None:
    store = OutputStore("w", {}, str(tmp_path))
    handle = _keep(store, b"x" * 1000)
    assert store.get(handle, "stdout").page(0, 5)["text"] == "xxxxx"
    with pytest.raises(RelayError, match="was short"):
        store.get(handle, "stderr")
    store.clear()
