"""The end of trees that do not want to end."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from processes import mark, processes_with
from relay_shell.shell import tree
from relay_shell.shell.cgroup import Groups

CLONE_INTO = """
import ctypes, os, struct, sys, time
base, marker = sys.argv[1:]
os.makedirs(base + "/elsewhere", exist_ok=True)
fd = os.open(base + "/elsewhere", os.O_RDONLY | os.O_DIRECTORY)
# CLONE_INTO_CGROUP, SIGCHLD: clone3(2) takes no file system right below /sys.
arguments = struct.pack("=11Q", 0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, fd)
pid = ctypes.CDLL(None, use_errno=True).syscall(435, arguments, len(arguments))
if pid == 0:
    os.setsid()
    os.closerange(0, 50)
    os.execvpe("sleep", ["sleep", marker], {})
assert pid > 0, os.strerror(ctypes.get_errno())
while b"elsewhere" not in open(f"/proc/{pid}/cgroup", "rb").read() or b"sleep" not in open(
    f"/proc/{pid}/cmdline", "rb"
).read():
    time.sleep(0.01)
print("escaped")
"""


@pytest.mark.skipif(Groups.find() is None, reason="no cgroup is delegated to the tests")
def test_leaving_the_group_by_clone3_does_not_help(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            base = r.groups.base
            done = await r.run(["python3", "-c", CLONE_INTO, base, mark(98831)])
            assert done.stdout == "escaped\n", done.stderr
            assert (done.killed, done.survivors) == (1, 0)
            assert processes_with(mark(98831)) == []
            os.rmdir(f"{base}/elsewhere")

    asyncio.run(main())


@pytest.mark.skipif(Groups.find() is None, reason="no cgroup is delegated to the tests")
def test_groups_go_with_their_calls(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            done = await r.run(f"cat /proc/self/cgroup; sleep {mark(98832)} &")
            assert "/call-k-test\n" in done.stdout
            session = await r.spawn("cat /proc/self/cgroup; read x")
            read = await r.sessions.read(session, wait="session-s1.w", timeout=60)
            assert read.reason == "match"
            await r.sessions.end(session, "killed")
            await r.until(lambda: not r.children.tidy())
            left = [entry.name for entry in os.scandir(r.groups.base) if entry.is_dir()]
            assert left == ["worker"]

    asyncio.run(main())


def test_tree_that_keeps_forking_ends(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            # Each generation lives a moment and leaves two orphans, bounded by a count.
            script = (
                "f() { echo x >> count; [ $(wc -l < count) -gt 300 ] || { (setsid bash -c"
                ' "$(declare -f f); f" &) ; (setsid bash -c "$(declare -f f); f" &) ; }'
                f"; sleep {mark(98833)}; }}; f"
            )
            done = await r.run(script, timeout=3)
            assert done.timeout == 3
            assert done.survivors == 0
            assert processes_with(mark(98833)) == []
            assert len(Path(r.account.home, "count").read_text()) > 10

    asyncio.run(main())


def test_stopped_and_deaf_processes_end(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            sleep = f"sleep {mark(98834)}"
            done = await r.run(
                f"trap '' TERM HUP INT; (kill -STOP $BASHPID; {sleep}) & {sleep}",
                timeout=0.5,
            )
            assert done.survivors == 0
            assert processes_with(mark(98834)) == []

    asyncio.run(main())


def test_survivors_are_counted(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # A process that cannot be killed needs broken hardware; here the signal is withheld instead.
    monkeypatch.setattr(tree, "KILL_BOUND", 0.1)
    monkeypatch.setattr(tree, "_send", lambda pid, number: None)
    monkeypatch.setattr(tree.os, "killpg", lambda pid, number: None)
    monkeypatch.setattr(tree.Tree, "_at_once", lambda self: False, raising=False)

    async def main() -> None:
        async with rig() as r:
            done = await r.run(f"sleep {mark(98835)}", timeout=0.1)
            assert done.survivors == 1
            assert done.signal == "SIGKILL"
            for pid in processes_with(mark(98835)):
                os.kill(pid, signal.SIGKILL)
            await r.until(lambda: not processes_with(mark(98835)))
            r.children.tidy()

    asyncio.run(main())
