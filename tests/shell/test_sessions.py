"""Sessions: real programs on real terminals."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from processes import mark, processes_with
from relay_shell.wire.errors import RelayError
from shell.conftest import Call

ASKING = """
import getpass, os, sys
# As sudo, passwd and ssh do: the question goes to the controlling terminal, not to stdin.
tty = os.open("/dev/tty", os.O_RDWR)
os.close(0)
word = getpass.getpass("Password for alice: ")
print("accepted" if word == "s3cret" else f"refused {word!r}")
"""


def test_password_prompt_on_the_controlling_terminal(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            session = await r.spawn(["python3", "-c", ASKING])
            asked = await r.sessions.read(session, wait="Password for .*: $", timeout=60)
            assert (asked.reason, asked.match) == ("match", "Password for alice: ")
            await session.send("s3cret", submit=True, enforcement="none")
            answer = await r.sessions.read(session, wait="accepted|refused.*", timeout=60)
            assert answer.match == "accepted"
            assert "s3cret" not in answer.text

    asyncio.run(main())


def test_interactive_shell_has_job_control(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            session = await r.spawn(["/bin/sh", "-i"], env={"PS1": "ready> "})
            first = await r.sessions.read(session, wait="ready> ", timeout=60)
            assert "job control turned off" not in first.text
            assert "can't access tty" not in first.text
            await session.send("tty; echo [$TERM][$RELAY_SHELL_SESSION]\r", enforcement="none")
            read = await r.sessions.read(session, wait=r"\[linux\]\[s1\.w\]\s+ready> ", timeout=60)
            assert read.reason == "match"
            assert "/dev/pts/" in read.text

    asyncio.run(main())


def test_interrupt_key_reaches_the_foreground_program(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            session = await r.spawn(
                f"trap 'echo caught' INT; sleep {mark(98771)}; echo after; read x"
            )
            await r.until(lambda: processes_with(f"sleep\0{mark(98771)}"))
            await session.send("", ["C-c"], enforcement="none")
            read = await r.sessions.read(session, wait="caught\nafter", timeout=60)
            assert read.reason == "match"
            assert session.running

    asyncio.run(main())


def test_reading_ends_with_the_program(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            session = await r.spawn("echo bye; exit 7")
            read = await r.sessions.read(session, wait="never", timeout=60)
            assert (read.reason, read.running, read.exit) == ("exit", False, 7)
            assert read.text == "bye\n"
            again = await r.sessions.read(session)
            assert (again.text, again.reason) == ("", "exit")
            with pytest.raises(RelayError, match="ended"):
                await session.send("x", enforcement="none")

    asyncio.run(main())


def test_end_is_noted_with_size_and_hash_of_the_whole(rig: Any) -> None:
    async def main() -> None:
        async with rig(limits__session_buffer=4096) as r:
            session = await r.spawn("seq 20000; exit 3", call=Call("k-9"))
            await r.until(lambda: r.notes)
            what, call, facts = r.notes[0]
            whole = "".join(f"{n}\r\n" for n in range(1, 20_001)).encode()
            assert (what, call) == ("session_end", "k-9")
            assert facts["session"] == session.handle
            assert (facts["exit"], facts["reason"], facts["survivors"]) == (3, "exited", 0)
            assert facts["bytes"] == len(whole)
            assert facts["sha256"] == hashlib.sha256(whole).hexdigest()

    asyncio.run(main())


def test_quiet_pattern_and_timeout(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            session = await r.spawn("echo one; read x; echo two; read y")
            read = await r.sessions.read(session)
            assert (read.text, read.reason) == ("one\n", "quiet")
            read = await r.sessions.read(session, quiet=0)
            assert (read.text, read.reason) == ("", "quiet")
            read = await r.sessions.read(session, wait="two", timeout=0.2)
            assert (read.text, read.reason) == ("", "timeout")
            reading = asyncio.create_task(r.sessions.read(session, wait="tw(o)", timeout=60))
            await session.send("", submit=True, enforcement="none")
            assert (await reading).match == "two"
            assert session.running

    asyncio.run(main())


def test_offsets_account_for_every_byte(rig: Any) -> None:
    async def main() -> None:
        async with rig(limits__session_buffer=4096) as r:
            session = await r.spawn("seq 30000; read x")
            await r.until(lambda: session.ring.end >= 168_894 + 30_000)
            read = await r.sessions.read(session, raw=True, max_output=1000)
            assert read.reason == "full"
            assert read.missed == read.offset > 0
            assert read.more
            pieces = [read.text]
            after = read.next_offset
            while after < session.ring.end:
                read = await r.sessions.read(session, raw=True, max_output=1000)
                assert read.offset == after
                assert read.missed == 0
                pieces.append(read.text)
                after = read.next_offset
            whole = "".join(f"{n}\r\n" for n in range(1, 30_001))
            assert whole.endswith("".join(pieces))
            back = await r.sessions.read(session, offset=-12, raw=True, quiet=0)
            assert back.text == whole[-12:]
            assert back.offset == len(whole) - 12

    asyncio.run(main())


def test_several_readers_see_the_same(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            session = await r.spawn("read x; echo got $x; read y")
            readers = [
                asyncio.create_task(r.sessions.read(session, wait="got .*", timeout=60))
                for _ in range(3)
            ]
            await asyncio.sleep(0)
            await session.send("it", submit=True, enforcement="none")
            assert {(await reader).match.strip() for reader in readers} == {"got it"}

    asyncio.run(main())


def test_characters_and_sequences_are_never_cut(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            program = r"printf 'a\xe2\x82'; read x; printf '\xac\033[3'; read y; printf '1mred'"
            session = await r.spawn(f"stty -echo; {program}; read z")
            first = await r.sessions.read(session)
            assert first.text == "a"
            await session.send("", submit=True, enforcement="none")
            second = await r.sessions.read(session, wait="\u20ac", timeout=60)
            assert second.text == "\u20ac"
            await session.send("", submit=True, enforcement="none")
            assert (await r.sessions.read(session, wait="red", timeout=60)).text == "red"

    asyncio.run(main())


def test_screen_shows_what_a_person_would_see(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            draw = r"printf 'old\033[2J\033[2;5Hmiddle\033[1;1Htop\033]0;name\007'; read x"
            session = await r.spawn(f"stty -echo; {draw}", rows=5, columns=20)
            await r.sessions.read(session, wait="top", timeout=60)
            facts = await session.screen()
            assert facts["lines"] == ["top", "    middle"]
            assert facts["cursor"] == [0, 3]
            assert (facts["rows"], facts["columns"], facts["title"]) == (5, 20, "name")

    asyncio.run(main())


def test_resize_tells_the_program(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            session = await r.spawn(
                "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done",
                rows=10,
                columns=40,
            )
            await r.sessions.read(session, wait="10 40", timeout=60)
            session.resize(30, 120)
            assert (await r.sessions.read(session, wait="30 120", timeout=60)).reason == "match"
            assert (await session.screen())["columns"] == 120

    asyncio.run(main())


def test_kill_ends_what_escaped_the_terminal(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            sleep = f"sleep {mark(98772)}"
            session = await r.spawn(
                f"trap '' HUP TERM INT; setsid -f {sleep}; (setsid {sleep} &);"
                f" while :; do {sleep}; done"
            )
            await r.until(lambda: len(processes_with(f"sleep\0{mark(98772)}")) >= 3)
            ended = await r.sessions.end(session, "killed")
            assert ended.survivors == 0
            assert ended.killed >= 4
            assert processes_with(mark(98772)) == []
            with pytest.raises(RelayError) as caught:
                r.sessions.get(session.handle)
            assert caught.value.kind == "NotFound"
            assert r.notes[0][2]["reason"] == "killed"

    asyncio.run(main())


def test_background_children_die_with_the_shell_of_the_session(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            session = await r.spawn(f"nohup setsid sleep {mark(98773)} >/dev/null 2>&1 & exit 0")
            await r.until(lambda: not session.running)
            assert processes_with(f"sleep\0{mark(98773)}") == []

    asyncio.run(main())


def test_idle_session_is_reaped_by_a_timer(rig: Any) -> None:
    async def main() -> None:
        async with rig(limits__session_idle=0.3) as r:
            session = await r.spawn(f"sleep {mark(98774)}")
            await r.until(lambda: r.notes)
            assert r.notes[0][2]["reason"] == "idle"
            assert processes_with(mark(98774)) == []
            # The record of the end is handed over before the table forgets the session.
            await r.until(lambda: len(r.sessions) == 0)
            assert not session.running

    asyncio.run(main())


def test_used_session_is_not_idle_but_has_a_lifetime(rig: Any) -> None:
    async def main() -> None:
        async with rig(limits__session_idle=0.4, limits__session_life=1.2) as r:
            session = await r.spawn("cat")
            # As if it were used all the time, also while this process gets none.
            session.last_used += 3600
            await r.until(lambda: r.notes)
            assert r.notes[0][2]["reason"] == "lifetime"
            assert r.notes[0][2]["duration_ms"] >= 1200

    asyncio.run(main())


def test_number_of_sessions_is_bounded(rig: Any) -> None:
    async def main() -> None:
        async with rig(limits__sessions=2) as r:
            await r.spawn("cat")
            await r.spawn("cat")
            with pytest.raises(RelayError) as caught:
                await r.spawn("cat")
            assert caught.value.kind == "Busy"
            assert len(r.sessions.list()) == 2

    asyncio.run(main())


def test_ended_sessions_make_room_for_new_ones(rig: Any) -> None:
    async def main() -> None:
        async with rig(limits__sessions=2) as r:
            for _ in range(5):
                session = await r.spawn("true")
                await r.until(lambda session=session: not session.running)
            assert [row["session"] for row in r.sessions.list()] == ["s4.w", "s5.w"]

    asyncio.run(main())


def test_program_that_does_not_read_is_reported(rig: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("relay_shell.shell.typist.WRITE", 0.3)

    async def main() -> None:
        async with rig() as r:
            session = await r.spawn(f"stty raw -echo; echo ready; sleep {mark(98775)}")
            await r.sessions.read(session, wait="ready", timeout=60)
            with pytest.raises(RelayError, match="bytes were not sent") as caught:
                await session.send("x" * 1_000_000, enforcement="none")
            assert caught.value.kind == "Busy"

    asyncio.run(main())


def test_session_is_not_driven_with_less_confinement_than_asked(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            session = await r.spawn("cat")
            with pytest.raises(RelayError) as caught:
                await session.send("rm x", submit=True, enforcement="readonly")
            assert caught.value.kind == "Enforcement"


def test_enforced_session_has_a_terminal_and_changes_nothing(rig: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with rig() as r:
            session = await r.spawn(["bash", "--norc", "-i"], call=Call(enforcement="readonly"))
            await session.send(f"tty; touch {tmp_path}/x", submit=True, enforcement="readonly")
            read = await r.sessions.read(session, wait="cannot touch", timeout=60)
            assert "/dev/pts/" in read.text
            await session.send("stty -a; jobs; echo $((6*7))", submit=True, enforcement="none")
            read = await r.sessions.read(session, wait="42\\r?\\n", timeout=60)
            assert "no job control" not in read.text
            assert not (tmp_path / "x").exists()

    asyncio.run(main())


def test_flood_is_bounded_and_leaves_the_loop_to_others(rig: Any) -> None:
    async def main() -> None:
        async with rig(limits__session_buffer=65_536) as r:
            session = await r.spawn("yes")
            await r.until(lambda: session.ring.end > 5_000_000, 60)
            assert session.ring.end - session.ring.start <= 2 * 65_536 + 65_536
            assert (await r.run("echo others")).stdout == "others\n"
            read = await r.sessions.read(session, offset=-100, max_output=256)
            assert read.text.strip("y\n") == ""

    asyncio.run(main())


def test_failed_spawn_leaves_no_terminal(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            before = sorted(os.listdir("/proc/self/fd"))
            with pytest.raises(RelayError):
                await r.spawn(["/no/such/program"])
            assert sorted(os.listdir("/proc/self/fd")) == before
            assert r.sessions.list() == []
            assert Path(r.account.home).is_dir()

    asyncio.run(main())
