"""Recordings, from a program on a terminal to the file and the record of the calls."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from broker.machine import Machine
from broker.office import Office, office_in, until
from broker.recorded import Recorded, checked, eventually, recorded, text, told
from relay_shell.broker.recordings import Full, RecordingFile
from relay_shell.evidence import cast
from relay_shell.shell import recorder
from relay_shell.wire.errors import RelayError

PASSWORD = "hunter2-correct-horse"


def play(root: Path, tell: Callable[[Office, Recorded], Awaitable[None]], **settings: Any) -> None:
    """Run one scenario with one worker; the disk of the tests may be short of space."""
    settings = {"recording__free_bytes": 0} | settings

    async def run() -> None:
        async with (
            asyncio.timeout(120),
            office_in(root, **settings) as office,
            recorded(office) as worker,
        ):
            await tell(office, worker)

    asyncio.run(run())


def test_a_shell_is_recorded_with_what_was_typed(tmp_path: Path) -> None:
    async def tell(office: Office, worker: Recorded) -> None:
        session = await worker.spawn("/bin/bash", "--norc", "-i")
        await worker.saw(session, "ready> ")
        await session.send("echo one-$((1+1))", submit=True, enforcement="none", call_id="k-send")
        await worker.saw(session, "one-2")
        session.resize(40, 132)
        await session.send("exit 7", submit=True, enforcement="none")
        (record,) = await eventually(office)
        header, events = checked(record)
        assert (header["width"], header["height"]) == (80, 24)
        assert header["title"] == "/bin/bash --norc -i" and header["env"]["TERM"] == "linux"
        assert header["relay_shell"]["session"] == session.handle == record["detail"]
        assert "one-2\r\n" in text(events)
        assert text(events, "i") == "echo one-$((1+1))\rexit 7\r"
        assert text(events, "r") == "132x40" and text(events, "x") == "7"
        marks = [event.text for event in events if event.code == "m"]
        assert marks[0] == "k-1" and "k-send" in marks
        facts = record["facts"]["recording"]
        assert (facts["format"], facts["mode"]) == ("asciicast-v2", "full")
        assert record["call_id"] == "k-1" and record["facts"]["reason"] == "exited"
        assert record["facts"]["dropped"] == 0 and "incomplete" not in record["facts"]
        assert told(office, "recording-start")[0]["facts"]["recording"]["path"] == facts["path"]
        (end,) = office.records("session", what="session_end")
        assert end["facts"]["sends"] == 2 and end["facts"]["resizes"] == 1
        mode = os.stat(facts["path"]).st_mode
        assert stat.S_IMODE(mode) == 0o640
        assert not os.listdir(office.settings["paths.runtime"])[1:], "no state of it is left"

    play(tmp_path, tell, recording__mode="full")


def test_passwords_are_masked(tmp_path: Path) -> None:
    async def tell(office: Office, worker: Recorded) -> None:
        session = await worker.spawn("/bin/bash", "--norc", "-i")
        await worker.saw(session, "ready> ")
        # No words of a prompt: the terminal alone says that this is not shown.
        await session.send("read -s x; echo got-$x", submit=True, enforcement="none")
        import termios

        def hidden() -> bool:
            flags = termios.tcgetattr(session._master)[3]
            return not flags & termios.ECHO and bool(flags & termios.ICANON)

        await until(hidden, 60)
        await session.send(PASSWORD, submit=True, enforcement="none")
        await worker.saw(session, f"got-{PASSWORD}")
        # The terminal shows what is typed, but the question is one for a secret.
        await session.send("clear; read -p 'Password for bob: ' y", submit=True, enforcement="none")
        await worker.saw(session, "Password for bob: $")
        await session.send("second-secret", submit=True, enforcement="none")
        await worker.saw(session, "ready> ")
        await session.send("exit", submit=True, enforcement="none")
        (record,) = await eventually(office)
        _, events = checked(record)
        typed = text(events, "i")
        assert PASSWORD not in typed and "second-secret" not in typed
        assert typed.count("[masked]\r") == 2 and "read -s x" in typed and typed.endswith("exit\r")
        assert record["facts"]["masked"] == 2

    play(tmp_path, tell, recording__mode="full")


def test_output_mode_keeps_no_input(tmp_path: Path) -> None:
    async def tell(office: Office, worker: Recorded) -> None:
        session = await worker.spawn("cat")
        await session.send("shown by the terminal", submit=True, enforcement="none")
        await worker.saw(session, "shown by the terminal")
        await session.send("", ["C-d"], enforcement="none")
        (record,) = await eventually(office)
        _, events = checked(record)
        assert text(events, "i") == "" and "shown by the terminal" in text(events)

    play(tmp_path, tell, recording__mode="output")


def test_metadata_makes_no_file_and_off_says_nothing(tmp_path: Path) -> None:
    async def tell(office: Office, worker: Recorded) -> None:
        await worker.spawn("seq", "3")
        (end,) = await eventually(office, "session_end")
        facts = end["facts"]
        assert (facts["title"], facts["columns"], facts["sends"]) == ("seq 3", 80, 0)
        office.broker.state.settings = office.broker.state.settings.reloaded(
            type(office.settings)({**office.settings, "recording.mode": "off"})
        )
        await worker.spawn("seq", "3")
        _, end = await eventually(office, "session_end", 2)
        assert "title" not in end["facts"] and end["facts"]["exit"] == 0
        assert os.listdir(office.settings["paths.recordings"]) == []

    play(tmp_path, tell)


def test_a_rule_of_access_decides(tmp_path: Path) -> None:
    (tmp_path / "access.toml").write_text('[[rule]]\nany = true\nrecording = "output"\n')

    async def tell(office: Office, worker: Recorded) -> None:
        await worker.spawn("seq", "3")
        (record,) = await eventually(office)
        assert text(checked(record)[1]) == "1\r\n2\r\n3\r\n"

    play(tmp_path, tell, recording__mode="off")


def test_octets_that_are_no_text_survive_and_characters_stay_whole(tmp_path: Path) -> None:
    program = (
        "import os,time\n"
        "for part in 'e2', '82', 'ac20', 'fffe', '20f09f', '9880':\n"
        "    os.write(1, bytes.fromhex(part)); time.sleep(0.05)\n"
    )

    async def tell(office: Office, worker: Recorded) -> None:
        await worker.spawn("python3", "-c", program)
        (record,) = await eventually(office)
        events = [event for event in checked(record)[1] if event.code == "o"]
        octets = b"".join(event.raw or event.text.encode() for event in events)
        assert octets == "€ ".encode() + b"\xff\xfe" + " 😀".encode()
        assert "€" in text(events) and "😀" in text(events)

    play(tmp_path, tell, recording__mode="output")


def test_much_output_is_recorded_whole_or_the_gap_is_counted(tmp_path: Path) -> None:
    async def tell(office: Office, worker: Recorded) -> None:
        await worker.spawn("head", "-c", "10000000", "/dev/zero")
        (record,) = await eventually(office)
        (end,) = await eventually(office, "session_end")
        _, events = checked(record)
        assert end["facts"]["bytes"] == 10_000_000
        assert len(text(events)) + record["facts"]["dropped"] == 10_000_000

    play(tmp_path, tell, recording__mode="output")


def test_secrets_are_hidden_where_the_setting_says_so(tmp_path: Path) -> None:
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"

    async def tell(office: Office, worker: Recorded) -> None:
        worker.settings["redaction.output"] = "on"
        session = await worker.spawn("cat")
        await session.send(f"t {token} {token[:20]}", submit=True, enforcement="none")
        await worker.saw(session, "REDACTED")
        await session.send("", ["C-d"], enforcement="none")
        (record,) = await eventually(office)
        path = Path(record["facts"]["recording"]["path"])
        assert token not in path.read_text() and "[REDACTED:github-pat]" in path.read_text()

    play(tmp_path, tell, recording__mode="full")


def test_the_broker_is_killed_in_the_middle(tmp_path: Path) -> None:
    program = "for n in $(seq 400); do echo line-$n; sleep 0.01; done"

    async def run() -> None:
        machine = Machine(tmp_path)
        (tmp_path / "etc/relay-shell.toml").write_text(
            '[recording]\nmode = "output"\nfree_bytes = 0\n'
        )
        try:
            async with asyncio.timeout(240):
                await machine.start()
                async with recorded(machine) as worker:
                    session = await worker.spawn("/bin/bash", "-c", program)
                    for mark in ("line-40", "line-160"):
                        await worker.saw(session, f"{mark}\\b")
                        await machine.kill()
                        await machine.start()
                    (record,) = await eventually(machine)
                _, events = checked(record)
                assert text(events) == "".join(f"line-{n}\r\n" for n in range(1, 401))
                assert "incomplete" not in record["facts"] and record["facts"]["dropped"] == 0
                assert len(told(machine, "recording-start")) == 1
        finally:
            await machine.close()

    asyncio.run(run())


def test_worker_and_broker_killed_leave_a_marked_end(tmp_path: Path) -> None:
    async def tell(office: Office, worker: Recorded) -> None:
        session = await worker.spawn("/bin/bash", "-c", "echo here; read x")
        await worker.saw(session, "here")
        start = told(office, "recording-start")[0]["facts"]["recording"]
        await until(lambda: Path(start["path"]).stat().st_size > start["bytes"] + 30, 60)
        worker.link._closing = True
        assert worker.link._link is not None
        worker.link._link.close("killed")
        office.broker._worker.gone(office.broker.state.workers.get(worker.worker), "killed")
        (record,) = await eventually(office)
        _, events = checked(record)
        assert record["facts"]["incomplete"] and "here" in text(events)
        assert events[-1].text.startswith("relay-shell: the worker ended")

    play(tmp_path, tell, recording__mode="output")


def test_the_limit_of_a_session_is_marked(tmp_path: Path) -> None:
    async def tell(office: Office, worker: Recorded) -> None:
        session = await worker.spawn("/bin/bash", "-c", "seq 200000; read x; echo after")
        await worker.saw(session, "200000")
        await session.send("typed", submit=True, enforcement="none")
        (record,) = await eventually(office)
        _, events = checked(record)
        assert record["facts"]["limit"] and record["facts"]["recording"]["bytes"] < 150_000
        assert [e.text for e in events if e.text.startswith("relay-shell: limit of 65536")]
        assert "typed\r" in text(events, "i"), "what is typed is still recorded"
        assert "after" not in text(events)
        assert told(office, "recording-limit")

    play(tmp_path, tell, recording__mode="full", recording__session_bytes=65_536)


def test_a_full_disk_holds_nobody_up_and_the_gap_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "QUEUE", 64 * 1024)
    monkeypatch.setattr("relay_shell.broker.recordings.LOOK", 0.0)
    full = False
    check = RecordingFile._check_space

    def space(self: RecordingFile, path: str) -> None:
        if full:
            raise Full("nothing is free")
        check(self, path)

    monkeypatch.setattr(RecordingFile, "_check_space", space)

    async def tell(office: Office, worker: Recorded) -> None:
        nonlocal full
        worker.settings["recording.wait"] = 0.2
        session = await worker.spawn(
            "/bin/bash", "-c", "echo first; read x; seq 100000; echo mid; read y; echo last"
        )
        await worker.saw(session, "first")
        full = True
        await session.send("", submit=True, enforcement="none")
        await worker.saw(session, "mid")
        assert (await eventually(office, "recording-failed"))[0]["error"]
        with pytest.raises(RelayError, match="must be recorded, and cannot be"):
            await worker.spawn("true")
        assert told(office, "recording-refused")
        full = False
        await eventually(office, "recording-resumed")
        await until(lambda: not session.recorder._dropping, 60)
        await session.send("", submit=True, enforcement="none")
        (record,) = await eventually(office)
        _, events = checked(record)
        dropped = record["facts"]["dropped"]
        (end,) = await eventually(office, "session_end")
        assert dropped > 0 and len(text(events)) + dropped == end["facts"]["bytes"]
        gaps = [event.text for event in events if event.text.startswith(cast.GAP)]
        assert sum(int(gap.split()[2]) for gap in gaps) == dropped
        assert "first" in text(events) and "last" in text(events)

    play(tmp_path, tell, recording__mode="output")


def test_a_session_may_start_without_where_the_setting_says_so(tmp_path: Path) -> None:
    async def tell(office: Office, worker: Recorded) -> None:
        session = await worker.spawn("echo", "unrecorded")
        await worker.saw(session, "unrecorded")
        (record,) = await eventually(office, "recording-failed")
        assert "recording.free_bytes" in record["error"]

    play(
        tmp_path,
        tell,
        recording__mode="full",
        recording__on_failure="continue",
        recording__free_bytes=2**50,
    )


def test_long_sessions_have_their_digest_recorded(tmp_path: Path) -> None:
    async def tell(office: Office, worker: Recorded) -> None:
        session = await worker.spawn("/bin/bash", "-c", "echo one; read x; echo two; read y")
        await worker.saw(session, "one")
        parts = await eventually(office, "recording-part")
        checked(parts[0])
        await session.send("", submit=True, enforcement="none")
        await worker.saw(session, "two")
        checked(
            (await eventually(office, "recording-part", len(told(office, "recording-part"))))[-1]
        )

    play(tmp_path, tell, recording__mode="output", recording__digest_seconds=1)


def test_what_no_worker_sends_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with office_in(tmp_path, recording__mode="output", recording__free_bytes=0) as office:
            front, worker = await office.at_work()
            other = await office.worker(front, (await office.connect(front))["conn"])
            opening = {
                "session": f"s1.{worker.id}",
                "call": "k-1",
                "rows": 24,
                "columns": 80,
                "title": "x",
                "term": "linux",
                "shell": "/bin/sh",
            }
            assert "running call" in await worker.refused("record_open", opening)
            await worker.begin("k-1")
            for session in (f"../../s1.{worker.id}", f"s1.{other.id}", "s1"):
                assert "session of the worker" in await worker.refused(
                    "record_open", opening | {"session": session}
                )
            assert "running call" in await other.refused(
                "record_open", opening | {"session": f"s1.{other.id}"}
            )
            reply = await worker.ask("record_open", opening)
            assert reply == await worker.ask("record_open", opening), "asked again, one recording"
            body = {"recording": reply["recording"], "first": 0}
            assert "NotFound" in await other.refused("record", body | {"events": []})
            for events in (
                [1],
                [[0, "z", ""]],
                [[0, "o", 1]],
                [[-1, "o", ""]],
                [[0, "o", "", "!"]],
            ):
                assert "Protocol" in await worker.refused("record", body | {"events": events})
            events = [[0.5, "m", "relay-shell: end"], [0.25, "o", "é"], [1, "g", "12"]]
            assert (await worker.ask("record", body | {"events": events}))["more"]
            await worker.ask("record", body | {"events": [*events, [2, "o", "z"]]})
            await worker.ask("record", body | {"first": 9, "events": [[3, "o", "w"]]})
            close = {"recording": reply["recording"], "first": 10, "dropped": 12, "masked": 0}
            for _ in range(2):
                await worker.ask("record_close", close | {"reason": "exited", "exit": 0})
            (record,) = told(office)
            assert record["facts"]["missing"] == 5
            events = [list(event[1:3]) for event in checked(record)[1]]
            assert events == [
                ["m", "'relay-shell: end'"],
                ["o", "é"],
                ["m", "relay-shell: gap, 12 bytes of output were not recorded"],
                ["o", "z"],
                ["m", "relay-shell: 5 events were not recorded"],
                ["o", "w"],
                ["x", "0"],
            ]

    asyncio.run(run())
