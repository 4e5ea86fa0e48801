"""The service: signals, reload, and what the service manager is told."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from broker.machine import Machine, tell_machine
from broker.office import until


def hangup(machine: Machine) -> None:
    assert machine.process is not None
    machine.told.clear()
    os.kill(machine.process.pid, signal.SIGHUP)


def ready(machine: Machine) -> bool:
    return "READY=1" in machine.states()


def test_sigterm_records_the_stop_and_ends_cleanly(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        _, worker = await machine.at_work()
        await worker.begin("k-1")
        assert await machine.stop() == 0
        stop = machine.records()[-1]
        assert stop["event"] == "stop" and stop["detail"] == "SIGTERM"
        assert "STOPPING=1" in machine.states()

    tell_machine(tmp_path, tell)


def test_the_status_line_says_who_is_at_work(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        assert "STATUS=0 agents, 0 calls" in machine.states()
        _, worker = await machine.at_work()
        await worker.begin("k-1")
        user = worker.hello["user"]
        line = f"STATUS=1 agent, 1 call: {user} shell_exec"
        await until(lambda: any(text.startswith(line) for text in machine.states()))
        await worker.end("k-1")
        await until(lambda: "STATUS=1 agent, 0 calls" in machine.states())

    tell_machine(tmp_path, tell)


def test_the_watchdog_is_fed(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        await until(lambda: machine.states().count("WATCHDOG=1") >= 3)

    tell_machine(tmp_path, tell, WATCHDOG_USEC="200000")


def test_sighup_reloads_and_tells_the_manager_so(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        _, worker = await machine.at_work()
        assert (await worker.begin("k-1", "rm -rf /srv"))["decision"] == "allow"
        (tmp_path / "etc" / "relay-shell.toml").write_text('[policy]\nmode = "guarded"\n')
        hangup(machine)
        await until(lambda: ready(machine))
        states = machine.states()
        assert states[0] == "RELOADING=1" and states[1].startswith("MONOTONIC_USEC=")
        assert (await worker.hears("settings"))["mode"] == "guarded"
        assert (await worker.begin("k-2", "rm -rf /srv"))["decision"] == "deny"
        assert machine.records("config")[-1]["facts"]["changed"] == ["policy.mode"]

    tell_machine(tmp_path, tell)


def test_a_reload_with_an_error_keeps_what_is_in_force(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        _, worker = await machine.at_work()
        toml = tmp_path / "etc" / "relay-shell.toml"
        for n, (text, why) in enumerate(
            (
                ('[policy]\nmode = "guarded"\nmood = 1\n', "relay-shell.toml:3"),
                ('[policy]\nmode = "guarded"\ndeny = ["(a)\\\\1"]\n', "deny"),
            )
        ):
            toml.write_text(text)
            hangup(machine)
            await until(lambda: ready(machine))
            line = [text for text in machine.states() if text.startswith("STATUS=")][-1]
            assert "reload refused" in line and why in line
            assert (await worker.begin(f"k-{n}", "rm -rf /srv"))["decision"] == "allow"
            await worker.end(f"k-{n}")
            assert why in machine.records("config")[-1]["error"]
            operator = await machine.operator()
            assert why in (await operator.ask("status"))["status"]["reload_error"]
        toml.write_text('[policy]\nmode = "guarded"\n')
        hangup(machine)
        await until(lambda: ready(machine))
        assert (await worker.begin("k-9", "rm -rf /srv"))["decision"] == "deny"
        assert not any("refused" in text for text in machine.states())

    tell_machine(tmp_path, tell)


def test_a_storm_of_hangups_ends_in_ready(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        hangup(machine)
        for _ in range(50):
            os.kill(machine.process.pid if machine.process else 0, signal.SIGHUP)

        def settled() -> bool:
            told = [text for text in machine.states() if text in ("RELOADING=1", "READY=1")]
            return told[-1:] == ["READY=1"]

        await until(settled)
        _, worker = await machine.at_work()
        assert (await worker.begin("k-1"))["decision"] == "allow"

    tell_machine(tmp_path, tell)


def test_an_operator_is_told_what_became_of_a_reload(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        operator = await machine.operator()
        toml = tmp_path / "etc" / "relay-shell.toml"
        toml.write_text("[policy]\nmood = 1\n")
        machine.told.clear()
        refused = (await operator.ask("reload"))["refused"]
        assert "relay-shell.toml:2" in refused and "mood" in refused
        await until(lambda: ready(machine))
        assert machine.states()[0] == "RELOADING=1"
        assert machine.records("config")[-1]["what"] == "refused"
        toml.write_text('[policy]\nmode = "guarded"\n[worker]\nlandlock = "off"\n')
        reply = await operator.ask("reload")
        assert reply == {"refused": "", "needs_restart": ["worker.landlock"]}
        assert machine.records("config")[-1]["facts"]["changed"] == ["policy.mode"]

    tell_machine(tmp_path, tell)


def test_each_of_many_reloads_is_answered(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        operators = [await machine.operator() for _ in range(5)]
        toml = tmp_path / "etc" / "relay-shell.toml"
        for mode in ("guarded", "wild", "readonly"):
            toml.write_text(f'[policy]\nmode = "{mode}"\n')
            hangup(machine)
            replies = await asyncio.gather(*(each.ask("reload") for each in operators))
            assert ["wild" in reply["refused"] for reply in replies] == [mode == "wild"] * 5

    tell_machine(tmp_path, tell)


def test_a_reload_follows_a_rotation(tmp_path: Path) -> None:
    async def tell(machine: Machine) -> None:
        _, worker = await machine.at_work()
        await worker.begin("k-1")
        machine.audit.rename(tmp_path / "audit.jsonl.1")
        machine.audit.touch(mode=0o640)
        hangup(machine)
        await until(lambda: ready(machine))
        await worker.end("k-1")
        assert machine.records()[0]["event"] == "rotate"
        assert machine.records("outcome")

    tell_machine(tmp_path, tell)
