"""relay-shell replay, on recordings that a broker wrote of real programs."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.office import office_in
from broker.recorded import eventually, recorded
from cli.conftest import Done, environment

HOSTILE = "\x1b]52;c;cm0gLXJmIC8=\x07\x1b[6n\x1b]0;owned\x07"
PROGRAM = f"""
import sys, time
out = sys.stdout.buffer
out.write("\\x1b[1mstart\\x1b[0m é€\\n".encode()); out.flush()
sys.stdin.readline()
out.write({HOSTILE!r}.encode() + b"\\xff\\xfe end\\n"); out.flush()
"""

Cli = Callable[..., Done]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A directory with a record and a recording, and the session's handle."""
    root = tmp_path_factory.mktemp("made")

    async def run() -> str:
        async with (
            asyncio.timeout(120),
            office_in(root, recording__mode="full", recording__free_bytes=0) as office,
            recorded(office) as worker,
        ):
            program = root / "program.py"
            program.write_text(PROGRAM)
            session = await worker.spawn("python3", str(program))
            await worker.saw(session, "start")
            session.resize(30, 100)
            await session.send("typed", submit=True, enforcement="none")
            await eventually(office)
            return session.handle

    return root, asyncio.run(run())


class Case:
    """A copy of the record that a test may damage."""

    def __init__(self, root: Path, made: tuple[Path, str], cli: Cli) -> None:
        original, self.session = made
        (self.path,) = original.glob("recordings/*/*.cast")
        shutil.copytree(original / "recordings", root / "recordings")
        self.audit = root / "audit.jsonl"
        text = (original / "audit.jsonl").read_text()
        self.audit.write_text(text.replace(str(original), str(root)))
        self.path = root / self.path.relative_to(original)
        self._cli = cli

    def __call__(self, *words: str, **options: Any) -> Done:
        return self._cli("replay", *words, "--file", str(self.audit), **options)


@pytest.fixture
def case(tmp_path: Path, made: tuple[Path, str], cli: Cli) -> Case:
    return Case(tmp_path, made, cli)


def test_the_list_says_what_there_is(case: Case) -> None:
    done = case()
    assert done.status == 0 and case.session in done.out and "complete" in done.out
    (row,) = [json.loads(line) for line in case("--json").out.splitlines()]
    assert (row["session"], row["mode"], row["state"]) == (case.session, "full", "complete")
    assert row["path"] == str(case.path) and row["call"] == "k-1"
    assert json.loads(case("--json", "--check").out)["sound"] is True
    none = case("--since", "2100-01-01")
    assert (none.status, none.out) == (0, "")
    assert none.err == "relay-shell: no such session is in the record\n"
    none = case("--check", "--since", "2100-01-01")
    assert (none.status, none.out) == (0, "")
    assert none.err == "relay-shell: there are no recordings to check\n"
    assert case("--check", "s9.nobody").status == 66


def test_a_session_plays_without_what_acts_on_the_terminal(case: Case) -> None:
    for ident in (case.session, "k-1", str(case.path)):
        done = case(ident, "--cat")
        assert done.status == 0, done.err
        assert "\x1b[1mstart\x1b[0m é€\n" in done.out and "\ufffd" in done.out
        assert "]52" not in done.out and "\x1b[6n" not in done.out and "owned" not in done.out
        assert "OSC 52 x 1" in done.err and "query x 1" in done.err


def test_raw_gives_the_very_octets(case: Case) -> None:
    words = ("replay", case.session, "--cat", "--raw", "--file", str(case.audit))
    done = subprocess.run(
        [sys.executable, "-m", "relay_shell.cli", *words],
        env=environment(),
        capture_output=True,
        timeout=60,
    )
    assert HOSTILE.encode() + b"\xff\xfe end\r\n" in done.stdout


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data.replace(b"start", b"stars"), "it was changed between byte"),
        (lambda data: data[: data.rindex(b"[", 0, -3)], "it is cut"),
        (lambda data: data + b'[9,"o","more"]\n', "it was added to"),
        (lambda data: b"", "it is cut: 0 bytes"),
    ],
)
def test_a_file_that_differs_is_refused(
    case: Case, damage: Callable[[bytes], bytes], words: str
) -> None:
    case.path.write_bytes(damage(case.path.read_bytes()))
    done = case(case.session, "--cat")
    assert (done.status, done.out) == (65, "") and words in done.err
    checked = case("--check")
    assert checked.status == 65 and words in checked.out
    forced = case(case.session, "--cat", "--unverified")
    assert "NOT AS RECORDED" in forced.err


def test_a_file_that_is_gone_or_another_thing(case: Case) -> None:
    case.path.unlink()
    assert case(case.session).status == 66
    case.path.symlink_to("/etc/passwd")
    done = case(case.session, "--unverified", "--cat")
    assert done.status == 66 and "root:" not in done.out
    missing = case("s9.zzzzzzzz")
    assert missing.status == 66 and "no session" in missing.err


def test_a_session_without_end_is_played_as_far_as_it_is_known(case: Case) -> None:
    lines = case.audit.read_text().splitlines(keepends=True)
    case.audit.write_text("".join(line for line in lines if '"what":"recording",' not in line))
    done = case(case.session, "--cat")
    assert done.status == 0 and "no end is recorded" in done.err and "start" in done.out


def test_a_removed_recording_is_named(case: Case) -> None:
    last = json.loads(case.audit.read_text().splitlines()[-1])
    facts = {"removed": {"path": str(case.path), "bytes": 1}, "reason": "older than a day"}
    gone = {"event": "session", "what": "recording-removed", "detail": case.session, "facts": facts}
    with case.audit.open("a") as file:
        file.write(json.dumps(last | {"seq": last["seq"] + 1} | gone, separators=(",", ":")) + "\n")
    done = case(case.session)
    assert done.status == 66 and "older than a day" in done.err


def test_hostile_words_in_a_recording_reach_no_terminal(case: Case) -> None:
    case.path.write_bytes(
        b'{"version":2,"width":80,"height":24,"timestamp":1}\n'
        b'[0.1,"m","relay-shell: \\u001b]52;c;x\\u0007"]\n[0.2,"o","\\ud800\\u009b6n"]\n'
    )
    done = case(case.session, "--cat", "--unverified")
    assert done.status == 0 and "\x1b]52" not in done.err + done.out and "\x9b" not in done.out
    for data in (b"", b"[]\n", b'{"version":2}\n', b'{"version":2,"width":1e9,"height":1}\n'):
        case.path.write_bytes(data)
        assert case(case.session, "--cat", "--unverified").status == 65
    case.path.write_bytes(b'{"version":2,"width":80,"height":24}\n[1,2]\n')
    assert "line 2 is no event" in case(case.session, "--cat", "--unverified").err


def on_terminal(*argv: str, typed: bytes = b"", **env: str) -> tuple[bytes, int, float]:
    """Run a program on a terminal; return what it wrote, its status and its seconds."""
    began = time.monotonic()
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, environment(TERM="xterm", LC_ALL="C.UTF-8", **env))
    seen = b""
    while time.monotonic() - began < 60:
        if select.select([master], [], [], 0.1)[0]:
            try:
                data = os.read(master, 65_536)
            except OSError:
                break
            if not data:
                break
            seen += data
            if typed and b"one" in seen:
                os.write(master, typed)
                typed = b""
    os.close(master)
    return seen, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), time.monotonic() - began


def test_on_a_terminal_time_passes_and_modes_are_undone(case: Case) -> None:
    lines = ['{"version":2,"width":80,"height":24,"timestamp":1}']
    lines += ['[0.5,"o","\\u001b[?1049hone"]', '[1.5,"o","two"]', '[90,"o","three"]']
    case.path.write_text("\n".join(lines) + "\n")
    words = (sys.executable, "-m", "relay_shell.cli", "replay", case.session, "--unverified")
    words += ("--file", str(case.audit))
    seen, status, took = on_terminal(*words, "--idle-limit", "0.5", typed=b"\x1b[1;1R")
    assert status == 0 and seen.index(b"one") < seen.index(b"two") < seen.index(b"three")
    assert seen.index(b"three") < seen.rindex(b"\x1b[?1049l") and b"1;1R" not in seen
    assert took >= 1.5
    seen, status, _ = on_terminal(*words, "--at", "1:30")
    assert status == 0 and b"onetwothree" in seen.replace(b"\x1b[?1049h", b"")


def test_asciicast_v3_has_intervals(case: Case) -> None:
    done = case(case.session, "--format", "asciicast-v3", "--raw")
    header, *events = [json.loads(line) for line in done.out.splitlines()]
    assert header["version"] == 3 and header["term"] == {"cols": 80, "rows": 24, "type": "linux"}
    assert "TERM" not in header["env"] and isinstance(header["timestamp"], int)
    assert {event[1] for event in events} == {"o", "i", "m", "r", "x"}
    assert ["r", "100x30"] in [event[1:] for event in events]
    last = json.loads(case.path.read_text().splitlines()[-1])[0]
    assert abs(sum(event[0] for event in events) - last) < 0.002


def test_exports_are_filtered_too(case: Case) -> None:
    done = case(case.session, "--format", "asciicast-v2")
    assert "]52;" not in done.out and "start" in done.out
    assert "]52;" in case(case.session, "--format", "asciicast-v2", "--raw").out


def test_tlog_counts_what_it_holds(case: Case) -> None:
    done = case(case.session, "--format", "tlog", "--raw")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["id"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["timing"].startswith("=80x24") and "=100x30" in "".join(
        row["timing"] for row in rows
    )
    assert [octet for row in rows for octet in row["out_bin"]] == [255, 254]
    assert "".join(row["in_txt"] for row in rows) == "typed\r"


@pytest.mark.skipif(shutil.which("asciinema") is None, reason="asciinema is not installed")
def test_asciinema_plays_the_file_as_it_lies(case: Case) -> None:
    home = str(case.audit.parent)
    seen, status, _ = on_terminal("asciinema", "cat", str(case.path), HOME=home)
    assert status == 0 and "start\x1b[0m é€\r\n".encode() in seen
    assert HOSTILE.encode() + "\ufffd\ufffd end".encode() in seen
    clean = case.path.with_name("clean.cast")
    clean.write_text(case(case.session, "--format", "asciicast-v2").out)
    seen, status, _ = on_terminal("asciinema", "play", "--speed", "100", str(clean), HOME=home)
    assert status == 0 and "é€".encode() in seen and b"]52" not in seen


@pytest.mark.skipif(shutil.which("tlog-play") is None, reason="tlog is not installed")
def test_tlog_plays_the_export(case: Case) -> None:
    log = case.path.with_name("session.tlog")
    log.write_text(case(case.session, "--format", "tlog", "--raw").out)
    seen, status, _ = on_terminal("tlog-play", "-r", "file", "-i", str(log), "-s", "100")
    assert status == 0 and "start\x1b[0m é€\r\n".encode() in seen
    assert HOSTILE.encode() + b"\xff\xfe end" in seen
