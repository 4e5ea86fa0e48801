"""The broker goes on in the next file when asked, durable when it answers, and says who asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

from broker.office import Office, story


def test_the_broker_goes_on_in_the_file_that_the_path_names(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await worker.begin("k-1")
        operator = await office.operator()
        audit = tmp_path / "audit.jsonl"
        reply = await operator.ask("rotate")
        assert reply["inode"] == audit.stat().st_ino
        old = audit.rename(tmp_path / "audit.jsonl-1")
        audit.touch(mode=0o640)
        reply = await operator.ask("rotate")
        assert reply["inode"] == audit.stat().st_ino != old.stat().st_ino
        before = old.stat().st_size
        await worker.end("k-1")
        records = [json.loads(line) for line in audit.read_bytes().splitlines()]
        assert [r["event"] for r in records if r["event"] != "checkpoint"][:3] == [
            "rotate",
            "rotate",
            "outcome",
        ]
        asked = next(r for r in records if r.get("what") == "asked")
        assert (asked["uid"], asked["seq"]) == (os.getuid(), reply["seq"])
        assert old.stat().st_size == before

    story(tmp_path, tell)
