"""A worker's life: parked, adopted, idle, stopped."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from processes import mark, processes_with


def test_client_gone_without_anything_held_ends_the_worker(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            started = await s.front.start()
            assert started == {"worker": "abcdefgh", "pid": os.getpid()}
            call = s.front.call("shell_exec", {"command": f"sleep {mark(98791)}"})
            await s.until(lambda: processes_with(mark(98791)))
            s.front.link.notify("detach", {"conn": "c-1", "reason": "EOF"})
            assert "no client" in await s.worker.done
            assert s.broker.all("end")[0]["status"] == "cancelled"
            assert "EOF" in s.broker.all("end")[0]["error"]
            assert processes_with(mark(98791)) == []
            assert s.front.all("holding") == []
            call.cancel()

    asyncio.run(main())


def test_session_parks_the_worker_and_the_next_connection_finds_it(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            session = (await s.front.result("shell_spawn", command="cat"))["session"]
            s.front.link.notify("detach", {"conn": "c-1", "reason": "EOF"})
            await s.until(lambda: s.front.all("holding"))
            assert s.front.all("holding") == [{"sessions": 1, "outputs": 0}]
            assert (await s.front.link.request("attach", {"conn": "c-2"}))["worker"] == "abcdefgh"
            reply = await s.front.call(
                "session_send",
                {"session": session, "text": "still", "submit": True, "wait": "still"},
                conn="c-2",
            )
            assert reply["result"]["match"] == "still"
            assert not s.worker.done.done()

    asyncio.run(main())


def test_kept_output_parks_too(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            output = (await s.front.result("shell_exec", command="seq 99999"))["output"]
            s.front.link.notify("detach", {"conn": "c-1", "reason": "EOF"})
            await s.until(lambda: s.front.all("holding"))
            assert s.front.all("holding") == [{"sessions": 0, "outputs": 1}]
            await s.front.link.request("attach", {"conn": "c-2"})
            found = await s.front.result("output_read", output=output, search="^77777$")
            assert found["matches"][0]["line"] == 77_777

    asyncio.run(main())


def test_parked_worker_ends_when_its_last_session_does(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.settings["limits.session_idle"] = 0.5
            await s.front.start()
            await s.front.result("shell_spawn", command=f"sleep {mark(98792)}")
            s.front.link.notify("detach", {"conn": "c-1", "reason": "EOF"})
            await s.worker.done
            assert processes_with(mark(98792)) == []
            assert s.broker.all("note")[0]["facts"]["reason"] == "idle"

    asyncio.run(main())


def test_call_that_ends_the_last_session_of_a_parked_worker_is_answered(setting: Any) -> None:
    """Another connection of the principal may be served by a worker that has none of its own."""

    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            session = (await s.front.result("shell_spawn", command="cat"))["session"]
            s.front.link.notify("detach", {"conn": "c-1", "reason": "EOF"})
            await s.until(lambda: s.front.all("holding"))
            reply = await s.front.call("session_kill", {"session": session}, conn="c-2")
            assert not reply["is_error"]
            await s.worker.done

    asyncio.run(main())


def test_parked_worker_ends_after_its_idle_time(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.settings["worker.idle"] = 0.3
            await s.front.start()
            await s.front.result("shell_spawn", command=f"sleep {mark(98793)}")
            s.front.link.notify("detach", {"conn": "c-1", "reason": "EOF"})
            assert "idle" in await s.worker.done
            assert processes_with(mark(98793)) == []

    asyncio.run(main())


def test_calls_of_another_connection_go_on(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            await s.front.link.request("attach", {"conn": "c-2"})
            first = s.front.call("shell_exec", {"command": f"sleep {mark(98794)}"}, conn="c-1")
            second = s.front.call("shell_exec", {"command": "sleep 1; echo on"}, conn="c-2")
            await s.until(lambda: processes_with(mark(98794)))
            s.front.link.notify("detach", {"conn": "c-1", "reason": "EOF"})
            assert (await first)["result"]["error"]["kind"] == "Cancelled"
            assert (await second)["result"]["stdout"] == "on\n"
            assert not s.worker.done.done()

    asyncio.run(main())


def test_front_that_vanishes_cancels_calls_but_not_sessions(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.settings["worker.idle"] = 3
            await s.front.start()
            await s.front.result("shell_spawn", command=f"sleep {mark(98795)}")
            s.front.call("shell_exec", {"command": f"sleep {mark(98796)}"}).cancel()
            running = s.front.call("shell_exec", {"command": f"sleep {mark(98796)}"})
            await s.until(lambda: processes_with(mark(98796)))
            s.front.link.close()
            await s.until(lambda: not processes_with(mark(98796)))
            assert processes_with(mark(98795))
            assert "idle" in await s.worker.done
            assert processes_with(mark(98795)) == []
            running.cancel()

    asyncio.run(main())


def test_stop_of_the_broker_ends_everything(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            await s.front.result("shell_spawn", command=f"trap '' HUP; sleep {mark(98797)}")
            call = s.front.call("shell_exec", {"command": f"setsid sleep {mark(98797)}"})
            await s.until(lambda: len(processes_with(f"sleep\0{mark(98797)}")) == 2)
            s.broker.links[-1].notify("stop", {"reason": "frozen"})
            assert "frozen" in await s.worker.done
            assert processes_with(mark(98797)) == []
            assert s.broker.all("end")[-1]["status"] == "killed"
            assert s.broker.all("note")[0]["facts"]["reason"] == "worker stopped"
            await s.front.closed.wait()
            call.cancel()

    asyncio.run(main())


def test_reloaded_settings_apply_at_once(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            s.broker.links[-1].notify(
                "settings",
                {
                    "settings": {"limits.timeout_max": 5, "worker.path": "/nowhere"},
                    "mode": "guarded",
                    "ceiling": 2,
                    "groups": [],
                },
            )
            await s.until(lambda: s.worker._identity["mode"] == "guarded")
            assert "hosts" not in s.worker._identity
            granted = {"settings": {}, "mode": "open", "ceiling": 3, "groups": []}
            s.broker.links[-1].notify("settings", {**granted, "access_hosts": ["web-*"]})
            await s.until(lambda: s.worker._identity.get("hosts") == ["web-*"])
            s.broker.links[-1].notify("settings", {**granted, "mode": "guarded", "ceiling": 2})
            await s.until(lambda: s.worker._identity["mode"] == "guarded")
            assert "hosts" not in s.worker._identity
            info = await s.front.result("server_info")
            assert (info["mode"], info["ceiling"]) == ("guarded", 2)
            error = (await s.front.result("shell_exec", argv=["true"]))["error"]
            assert "/nowhere" in error["message"]
            error = (await s.front.result("shell_exec", command="true", timeout=6))["error"]
            assert error["kind"] == "InvalidArguments"

    asyncio.run(main())


def test_broker_is_told_what_runs(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            await s.front.result("shell_spawn", command="cat")
            await s.until(lambda: any(body["sessions"] for body in s.broker.all("busy")))
            assert s.broker.all("busy")[-1]["sessions"] == ["s1.abcdefgh cat"]

    asyncio.run(main())


def test_spare_waits_for_its_connection_as_long_as_the_front_is_there(
    setting: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("relay_shell.worker.worker.QUIET", 0.01)

    async def main() -> None:
        async with setting() as s:
            await s.until(lambda: s.worker._quiet.cancelled() or s.worker._quiet.when() < now())
            assert not s.worker.done.done() and s.broker.links == []
            assert (await s.front.start())["worker"] == "abcdefgh"
            assert (await s.front.result("shell_exec", command="echo x"))["stdout"] == "x\n"

    asyncio.run(main())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_spare_whose_front_is_gone_ends(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            s.front.link.close("the front ended")
            assert "nothing is held" in await s.worker.done
            assert s.broker.links == []

    asyncio.run(main())


def test_spare_serves_no_call_before_it_knows_for_whom(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            # The link's table refuses it, and so does the worker: whichever end errs, nothing runs.
            call = s.front.call("shell_exec", {"command": "touch ran"})
            await asyncio.wait([call])
            assert "Protocol" in str(call.exception())
            assert s.broker.links == []

    asyncio.run(main())


def test_its_tools_find_the_connection_to_the_keys(setting: Any) -> None:
    async def main() -> None:
        keys, theirs = socket.socketpair()
        with keys, theirs:
            async with setting(theirs.fileno()) as s:
                await s.front.start()
                assert s.worker._services.agent_fd == theirs.fileno()
        async with setting() as s:
            await s.front.start()
            assert s.worker._services.agent_fd == -1

    asyncio.run(main())
