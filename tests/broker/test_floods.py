"""What a peer causes at will is kept in full at first, then counted, and nothing grows."""

from __future__ import annotations

import asyncio
from typing import Any

from relay_shell.broker.floods import SOURCES, Floods

Records = list[dict[str, Any]]


def test_the_first_are_kept_and_the_rest_counted() -> None:
    async def tell() -> Records:
        found: Records = []
        floods = Floods(lambda **facts: found.append(facts), burst=3, window=60)
        for n in range(1000):
            floods.record("conn c-1", event="rejected", conn="c-1", what="json", detail=str(n))
        floods.record("conn c-2", event="rejected", conn="c-2", what="json", detail="other")
        floods.end("conn c-1")
        return found

    found = asyncio.run(tell())
    assert [row["detail"] for row in found[:4]] == ["0", "1", "2", "other"]
    assert found[4] == {
        "event": "rejected",
        "conn": "c-1",
        "what": "json",
        "detail": "997 more of this source, counted only",
        "facts": {"count": 997, "seconds": 60},
    }
    assert len(found) == 5


def test_a_window_ends_by_itself_and_the_next_begins() -> None:
    async def tell() -> Records:
        found: Records = []
        floods = Floods(lambda **facts: found.append(facts), burst=1, window=0.05)
        for _ in range(3):
            floods.record("a", event="rejected")
        while len(floods):
            await asyncio.sleep(0.01)
        floods.record("a", event="rejected", detail="again")
        floods.close()
        return found

    found = asyncio.run(tell())
    assert found[1]["facts"]["count"] == 2
    assert found[2]["detail"] == "again" and len(found) == 3


def test_sources_are_bounded_and_share_beyond() -> None:
    async def tell() -> tuple[Records, int]:
        found: Records = []
        floods = Floods(lambda **facts: found.append(facts), burst=1, window=60)
        for n in range(SOURCES + 500):
            floods.record(f"uid {n}", event="refused", uid=n)
        most = len(floods)
        floods.close()
        return found, most

    found, most = asyncio.run(tell())
    assert most <= SOURCES + 1
    counted = sum(row.get("facts", {}).get("count", 0) for row in found)
    kept = sum(1 for row in found if "facts" not in row)
    assert kept + counted == SOURCES + 500
