"""An enforced command's questions: the real shim, the real confinement, a stand-in systemctl.

Nothing here needs a service manager: what is asked is a program of the test's own that is found
first on PATH; the booted machines ask the real one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.process import poll
from relay_shell.shell import querydesk
from relay_shell.shell.querydesk import QueryDesk

SHIM = Path(__file__).parents[2] / "bin" / "relay-shell-query"


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with the names that lead to the shim, and a systemctl to be asked."""
    asked = tmp_path / "real"
    asked.mkdir()
    program = asked / "systemctl"
    program.write_text('#!/bin/sh\necho "asked $*"; echo problem >&2; exit 3\n')
    program.chmod(0o755)
    monkeypatch.setitem(querydesk._ENVIRONMENT, "PATH", f"{asked}:/usr/bin:/bin")
    directory = tmp_path / "names"
    directory.mkdir()
    (directory / "systemctl").symlink_to(SHIM)
    (directory / "podman").symlink_to(SHIM)
    yield directory


def ask(names: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script that is given a desk, while the desk answers."""

    async def scene() -> subprocess.CompletedProcess[str]:
        desk = QueryDesk(None)
        try:
            child = await asyncio.create_subprocess_exec(
                "bash", "-c", f"exec 3<&{desk.theirs.fileno()}; {script}",
                pass_fds=[desk.theirs.fileno()],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={"PATH": f"{names}:/usr/bin:/bin", "RELAY_SHELL_DESK": "3"},
            )  # fmt: skip
            out, err = await asyncio.wait_for(child.communicate(), 30)
            assert child.returncode is not None
            return subprocess.CompletedProcess(script, child.returncode, out.decode(), err.decode())
        finally:
            desk.close()

    return asyncio.run(scene())


def test_question_is_answered(names: Path) -> None:
    """Output, diagnostics and exit status are those of the real program."""
    done = ask(names, "systemctl status ssh")
    assert done.stdout == "asked --no-pager --no-ask-password status ssh\n"
    assert (done.stderr, done.returncode) == ("problem\n", 3)


def test_questions_in_a_pipeline_do_not_mix(names: Path) -> None:
    """Each asker has its own answer."""
    done = ask(
        names, "systemctl is-active a | sed s/^/1:/; systemctl cat b & systemctl cat c; wait"
    )
    assert sorted(done.stdout.splitlines()) == [
        "1:asked --no-pager --no-ask-password is-active a",
        "asked --no-pager --no-ask-password cat b",
        "asked --no-pager --no-ask-password cat c",
    ]


def test_change_is_refused_with_the_reason(names: Path) -> None:
    """The command learns what it may do; nothing ran."""
    done = ask(names, "systemctl stop ssh")
    assert (done.returncode, done.stdout) == (77, "")
    assert "systemctl stop is not a question" in done.stderr
    assert "may only ask" in done.stderr


def test_other_programs_are_refused(names: Path) -> None:
    """A name outside the table has no desk even if somebody links it."""
    (names / "machinectl").symlink_to(SHIM)
    assert ask(names, "machinectl list").returncode == 77


def test_without_a_desk(names: Path) -> None:
    """Outside an enforced call the shim says so and fails."""
    done = subprocess.run(
        [names / "systemctl", "status"], capture_output=True, text=True, close_fds=True
    )
    assert (done.returncode, "cannot ask from here" in done.stderr) == (69, True)


def test_garbage_does_not_stop_the_desk(names: Path) -> None:
    """Packets without descriptors, with too many, or with no program are dropped or refused."""
    garbage = (
        "python3 -c 'import array, os, socket as s;"
        " d = s.socket(fileno=3); d.send(b\"x\"); d.send(b\"systemctl\\0status\");"
        " n = os.open(\"/dev/null\", os.O_RDONLY);"
        " r = lambda *f: [(s.SOL_SOCKET, s.SCM_RIGHTS, array.array(\"i\", f))];"
        " d.sendmsg([b\"systemctl\\0stop\"], r(n, n, n));"
        " d.sendmsg([b\"systemctl\\0status\"], r(n));"
        " d.sendmsg([b\"\\0\\0\"], r(n, n, n)); d.sendmsg([b\"\\xff\"], r(1, 2, n))'; "
    )  # fmt: skip
    before = len(os.listdir("/proc/self/fd"))
    done = ask(names, garbage + "systemctl status ok")
    assert done.stdout.endswith("status ok\n")
    assert len(os.listdir("/proc/self/fd")) == before


def test_closing_kills_what_is_still_asking(names: Path, tmp_path: Path) -> None:
    """A question that never ends goes with its call."""
    (tmp_path / "real" / "systemctl").write_text("#!/bin/sh\nexec sleep 600\n")

    async def scene() -> list[int]:
        desk = QueryDesk(None)
        child = await asyncio.create_subprocess_exec(
            "bash", "-c", f"exec 3<&{desk.theirs.fileno()}; systemctl status",
            pass_fds=[desk.theirs.fileno()],
            env={"PATH": f"{names}:/usr/bin:/bin", "RELAY_SHELL_DESK": "3"},
        )  # fmt: skip
        async with asyncio.timeout(60):
            while not desk._running:
                await asyncio.sleep(0.01)
        pids = list(desk._running)
        desk.close()
        assert await asyncio.wait_for(child.wait(), 60) == 69
        return pids

    for pid in asyncio.run(scene()):
        poll(lambda pid=pid: not Path(f"/proc/{pid}").exists(), 60, "what was asked has ended")


def test_what_is_no_question_runs_confined_where_it_can(names: Path) -> None:
    """ss by the worker for a question, by itself otherwise; systemctl never by itself."""
    (names / "ss").symlink_to(SHIM)
    inside = names.parent / "inside"
    inside.mkdir()
    for directory, said in ((inside, "inside"), (names.parent / "real", "outside")):
        (directory / "ss").write_text(f"#!/bin/sh\necho {said} $*\n")
        (directory / "ss").chmod(0o755)
    path = f"PATH={names}:{inside}:$PATH"
    assert ask(names, f"{path}; ss -tlnp").stdout == "outside -tlnp\n"
    assert ask(names, f"{path}; ss -K dst 192.0.2.1").stdout == "inside -K dst 192.0.2.1\n"
    (names / "systemd-analyze").symlink_to(SHIM)
    for name in ("systemctl", "systemd-analyze"):
        (inside / name).write_text("#!/bin/sh\necho inside $*\n")
        (inside / name).chmod(0o755)
    assert ask(names, f"{path}; systemctl --user stop x").stdout == "inside --user stop x\n"
    verify = ask(names, f"{path}; systemd-analyze verify x.service")
    assert verify.stdout == "inside verify x.service\n"
    assert ask(names, f"{path}; systemd-analyze set-log-level debug").returncode == 77
    refused = ask(names, f"{path}; systemctl stop x")
    assert (refused.returncode, refused.stdout) == (77, "")


def test_a_name_whose_program_is_not_there_is_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that looks for docker finds it only where it is."""
    always, optional, there = tmp_path / "always", tmp_path / "optional", tmp_path / "bin"
    for path in (always, optional, there):
        path.mkdir()
    rows = {str(always): "", str(optional): "docker", str(tmp_path / "missing"): ""}
    monkeypatch.setattr(querydesk, "DIRECTORIES", rows)
    monkeypatch.setitem(querydesk._ENVIRONMENT, "PATH", str(there))
    assert querydesk.directories() == [str(always)]
    (there / "docker").touch(0o755)
    assert querydesk.directories() == [str(always), str(optional)]
    (there / "docker").write_text("#!/bin/sh\nexec podman $*\n")
    assert querydesk.directories() == [str(always)], "that is another program"


def test_a_script_in_dockers_place_is_not_asked(names: Path) -> None:
    """It would run with the worker's rights, whatever it is."""
    program = names.parent / "real" / "docker"
    program.write_text("#!/bin/sh\necho outside $*\n")
    program.chmod(0o755)
    (names / "docker").symlink_to(SHIM)
    done = ask(names, "docker ps")
    assert (done.returncode, done.stdout) == (77, "")
    assert "docker itself is not here" in done.stderr


def test_no_other_daemon_is_asked_than_the_hosts(names: Path) -> None:
    """What the environment asks for is not silently answered by another."""
    (names / "docker").symlink_to(SHIM)
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        done = ask(names, f"{variable}=x docker ps")
        assert (done.returncode, done.stdout) == (77, "")
        assert f"unset {variable}" in done.stderr


def test_podman_says_what_to_ask_instead(names: Path) -> None:
    """It cannot be asked; what only tells of itself, it says by itself."""
    inside = names.parent / "inside"
    inside.mkdir()
    (inside / "podman").write_text("#!/bin/sh\necho inside $*\n")
    (inside / "podman").chmod(0o755)
    path = f"PATH={names}:{inside}:$PATH"
    for script in ("podman ps", "podman run --rm image id"):
        done = ask(names, f"{path}; {script}")
        assert (done.returncode, done.stdout) == (77, "")
        assert "list-units 'libpod-*'" in done.stderr
    assert ask(names, f"{path}; podman --version").stdout == "inside --version\n"


def test_a_socket_that_may_be_opened_needs_no_advice(tmp_path: Path) -> None:
    """Nor one that is not there: the program says so itself."""
    assert querydesk.unreachable(str(tmp_path / "none")) == ""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "own"))
        assert querydesk.unreachable(str(tmp_path / "own")) == ""
