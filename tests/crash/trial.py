"""One crash under load, the recovery after it, and what must be true then.

What is struck, and when, is thrown by dice from a seed: the power (see `disk`), or the broker, the
front, a worker, or all three by SIGKILL. Commands leave their marks in a file outside of the disk
that is cut, so that what ran is known whatever became of the record.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from crash.disk import Disk, formatted, mounted
from crash.host import BOUND, Host, until
from crash.load import Lane, command, refused
from relay_shell.evidence.chain import link

KINDS = ("cut", "broker", "worker", "front", "whole")
LANES = 3
SETTINGS = {"EVIDENCE_CHECKPOINT_RECORDS": "20"}
"""Seals fall between the calls of a trial too."""


class Result(NamedTuple):
    """What one trial saw."""

    seed: int
    kind: str
    story: str
    """What was struck, and when."""
    ran: int
    """Commands that left a mark."""
    answered: int
    """Calls whose client was told how the command ended."""
    intents: int
    interrupted: int
    findings: list[str]
    """Of `audit verify`, notes included."""
    problems: list[str]
    """What must not be; empty if the trial passed."""


async def trial(seed: int, kind: str = "", *, sync: bool = True) -> Result:
    """Run one trial; `kind` is thrown too if it is not given."""
    dice = random.Random(seed)
    thrown = dice.choice(KINDS)
    kind = kind or thrown
    home = Path(tempfile.mkdtemp(prefix="relay-shell-crash-"))
    try:
        return await _Trial(seed, kind, dice, home, sync).run()
    finally:
        shutil.rmtree(home, ignore_errors=True)


class _Trial:
    def __init__(self, seed: int, kind: str, dice: random.Random, home: Path, sync: bool) -> None:
        self._seed, self._kind, self._dice, self._home, self._sync = seed, kind, dice, home, sync
        self._marks = home / "marks"
        self._marks.touch()
        self._lanes: list[Lane] = []
        self._story: list[str] = []

    async def run(self) -> Result:
        if self._kind == "cut":
            return await self._power()
        kept = self._home / "kept"
        kept.mkdir()
        host = Host(self._home, kept, sync=self._sync, **SETTINGS)
        try:
            await self._crash(host, None)
            await host.start_broker()
            return self._judge(host, await host.stop_broker())
        finally:
            await host.close()

    async def _power(self) -> Result:
        disk = Disk(formatted(self._home / "empty.img"), self._home)
        try:
            host = Host(self._home, disk.place, sync=self._sync, **SETTINGS)
            try:
                await self._crash(host, disk)
                disk.close()
                # What is in /run does not outlive the power.
                shutil.rmtree(host.run)
                host.run.mkdir(mode=0o700)
                with mounted(disk.left, self._home / "again"):
                    host.keep(self._home / "again")
                    await host.start_broker()
                    return self._judge(host, await host.stop_broker())
            finally:
                await host.close()
        finally:
            disk.close()

    # ---- the crash ---------------------------------------------------------------------------

    async def _crash(self, host: Host, disk: Disk | None) -> None:
        """Load, the strike, and in the end nothing of the three programs runs."""
        dice = self._dice
        await host.start()
        self._lanes = [Lane(host.mcp, f"m{n}", self._marks) for n in range(LANES)]
        tasks = [asyncio.create_task(lane.run()) for lane in self._lanes]
        try:
            await self._answers(dice.randint(1, 40))
            await asyncio.sleep(dice.uniform(0, 0.03))
            if disk is not None:
                fate = await asyncio.to_thread(disk.cut, dice.getrandbits(32))
                self._note(f"power cut: {fate}")
            else:
                for _ in range(dice.randint(1, 3) if self._kind != "whole" else 0):
                    await self._strike(host)
                    await self._answers(dice.randint(1, 15))
                await asyncio.sleep(dice.uniform(0, 0.03))
                self._note("all killed")
            await host.kill_all()
        finally:
            for lane in self._lanes:
                lane.stopped = True
            done, late = await asyncio.wait(tasks, timeout=BOUND)
            for task in late:
                task.cancel()
            for task in done:
                task.result()

    async def _answers(self, count: int) -> None:
        """Wait for so many more answers."""

        def answered() -> int:
            return sum(len(lane.answered) for lane in self._lanes)

        goal = answered() + count
        await until(f"{count} more answers", lambda: answered() >= goal)

    async def _strike(self, host: Host) -> None:
        if self._kind == "worker":
            living = host.living()
            if living:
                await host.kill(self._dice.choice(living))
                self._note("a worker killed")
            return
        self._note(f"{self._kind} killed")
        if self._kind == "broker":
            await host.kill(host.broker)
            await asyncio.sleep(self._dice.uniform(0, 0.1))
            await host.start_broker()
        else:
            await host.kill(host.front)
            await host.start_front()

    def _note(self, what: str) -> None:
        count = sum(len(lane.answered) for lane in self._lanes)
        self._story.append(f"{what} after {count} answers")

    # ---- the judgement -----------------------------------------------------------------------

    def _judge(self, host: Host, status: int) -> Result:
        report = _verified(host)
        problems = [f"the broker ended with status {status}"] if status else []
        problems += [f"verify: {f['kind']} {f['detail']}" for f in report["findings"] if f["fails"]]
        records = _records(host.audit)
        intents = {
            row["args"]["command"]: row["call_id"] for row in records if row["event"] == "intent"
        }
        outcomes = Counter(row["call_id"] for row in records if row["event"] == "outcome")
        open_ends = Counter(row["call_id"] for row in records if row["event"] == "interrupted")
        # A worker whose broker was killed before the verdict begins the call once more.
        begun = Counter(row["call_id"] for row in records if row["event"] == "intent")
        for call, count in begun.items():
            ends = outcomes[call], open_ends[call]
            if sum(ends) != count:
                problems.append(f"{call} has {count} intents, {ends} outcomes and interruptions")
        ran = self._marks.read_text().split()
        problems += [f"{mark} ran {n} times" for mark, n in Counter(ran).items() if n > 1]
        for mark in ran:
            if command(mark, self._marks) not in intents:
                problems.append(f"{mark} ran and has no intent")
        answered = 0
        for lane in self._lanes:
            for n, (mark, text) in enumerate(lane.answered.items()):
                if refused(text) and mark in ran:
                    problems.append(f"{mark} was refused and ran: {text[:200]}")
                if not text.startswith("[exit"):
                    continue
                answered += 1
                call = intents.get(command(mark, self._marks))
                if call is None:
                    problems.append(f"{mark} was answered and has no intent: {text[:200]}")
                    continue
                # Written before the answer, an outcome is on the disk with the next intent.
                later = [other for other in list(lane.answered)[n + 1 :] if other in ran]
                if not outcomes[call] and (self._kind != "cut" or later):
                    problems.append(f"{mark} was answered and has no outcome")
        return Result(
            self._seed,
            self._kind,
            "; ".join(self._story),
            len(ran),
            answered,
            len(intents),
            sum(open_ends.values()),
            [f["kind"] for f in report["findings"]],
            problems,
        )


def _records(path: Path) -> list[dict[str, Any]]:
    """The records; `audit verify` judges the rest.

    ext4 makes an append within the file's last block part of its length before it is on the disk,
    so that a cut may leave zeros where a record was to be.
    """
    lines = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines if link(line) is not None]


def _verified(host: Host) -> dict[str, Any]:
    argv = [sys.executable, "-m", "relay_shell.cli", "audit", "verify", "--json"]
    argv += ["--audit-path", str(host.audit), "--key", str(host.public)]
    done = subprocess.run(argv, env=host.environ, capture_output=True, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"verify: {done.stderr.decode()}") from None
    return report
