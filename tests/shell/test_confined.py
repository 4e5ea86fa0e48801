"""Enforced commands as the worker runs them: results, scratch, scripts, questions, leftovers."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from expiry import expires_at
from processes import mark
from relay_shell.shell import querydesk
from relay_shell.shell.confined import refusals
from relay_shell.wire.errors import RelayError
from shell.conftest import Call


def enforced() -> Call:
    """A call whose verdict demands enforcement."""
    return Call(enforcement="readonly")


def play(rig: Any, *commands: Any, **options: Any) -> list[Any]:
    """Run commands enforced, one after the other, in one worker; return what became of them."""

    async def main() -> list[Any]:
        async with rig() as r:
            done = [await r.run(command, call=enforced(), **options) for command in commands]
            scratch = [name for name in os.listdir(r.account.tmp) if name.startswith("readonly-")]
            async with asyncio.timeout(60):
                while any(os.path.exists(f"{r.account.tmp}/{name}") for name in scratch):
                    await asyncio.sleep(0.01)
            return done

    return asyncio.run(main())


def test_command_reads_and_keeps_its_result(rig: Any) -> None:
    (done,) = play(rig, "head -1 /etc/passwd; echo err >&2")
    assert (done.exit, done.stderr, done.refused) == (0, "err\n", [])
    assert done.stdout.startswith("root:")


def test_refused_change_is_named(rig: Any, tmp_path: Path) -> None:
    done, merged = play(rig, f"touch {tmp_path}/x", f"touch {tmp_path}/x 2>&1")
    assert done.exit == 1
    assert done.refused == [done.stderr.strip()]
    assert str(tmp_path) in done.refused[0]
    assert merged.refused == done.refused
    assert not (tmp_path / "x").exists()


def test_scratch_is_writable_private_and_gone_afterwards(rig: Any) -> None:
    first, second = play(
        rig,
        "echo note > $TMPDIR/f; cat $TMPDIR/f; echo $TMPDIR; mkdir -p $HOME/a/b; touch $HOME/a/c",
        "ls -A $TMPDIR; echo $TMPDIR",
    )
    note, place = first.stdout.split()
    assert note == "note"
    assert second.stdout.split() != [place]
    assert not os.path.exists(place)


def test_script_runs_enforced(rig: Any, tmp_path: Path) -> None:
    (done,) = play(rig, ["/usr/bin/python3"], script=f"open('{tmp_path}/x', 'w')".encode())
    assert done.exit == 1
    assert "open" in done.stderr and str(tmp_path) in done.refused[0]


def test_what_escapes_is_killed(rig: Any) -> None:
    (done,) = play(rig, "(setsid sleep 98776 &) ; echo left")
    assert (done.stdout, done.killed, done.survivors) == ("left\n", 1, 0)


def test_timeout_kills_an_enforced_command(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expires_at(f"sleep\0{mark(98777)}", monkeypatch)
    (done,) = play(rig, f"echo partial; sleep {mark(98777)}", timeout=600)
    assert (done.timeout, done.stdout) == (600, "partial\n")


def test_program_that_does_not_exist(rig: Any) -> None:
    for argv in (["nonexistent-program"], ["/nonexistent/program"]):
        with pytest.raises(RelayError) as caught:
            play(rig, argv)
        assert caught.value.kind == "Spawn"


def test_nul_is_refused(rig: Any) -> None:
    with pytest.raises(RelayError) as caught:
        play(rig, ["echo", "a\0b"])
    assert caught.value.kind == "InvalidArguments"


def test_questions_find_the_desk(rig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemctl leads to the desk, and the desk to a program outside the confinement."""
    (tmp_path / "real").mkdir()
    # The account of a root worker's commands must be able to search the directory.
    names = Path(tempfile.mkdtemp(dir="/var/tmp"))
    names.chmod(0o755)
    shutil.copy(Path(__file__).parents[2] / "bin" / "relay-shell-query", names / "systemctl")
    program = tmp_path / "real/systemctl"
    program.write_text(f'#!/bin/sh\necho "$@"; touch {tmp_path}/proof\n')
    program.chmod(0o755)
    monkeypatch.setattr(querydesk, "DIRECTORIES", {str(names): ""})
    monkeypatch.setitem(querydesk._ENVIRONMENT, "PATH", f"{tmp_path}/real:/usr/bin:/bin")
    status, stop = play(rig, "systemctl status x | cat", "systemctl stop x")
    assert status.stdout == "--no-pager --no-ask-password status x\n", status.stderr
    assert (tmp_path / "proof").exists()
    assert (stop.exit, "not a question" in stop.stderr) == (77, True)
    shutil.rmtree(names)


def test_descriptors_stay_bounded(rig: Any) -> None:
    """Each call gives back its desk, its pipes and its scratch."""

    async def main() -> None:
        async with rig() as r:
            await r.run("true", call=enforced())
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(10):
                await r.run("true", call=enforced())
            assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(main())


def test_refusals_are_the_lines_that_tell_of_one() -> None:
    text = "fine\nrm: cannot remove 'x': Read-only file system\nsh: y: Permission denied\n" * 20
    assert refusals(text)[:2] == [
        "rm: cannot remove 'x': Read-only file system",
        "sh: y: Permission denied",
    ]
    assert len(refusals(text)) == 8
    assert refusals("nothing\nof the kind\n") == []
