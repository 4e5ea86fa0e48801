"""The broker's restarts, as a worker lives through them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from processes import mark, processes_with
from relay_shell.wire.errors import RelayError


def test_running_call_survives_the_brokers_restart(setting: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            call = s.front.call(
                "shell_exec",
                {"command": f"until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo done"},
                ident="k-5",
            )
            await s.until(lambda: s.broker.all("begin"))
            await s.until(lambda: processes_with(f"until [ -e {tmp_path}/go ]"))
            s.broker.drop()
            await s.until(lambda: len(s.broker.all("hello_worker")) == 2)
            hello = s.broker.all("hello_worker")[1]
            assert (hello["worker"], hello["resume"]) == ("abcdefgh", "secret")
            assert hello["calls"] == ["k-5"]
            assert "ticket" not in hello
            (tmp_path / "go").touch()
            assert (await call)["result"]["stdout"] == "done\n"
            assert [end["call"] for end in s.broker.all("end")] == ["k-5"]

    asyncio.run(main())


def test_new_call_waits_for_the_broker_then_is_refused(setting: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.settings["worker.broker_wait"] = 0.3
            await s.front.start()
            s.broker.away = True
            s.broker.drop()
            reply = await s.front.call("shell_exec", {"command": f"touch {tmp_path}/ran"})
            assert reply["result"]["error"]["kind"] == "BrokerUnavailable"
            assert "nothing ran" in reply["result"]["error"]["message"]
            assert not (tmp_path / "ran").exists()
            s.broker.away = False
            s.broker.settings["worker.broker_wait"] = 20
            await s.until(lambda: len(s.broker.all("hello_worker")) == 2)
            assert (await s.front.result("shell_exec", command="echo on"))["stdout"] == "on\n"

    asyncio.run(main())


def test_call_waits_through_a_restart(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.settings["worker.broker_wait"] = 20
            await s.front.start()
            s.broker.away = True
            s.broker.drop()
            call = s.front.call("shell_exec", {"command": "echo late"})
            await asyncio.sleep(0.1)
            assert not call.done()
            s.broker.away = False
            assert (await call)["result"]["stdout"] == "late\n"

    asyncio.run(main())


def test_begin_whose_verdict_was_lost_is_asked_anew(setting: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.settings["worker.broker_wait"] = 20
            times = 0

            async def dies(body: Any) -> Any:
                nonlocal times
                times += 1
                if times == 1:
                    s.broker.drop()
                return s.broker.verdict

            s.broker.on_begin = dies
            await s.front.start()
            command = f"echo x >> {tmp_path}/ran"
            reply = await s.front.call("shell_exec", {"command": command}, ident="k-3")
            assert reply["result"]["exit"] == 0
            assert (tmp_path / "ran").read_text() == "x\n"
            assert [begin["call"] for begin in s.broker.all("begin")] == ["k-3", "k-3"]
            # The call had no verdict, so the worker does not claim to run it.
            assert s.broker.all("hello_worker")[1]["calls"] == []

    asyncio.run(main())


def test_end_that_could_not_be_told_is_told_later(setting: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.settings["worker.broker_wait"] = 0.3
            await s.front.start()
            call = s.front.call(
                "shell_exec",
                {"command": f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"},
                ident="k-4",
            )
            await s.until(lambda: processes_with(f"until [ -e {tmp_path}/go ]"))
            s.broker.away = True
            s.broker.drop()
            (tmp_path / "go").touch()
            reply = await call
            assert reply["result"]["exit"] == 0
            assert "not recorded yet" in reply["result"]["record"]
            assert s.broker.all("end") == []
            s.broker.away = False
            await s.until(lambda: s.broker.all("end"))
            assert s.broker.all("hello_worker")[1]["calls"] == ["k-4"]
            assert s.broker.all("end")[0]["call"] == "k-4"

    asyncio.run(main())


def test_notes_wait_for_the_broker(setting: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            command = f"until [ -e {tmp_path}/go ]; do sleep 0.02; done; exit 5"
            session = (await s.front.result("shell_spawn", command=command))["session"]
            s.broker.away = True
            s.broker.drop()
            (tmp_path / "go").touch()
            await s.until(lambda: not processes_with(f"until [ -e {tmp_path}/go ]"))
            assert s.broker.all("note") == []
            s.broker.away = False
            await s.until(lambda: s.broker.all("note"))
            facts = s.broker.all("note")[0]["facts"]
            assert (facts["session"], facts["exit"]) == (session, 5)

    asyncio.run(main())


def test_worker_that_the_broker_disowns_ends(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            call = s.front.call("shell_exec", {"command": f"sleep {mark(98784)}"})
            await s.until(lambda: processes_with(mark(98784)))
            s.broker.refuse = RelayError("PermissionDenied", reason="unknown worker")
            s.broker.drop()
            assert "refused" in await s.worker.done
            assert processes_with(mark(98784)) == []
            call.cancel()

    asyncio.run(main())


def test_no_broker_at_the_start(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.away = True
            try:
                await s.front.start()
            except RelayError as error:
                assert error.kind == "BrokerUnavailable"
            else:
                raise AssertionError("started without a broker")
            assert "not started" in await s.worker.done

    asyncio.run(main())
