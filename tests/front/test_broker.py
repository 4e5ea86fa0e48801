"""The broker comes and goes: connections stay, calls wait or are refused, identities are kept."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from front.peers import PRINCIPAL, House, house, until
from relay_shell.wire.errors import RelayError
from relay_shell.wire.link import Link
from relay_shell.wire.sockets import pair


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario, 300))


def test_calls_are_refused_while_the_broker_is_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        home = House(tmp_path / "mcp.sock")
        home.options["wait"] = 0.3
        home.broker.down = True
        await home.start()
        raw = await home.legacy()
        # The list grants nothing, so a client may start; the calls are refused.
        assert "tools" in (await raw.ask("tools/list"))["result"]
        result = await raw.call("shell_exec", {"command": "true"})
        error = result["structuredContent"]["error"]
        assert error["kind"] == "BrokerUnavailable"
        assert error["message"].endswith("nothing ran")
        assert "systemctl status relay-shell" in error["next_step"]
        assert not home.workers
        prompt = await raw.ask("prompts/get", {"name": "operating_guide"})
        assert prompt["error"]["message"].startswith("BrokerUnavailable: ")
        home.broker.down = False
        await until(lambda: home.front.broker.up)
        result = await raw.call("shell_exec", {"command": "echo back"})
        assert result["structuredContent"]["stdout"] == "back\n"
        await until(lambda: home.broker.bodies("client"))
        await home.front.stop("over")

    run(scenario())


def test_reloaded_settings_take_effect_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            settings = {**home.front.broker.settings, "limits.message": 4096}
            home.broker.links[-1].notify("front_settings", {"settings": settings})
            await until(lambda: home.front.setting("limits.message") == 4096)

    run(scenario())


def test_a_call_waits_for_a_broker_that_is_restarting(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path, wait=5.0) as home:
            raw = await home.legacy()
            home.broker.down = True
            home.broker.restart()
            await until(lambda: not home.front.broker.up)
            ident = raw.request("tools/call", {"name": "shell_exec", "arguments": {}})
            await raw.silence(0.1)
            home.broker.down = False
            assert "result" in await raw.answer(ident)

    run(scenario())


def test_every_connection_is_presented_again_with_its_id(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            clients = [await home.legacy() for _ in range(5)]
            for raw in clients:
                await raw.call("shell_exec", {"command": "true"})
            before = {client.conn for client in home.front._clients}
            assert len(before) == 5
            home.broker.said.clear()
            home.broker.restart()
            await until(lambda: len(home.broker.bodies("connect")) == 5)
            assert home.broker.names()[0] == "hello_front"
            assert {body["conn"] for body in home.broker.bodies("connect")} == before
            await until(lambda: len(home.broker.bodies("client")) == 5)
            for raw in clients:
                assert (await raw.call("shell_exec", {"command": "true"}))["isError"] is False
            # The workers stayed where they were.
            assert len(home.workers) == 5

    run(scenario())


def test_a_refusal_is_recorded_after_the_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path, wait=5.0) as home:
            raw = await home.legacy()
            home.broker.down = True
            home.broker.restart()
            await until(lambda: not home.front.broker.up)
            ident = raw.request("tools/call", {"name": "shell_exec", "arguments": {"x": 1}})
            raw.write(b"garbage\n")
            assert (await raw.hear())["error"]["code"] == -32700
            home.broker.down = False
            answer = await raw.answer(ident)
            assert answer["result"]["structuredContent"]["error"]["kind"] == "InvalidArguments"
            await until(lambda: len(home.broker.bodies("rejected")) == 2)
            recorded = {body["what"] for body in home.broker.bodies("rejected")}
            assert recorded == {"invalid arguments", "malformed message"}

    run(scenario())


def test_broker_closes_a_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            raw.request("tools/call", {"name": "shell_exec", "arguments": {"command": "sleep 30"}})
            await until(lambda: home.workers and home.workers[0].calls)
            conn = home.workers[0].calls[0]["conn"]
            home.broker.links[-1].notify("close", {"conn": conn, "reason": "frozen: test"})
            assert await raw.hear() == {}
            await until(lambda: home.workers[0].link.closed)
            await until(lambda: home.broker.bodies("disconnect"))
            assert home.broker.bodies("disconnect")[0] == {"conn": conn, "reason": "frozen: test"}

    run(scenario())


def test_socket_passed_is_the_clients_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            seen = []
            real = home.broker.connect

            def connect(body, fds):
                sock = socket.socket(fileno=os.dup(fds[0]))
                with sock:
                    seen.append((sock.family, sock.type, sock.getsockname()))
                return real(body, fds)

            home.broker.connect = connect
            await home.legacy()
            assert seen == [(socket.AF_UNIX, socket.SOCK_STREAM, home.path)]

    run(scenario())


def test_restarted_front_finds_its_workers_in_the_fd_store(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            spawned = await raw.call("shell_spawn", {"command": "bash"})
            handle = spawned["structuredContent"]["session"]
            worker = home.workers[0]
            conn = worker.link and home.broker.bodies("ticket")[0]["conn"]
            old = home.front
            await old.stop("restart")
            assert not worker.link.closed
            await until(lambda: worker.detached)
            home.broker.live = [
                {"worker": worker.id, "principal": PRINCIPAL, "pid": 1, "conn": conn}
            ]
            unknown, far = pair()
            stored = [(name.removeprefix("worker-"), s) for name, s in home.store.held.items()]
            home.store.held = {f"worker-{ident}": sock for ident, sock in stored}
            await home.start(
                [(ident, sock.dup()) for ident, sock in stored] + [("aaaaaaaa", unknown)]
            )
            await until(lambda: len(home.front.pool) == 1)
            assert worker.detached[-1] == {"conn": conn, "reason": "the front was restarted"}
            assert far.recv(1) == b""
            again = await home.legacy()
            sent = await again.call("session_send", {"session": handle, "text": "ls\n"})
            assert sent["isError"] is False
            await again.call("shell_exec", {"command": "true"})
            assert len(home.workers) == 1
            assert home.broker.bodies("adopt")

    run(scenario())


def test_late_reply_to_the_former_front_answers_nobody() -> None:
    async def scenario() -> None:
        near, far = pair()
        heard: list[str] = []
        release = asyncio.Event()

        async def start(link: Link, body: dict, fds: list[int]) -> dict:
            return {"worker": "abcdefgh", "pid": 1}

        async def call(link: Link, body: dict, fds: list[int]) -> dict:
            heard.append(body["call"])
            await release.wait()
            return {"result": {"of": body["call"]}, "is_error": False}

        worker = Link(far, "worker", "front", requests={"start": start, "call": call})
        body = {"conn": "c", "tool": "t", "args": {}, "progress": False}
        # The stored descriptor keeps the connection open while the front is restarted.
        first = Link(near.dup(), "front", "worker")
        await first.request("start", {"ticket": "t", "conn": "c"})
        lost = asyncio.ensure_future(first.request("call", {**body, "call": "k-first"}))
        await until(lambda: heard == ["k-first"])
        first.close("killed")
        assert isinstance((await asyncio.gather(lost, return_exceptions=True))[0], RelayError)
        second = Link(near, "front", "worker", greeted=True)
        asked = asyncio.ensure_future(second.request("call", {**body, "call": "k-second"}))
        await until(lambda: heard == ["k-first", "k-second"])
        release.set()
        assert (await asked)["result"] == {"of": "k-second"}
        worker.close()
        second.close()

    run(scenario())


def test_a_connection_that_is_not_taken_back_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            raw.request("tools/call", {"name": "shell_exec", "arguments": {"command": "sleep 30"}})
            await until(lambda: home.workers and home.workers[0].calls)
            home.broker.refusal = RelayError("PermissionDenied", reason="another process")
            home.broker.restart()
            assert await raw.hear() == {}
            await until(lambda: home.workers[0].cancelled)

    run(scenario())


def test_a_silent_refused_client_keeps_no_place(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.broker.refusal = RelayError("Busy", reason="too many")
            raw = await home.connect()
            assert await raw.hear() == {}
            assert not home.front.clients

    run(scenario())


def test_worker_with_a_forged_id_is_not_used(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            real = home.spawn

            async def spawn() -> socket.socket:
                sock = await real()
                home.begun[-1].id = "abc\nMAINPID=1"
                return sock

            home.front.pool._dial = spawn
            raw = await home.legacy()
            ident = raw.request("tools/call", {"name": "shell_exec", "arguments": {}})
            answer = await raw.answer(ident)
            kind = answer["result"]["structuredContent"]["error"]["kind"]
            assert kind == "WorkerUnavailable"
            assert not home.store.held

    run(scenario())
