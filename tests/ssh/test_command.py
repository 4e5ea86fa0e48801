"""A command on another machine: its output, its end, and its end before its time."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from typing import Any

import pytest

from processes import mark, processes_with
from relay_shell.ssh import command
from relay_shell.ssh.command import Done
from relay_shell.wire.errors import RelayError
from ssh.machines import Call, Site, route


def gone(number: str) -> None:
    """Wait until nothing sleeps for so long."""
    deadline = time.monotonic() + 60
    while processes_with(f"sleep\0{number}"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run(site: Site, text: str, **options: Any) -> Done:
    async def main() -> Done:
        async with site.fleet() as fleet:
            given = {"timeout": 60, "max_output": 65_536, **options}
            return await fleet.run(await route(fleet, "web1"), text, Call(), **given)

    return asyncio.run(main())


@pytest.fixture
def machine(site: Site) -> Site:
    site.server("web1")
    return site


def test_output_status_and_proof_of_the_host(machine: Site) -> None:
    done = run(machine, "echo out; echo err >&2; exit 7")
    completed = done.completed
    assert (completed.exit, completed.stdout, completed.stderr) == (7, "out\n", "err\n")
    assert completed.bytes == 8 and not completed.truncated
    parts = [hashlib.sha256(text).digest() for text in (b"out\n", b"err\n")]
    assert completed.sha256 == hashlib.sha256(b"".join(parts)).hexdigest()
    assert done.address == "127.0.0.1" and done.host_key.startswith("SHA256:")
    assert done.status == "ok" and done.lost is None
    assert completed.used.facts() == {}


def test_streams_can_be_one(machine: Site) -> None:
    completed = run(machine, "echo out; echo err >&2", merge_stderr=True).completed
    assert sorted(completed.stdout.split()) == ["err", "out"]
    assert completed.stderr == "" and completed.bytes == 8


def test_standard_input_is_given_whole_and_closed(machine: Site) -> None:
    text = b"x" * 3_000_000
    done = run(machine, "sha256sum", stdin=text)
    assert done.completed.stdout.split()[0] == hashlib.sha256(text).hexdigest()
    assert run(machine, "cat; echo end").completed.stdout == "end\n"


def test_command_that_does_not_read_its_input_ends(machine: Site) -> None:
    assert run(machine, "exec 0<&-; exit 3", stdin=b"x" * 3_000_000).completed.exit == 3


def test_long_output_keeps_head_and_tail_and_a_handle(machine: Site) -> None:
    done = run(machine, "seq 1 400000", max_output=1000)
    completed = done.completed
    text = "".join(f"{n}\n" for n in range(1, 400_001)).encode()
    assert completed.bytes == len(text)
    assert completed.sha256 == hashlib.sha256(text).hexdigest()
    assert completed.stdout.startswith("1\n2\n") and completed.stdout.endswith("400000\n")
    assert completed.truncated and completed.output


def test_secrets_in_output_are_hidden(machine: Site) -> None:
    machine.settings["redaction.output"] = "on"
    token = "ghp_" + "A1b2C3d4" * 4 + "E5f6"
    completed = run(machine, f"printf ghp_; sleep 0.1; echo {token[4:]}").completed
    assert token not in completed.stdout and "REDACTED" in completed.stdout
    assert completed.redactions and completed.bytes == len(token) + 1


def test_signal_is_told(machine: Site) -> None:
    completed = run(machine, "kill -TERM $$").completed
    assert (completed.exit, completed.signal, completed.signal_number) == (None, "SIGTERM", 15)


def test_time_limit_ends_the_command_there(machine: Site) -> None:
    here, there = mark(81), mark(82)

    async def main() -> Done:
        async with machine.fleet() as fleet:
            way = await route(fleet, "web1")
            await fleet.check(way)
            command = f"sleep {here} & sleep {there}"
            return await fleet.run(way, command, Call(), timeout=5, max_output=1000)

    done = asyncio.run(main())
    assert done.completed.timeout == 5 and done.status == "timeout"
    assert done.completed.signal == "SIGKILL" and not done.unconfirmed
    gone(here)
    gone(there)


def test_host_that_does_not_say_that_it_killed_is_not_believed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "KILL", 0.5)
    site.server("web1", mute=True)

    async def main() -> Done:
        async with site.fleet() as fleet:
            way = await route(fleet, "web1")
            await fleet.check(way)
            return await fleet.run(way, "sleep 0", Call(), timeout=3, max_output=1000)

    done = asyncio.run(main())
    assert done.unconfirmed and done.completed.survivors == 1
    assert done.completed.timeout == 3


def test_cancelled_command_is_killed_before_the_call_ends(machine: Site, tmp_path: Path) -> None:
    number = mark(83)

    async def main() -> None:
        call = Call()
        async with machine.fleet() as fleet:
            way = await route(fleet, "web1")
            text = f"echo begun; touch {tmp_path}/begun; sleep {number}"
            task = asyncio.create_task(fleet.run(way, text, call, timeout=600, max_output=1000))
            async with asyncio.timeout(60):
                while not (tmp_path / "begun").exists():
                    await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert call.partial.signal == "SIGKILL"
            assert call.partial.bytes == len("begun\n") and call.partial.survivors == 0

    asyncio.run(main())
    gone(number)


def test_what_is_left_running_there_is_said(machine: Site) -> None:
    done = run(machine, "sleep 20 & echo begun")
    assert done.left and done.completed.exit == 0 and done.completed.stdout == "begun\n"


def test_connection_that_is_lost_leaves_the_end_unknown(machine: Site) -> None:
    async def main() -> Done:
        async with machine.fleet() as fleet:
            call = Call()
            way = await route(fleet, "web1")
            task = asyncio.create_task(
                fleet.run(way, "echo begun; sleep 600", call, timeout=600, max_output=1000)
            )
            async with asyncio.timeout(60):
                while "begun" not in call.said:
                    await asyncio.sleep(0.01)
            machine.stop("web1")
            return await task

    done = asyncio.run(main())
    assert done.lost is not None and done.lost.kind == "HostLost" and done.status == "error"
    assert done.completed.stdout == "begun\n"
    assert "check before you repeat" in done.lost.next_step


def test_host_that_refuses_to_run_anything_has_run_nothing(machine: Site) -> None:
    with pytest.raises(RelayError) as caught:
        run(machine, "refused")
    assert caught.value.kind == "Unreachable" and "web1" in caught.value.message


def test_progress_tells_the_last_lines(machine: Site) -> None:
    async def main() -> list[str]:
        call = Call()
        async with machine.fleet() as fleet:
            way = await route(fleet, "web1")
            text = "for n in 1 2 3 4; do echo line $n; sleep 0.6; done"
            await fleet.run(way, text, call, timeout=60, max_output=1000)
        return call.said

    assert any("line" in said for said in asyncio.run(main()))


def test_timeout_while_connecting_runs_nothing(machine: Site) -> None:
    with pytest.raises(RelayError) as caught:
        run(machine, "true", timeout=0.000001)
    assert caught.value.kind == "Timeout"
