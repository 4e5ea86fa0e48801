"""What befalls a writer on a disk that fails; each function runs in its own mount namespace."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relay_shell.broker.trail import Trail
from relay_shell.evidence import outage as outage_module
from relay_shell.evidence import pulse as pulse_module
from relay_shell.evidence.errors import EvidenceError
from relay_shell.evidence.pulse import Pulse
from relay_shell.evidence.reader import iter_records
from relay_shell.evidence.verify import verify_chain
from relay_shell.evidence.writer import Writer


def intent(call: str, **more: Any) -> dict[str, Any]:
    return {"event": "intent", "call_id": call, "tool": "shell_exec", **more}


async def refused(writer: Writer, call: str, cause: str) -> None:
    try:
        await writer.append(intent(call))
    except EvidenceError as error:
        assert error.cause == cause, error
        assert error.kind == "EvidenceUnavailable"
        assert "nothing ran" in error.message
    else:
        raise AssertionError(f"{call} was recorded on a failing disk")


async def full(disk: Path) -> None:
    states: list[str] = []
    writer = Writer(
        disk / "audit.jsonl", on_state=lambda error: states.append(error.cause if error else "ok")
    )
    ballast = disk / "ballast"
    written = []
    ballast.write_bytes(bytes(180 * 1024))
    cut = None
    # Lengths that do not divide a page, so that a write is cut off within a line.
    for n in range(500):
        try:
            await writer.append(intent(f"k-{n}", args={"command": "x" * 700}))
            written.append(f"k-{n}")
        except EvidenceError as error:
            cut = error
            break
    assert cut is not None and cut.cause == "no_space", cut
    assert states == ["no_space"], states
    await refused(writer, "k-full", "no_space")
    await refused(writer, "k-full", "no_space")
    assert writer.status()["state"] == "no_space"
    # ext4 may refuse a write as a whole; tmpfs takes what still fits into the page.
    torn = not (disk / "audit.jsonl").read_bytes().endswith(b"\n")
    tmpfs = subprocess.run(["stat", "-f", "-c", "%T", disk], capture_output=True).stdout
    assert torn or tmpfs != b"tmpfs\n", "no write was cut off"
    ballast.unlink()
    await writer.append(intent("k-after"))
    assert states == ["no_space", "ok"], states
    writer.close()

    records = list(iter_records(disk / "audit.jsonl"))
    calls = [record["call_id"] for record in records if record["event"] == "intent"]
    assert calls == [*written, "k-after"], calls[-3:]
    assert [record["event"] for record in records[-2:]] == ["recovered", "intent"]
    assert records[-2]["what"] == "no_space"
    assert records[-2]["facts"]["refused"] == 3, records[-2]
    report = verify_chain(disk / "audit.jsonl")
    assert report.whole, report.findings
    assert [finding.kind for finding in report.findings] == ["torn"] * torn


async def recovers_alone(disk: Path) -> None:
    """Without a call that tries: the writer itself does, every few seconds."""
    back = asyncio.Event()
    writer = Writer(
        disk / "audit.jsonl", on_state=lambda error: back.set() if error is None else None
    )
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    await refused(writer, "k-1", "no_space")
    ballast.unlink()
    async with asyncio.timeout(60):
        await back.wait()
    assert writer.trouble is None
    await writer.append(intent("k-2"))
    writer.close()
    events = [record["event"] for record in iter_records(disk / "audit.jsonl")]
    assert events == ["recovered", "intent"], events


async def aborted(disk: Path) -> None:
    """The kernel gives up a file system after an error; it is repaired and mounted again."""
    writer = Writer(disk / "audit.jsonl")
    await writer.append(intent("k-1"))
    subprocess.run(["mount", "-o", "remount,abort", str(disk)], check=True, capture_output=True)
    for _ in range(3):
        try:
            await writer.append(intent("k-2"))
        except EvidenceError as error:
            assert error.cause in ("io", "read_only"), error
        else:
            raise AssertionError("recorded on an aborted file system")
    subprocess.run(["umount", "--lazy", str(disk)], check=True)
    repaired = Path(f"{disk}.repaired")
    shutil.copy(f"{disk}.img", repaired)
    subprocess.run(["e2fsck", "-fy", str(repaired)], capture_output=True, check=False)
    subprocess.run(["mount", "-o", "loop", str(repaired), str(disk)], check=True)
    for _ in range(3):
        try:
            await writer.append(intent("k-3"))
            break
        except EvidenceError:
            continue
    writer.close()
    records = list(iter_records(disk / "audit.jsonl"))
    assert records[0]["call_id"] == "k-1" and records[-1]["call_id"] == "k-3", records


async def read_only_at_start(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    writer = Writer(disk / "audit.jsonl")
    assert writer.trouble is not None and writer.trouble.cause == "read_only", writer.trouble
    await refused(writer, "k-1", "read_only")
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    await writer.append(intent("k-2"))
    writer.close()
    assert verify_chain(disk / "audit.jsonl").whole


async def append_only(disk: Path) -> None:
    path = disk / "audit.jsonl"
    first = Writer(path)
    assert first.status()["append_only"] is False
    first.append_now(intent("k-1"))
    first.close()
    # A line that a crash cut off, on a file that nobody can shorten any more.
    with path.open("ab") as file:
        file.write(b'{"v":1,"seq":2,"ts":"20')
    subprocess.run(["chattr", "+a", str(path)], check=True)
    try:
        writer = Writer(path)
        assert writer.status()["append_only"] is True
        await writer.append(intent("k-2"))
        writer.close()
        report = verify_chain(path)
        assert report.whole and report.records == 3, report
        try:
            os.truncate(path, 0)
        except PermissionError:
            pass
        else:
            raise AssertionError("the attribute was not in force")
    finally:
        subprocess.run(["chattr", "-a", str(path)], check=True)


async def attribute_immutable(disk: Path) -> None:
    """chattr +i makes writes on a descriptor that is already open fail."""
    path = disk / "audit.jsonl"
    writer = Writer(path)
    await writer.append(intent("k-1"))
    subprocess.run(["chattr", "+i", str(path)], check=True)
    try:
        await refused(writer, "k-2", "denied")
    finally:
        subprocess.run(["chattr", "-i", str(path)], check=True)
    await writer.append(intent("k-3"))
    writer.close()
    assert verify_chain(path).whole


async def attribute_lost(disk: Path) -> None:
    """chattr -a on a file that had it; and then on one that is written to all the same."""
    pulse_module.WATCH = outage_module.RETRY = 0.2
    states: list[str] = []
    path = disk / "audit.jsonl"
    path.touch(0o640)
    chattr(path, "+a")
    writer = Writer(path, on_state=lambda error: states.append(error.cause if error else "ok"))
    pulse = Pulse(writer, 3600, 0)
    await writer.append(intent("k-1"))
    # For a moment, as a rotation does.
    chattr(path, "-a")
    await writer.append(intent("k-2"))
    chattr(path, "+a")
    await writer.append(intent("k-3"))
    assert states == []
    # For good: it is noticed without a call, and mended without one.
    chattr(path, "-a")
    await until(lambda: states == ["attribute"])
    await refused(writer, "k-4", "attribute")
    assert writer.status()["append_only"] is False
    chattr(path, "+a")
    await until(lambda: states == ["attribute", "ok"])
    await writer.append(intent("k-5"))
    # The setting says that calls go on.
    writer.fence.block = False
    chattr(path, "-a")
    await until(lambda: writer.status()["degraded"] == ["attribute"])
    await writer.append(intent("k-6"))
    chattr(path, "+a")
    await until(lambda: writer.status()["degraded"] == [])
    assert states == ["attribute", "ok"]
    pulse.stop()
    writer.close()
    records = list(iter_records(path))
    said = [record.get("call_id") or f"{record['event']} {record['what']}" for record in records]
    assert said == [
        *("k-1", "k-2", "k-3", "recovered attribute", "k-5"),
        *("degraded attribute", "k-6", "recovered attribute"),
    ], said
    assert verify_chain(path).whole
    chattr(path, "-a")


async def attribute_of_the_next_file(disk: Path) -> None:
    """The file that takes the place of one that had the attribute is to have it too."""
    path = disk / "audit.jsonl"
    path.touch(0o640)
    chattr(path, "+a")
    writer = Writer(path)
    await writer.append(intent("k-1"))
    chattr(path, "-a")
    path.rename(disk / "audit.jsonl-20260101")
    path.touch(0o640)
    await writer.append(intent("k-2"))
    deadline = time.monotonic() + 60
    while writer.trouble is None:
        assert time.monotonic() < deadline, "the attribute was not missed"
        writer.watch()
        await asyncio.sleep(0.1)
    await refused(writer, "k-3", "attribute")
    chattr(path, "+a")
    await writer.append(intent("k-4"))
    writer.close()
    chattr(path, "-a")


async def full_and_calls_go_on(disk: Path) -> None:
    """A real full disk, under the policy `spool`: nothing is refused, and nothing is lost."""
    writer = Writer(disk / "audit.jsonl", on_state=lambda error: error or trail.recovered())
    trail = Trail(writer, {"evidence.disk": "spool", "evidence.spool_bytes": 10**6})
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(180 * 1024))
    for n in range(130):
        await trail.commit(**intent(f"k-{n}", args={"command": "x" * 700}))
        if trail.policy:
            trail.note(event="outcome", call_id=f"k-{n}", status="ok")
    assert trail.policy == "spool" and len(trail) > 20, trail.status()
    ballast.unlink()
    await until(lambda: not trail.policy and not len(trail))
    await trail.commit(**intent("k-130"))
    writer.close()
    records = list(iter_records(disk / "audit.jsonl"))
    calls = [record["call_id"] for record in records if record["event"] == "intent"]
    assert calls == [f"k-{n}" for n in range(131)], calls
    assert verify_chain(disk / "audit.jsonl").whole


def chattr(path: Path, change: str) -> None:
    subprocess.run(["chattr", change, str(path)], check=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2])))
