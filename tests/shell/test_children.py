"""Children and orphans of this process."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any

from processes import mark, processes_with
from relay_shell.shell.children import Children, descendants
from shell.conftest import Call


def test_two_workers_in_one_process_leave_each_other_alone(rig: Any) -> None:
    async def main() -> None:
        async with rig() as one, rig() as two:
            wait = "until [ -e go ]; do sleep 0.02; done; echo end"
            long = asyncio.create_task(
                one.run(f"(setsid sleep {mark(98811)} &); {wait}", call=Call("k-one"))
            )
            await one.until(lambda: processes_with(f"sleep\0{mark(98811)}"))
            for n in range(20):
                done = await two.run("true", call=Call(f"k-two-{n}"))
                assert (done.exit, done.killed) == (0, 0)
            two.children.tidy()
            assert processes_with(f"sleep\0{mark(98811)}")
            Path(one.account.home, "go").touch()
            assert (await long).stdout == "end\n"
            assert processes_with(mark(98811)) == []

    asyncio.run(main())


def test_child_of_some_library_is_no_orphan(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            library = subprocess.Popen(["sleep", mark(98812)])
            try:
                done = await r.run("true")
                r.children.tidy()
                assert done.killed == 0
                assert library.poll() is None
            finally:
                library.kill()
                assert library.wait() == -9

    asyncio.run(main())


def test_zombies_of_orphans_are_reaped(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            # Zombies of other tests are held, so that nobody takes them for a call's.
            before = set(descendants(os.getpid()))
            session = await r.spawn("for i in 1 2 3; do (setsid true &); done; read x")

            def zombies() -> list[int]:
                found = [pid for pid in descendants(os.getpid()) if pid not in before]
                return [pid for pid in found if _state(pid) == "Z"]

            await r.until(zombies)
            await r.until(lambda: not zombies())
            assert session.running

    asyncio.run(main())


def test_descendants_are_found_through_generations() -> None:
    process = subprocess.Popen(
        ["sh", "-c", f"sh -c 'sleep {mark(98813)} & wait' & wait"], start_new_session=True
    )
    try:
        while not processes_with(f"sleep\0{mark(98813)}"):
            assert process.poll() is None
        found = descendants(process.pid)
        assert len(found) == 2
        assert processes_with(f"sleep\0{mark(98813)}")[0] in found
        assert process.pid in descendants(os.getpid())
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_closing_twice_is_harmless() -> None:
    children = Children(None)
    children.close()
    children.close()


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""
