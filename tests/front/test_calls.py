"""tools/call: arguments, routing, progress, cancellation, failures."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from pathlib import Path

from front.peers import META, PRINCIPAL, house, until


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario, 300))


def test_unknown_tool_is_an_error_and_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            for modern in (False, True):
                raw = await home.connect() if modern else await home.legacy()
                answer = await raw.call("rm_rf", {"path": "/"}, modern=modern)
                assert answer["error"]["code"] == -32602
                assert answer["error"]["message"] == "UnknownTool: no tool named 'rm_rf'"
                record = home.broker.bodies("rejected")[-1]
                assert (record["what"], record["tool"]) == ("unknown tool", "rm_rf")
                canonical = b'{"path":"/"}'
                assert record["sha256"] == hashlib.sha256(canonical).hexdigest()
                assert record["length"] == len(canonical)
            long = await raw.call("x" * 100_000, modern=True)
            assert len(long["error"]["message"]) < 400
            assert not home.workers

    run(scenario())


def test_bad_arguments_name_path_and_reason(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            for args, path, reason in (
                ({"command": 7}, "command", "is not of type 'string'"),
                ({"command": "true", "argv": ["a", 3]}, "argv[1]", "is not of type 'string'"),
                ({"command": "true", "env": {"A": 1}}, "env.A", "is not of type 'string'"),
                ({"command": "true", "timeout": -1}, "timeout", "minimum"),
                ({"command": "true", "tiemout": 1}, "arguments", "'tiemout' was unexpected"),
            ):
                result = await raw.call("shell_exec", args)
                assert result["isError"] is True
                error = result["structuredContent"]["error"]
                assert error["kind"] == "InvalidArguments"
                assert error["message"].startswith(f"{path}: "), error
                assert reason in error["message"]
                text = result["content"][0]["text"]
                assert text.startswith(f"[ERROR: InvalidArguments: {path}: ")
                assert text.endswith("\n" + error["next_step"])
                record = home.broker.bodies("rejected")[-1]
                assert (record["what"], record["tool"]) == ("invalid arguments", "shell_exec")
            huge = await raw.call("shell_exec", {"command": ["y" * 1_000_000]})
            assert len(json.dumps(huge)) < 2000
            assert not home.workers

    run(scenario())


def test_malformed_calls_are_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            for params in (
                {"name": 5, "arguments": {}},
                {"arguments": {}},
                {"name": "shell_exec", "arguments": [1]},
                {"name": "shell_exec", "arguments": "true"},
            ):
                answer = await raw.ask("tools/call", params, modern=True)
                assert answer["error"]["code"] == -32602
                assert home.broker.bodies("rejected")[-1]["what"] == "malformed call"
            assert len(home.broker.bodies("rejected")) == 4
            early = await home.connect()
            params = {"name": "shell_exec", "arguments": {"command": "true"}}
            assert (await early.ask("tools/call", params))["error"]["code"] == -32602
            late = await home.legacy()
            assert (await late.ask("tools/call", params, modern=True))["error"]["code"] == -32600
            whats = [body["what"] for body in home.broker.bodies("rejected")]
            assert whats == ["malformed call"] * 6
            assert not home.workers

    run(scenario())


def test_handler_failure_is_a_result_and_leaks_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            # `bogus` makes the worker's handler raise AttributeError.
            result = await raw.call("shell_exec", {"command": "bogus"})
            assert result["structuredContent"]["error"]["kind"] == "Internal"
            assert "bogus" not in json.dumps(result)
            result = await raw.call("shell_exec", {"command": "fail"})
            assert result["structuredContent"]["error"]["kind"] == "BrokerUnavailable"

    run(scenario())


def test_worker_that_dies_and_the_next_call(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            result = await raw.call("shell_exec", {"command": "die"})
            error = result["structuredContent"]["error"]
            assert error["kind"] == "WorkerLost"
            assert "check its effect" in error["next_step"]
            result = await raw.call("shell_exec", {"command": "echo again"})
            assert result["structuredContent"]["stdout"] == "again\n"
            assert len(home.workers) == 2
            assert set(home.store.held) == {f"worker-{home.workers[1].id}"}

    run(scenario())


def test_no_worker_can_be_started(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.no_workers = FileNotFoundError(2, "No such file or directory")
            raw = await home.legacy()
            result = await raw.call("shell_exec", {"command": "true"})
            error = result["structuredContent"]["error"]
            assert error["kind"] == "WorkerUnavailable"
            assert "relay-shell-worker.socket" in error["next_step"]
            home.no_workers = None
            assert (await raw.call("shell_exec", {"command": "true"}))["isError"] is False

    run(scenario())


def test_concurrent_first_calls_share_one_worker(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            params = {"name": "shell_exec", "arguments": {"command": "echo x"}}
            idents = [raw.request("tools/call", params) for _ in range(20)]
            answers = {(await raw.hear())["id"] for _ in idents}
            assert answers == set(idents)
            assert len(home.workers) == 1
            assert len({call["call"] for call in home.workers[0].calls}) == 20

    run(scenario())


def test_progress_needs_a_token_and_strictly_increases(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            await raw.call("shell_exec", {"command": "count 3"})
            assert not [f for f in raw.heard if "method" in f]
            assert home.workers[0].calls[-1]["progress"] is False
            for token in (7, "tok"):
                raw.heard.clear()
                began = time.monotonic()
                await raw.call("shell_exec", {"command": "count 20"}, token=token)
                took = time.monotonic() - began
                shown = [f["params"] for f in raw.heard if "method" in f]
                assert {p["progressToken"] for p in shown} == {token}
                values = [p["progress"] for p in shown]
                assert values == sorted(set(values))
                # 60 reports in 0.6 s or more, of which one in 0.1 s is passed on.
                assert 2 <= len(values) <= 1 + took / 0.1
                assert shown[0]["message"] == "line 1"
            # Nothing follows the result.
            assert "method" not in raw.heard[-1]
            await raw.silence(0.15)

    run(scenario())


def test_cancellation_reaches_the_worker_and_is_silent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            for count, modern in ((1, False), (2, True)):
                raw = await home.connect() if modern else await home.legacy()
                params = {
                    "name": "shell_exec",
                    "arguments": {"command": "sleep 30"},
                    "_meta": {"progressToken": 1},
                }
                ident = raw.request("tools/call", params, modern=modern)
                await until(lambda count=count: len(home.workers) == count)
                worker = home.workers[-1]
                await until(lambda worker=worker: worker.calls)
                raw.say("notifications/cancelled", {"requestId": ident, "reason": "enough"})
                await until(lambda worker=worker: worker.cancelled)
                assert worker.cancelled[0]["call"] == worker.calls[0]["call"]
                assert worker.cancelled[0]["reason"] == "enough"
                await raw.silence()
                # The id is free again, and the connection works.
                raw.ident = ident - 1
                result = await raw.call("shell_exec", {"command": "echo on"}, modern=modern)
                assert result["structuredContent"]["stdout"] == "on\n"
                raw.say("notifications/cancelled", {"requestId": 999})
                raw.say("notifications/cancelled", {"requestId": None})
                raw.say("notifications/cancelled")
                await raw.close()
                await until(lambda: not home.front.clients)

    run(scenario())


def test_cancel_while_the_worker_starts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            params = {"name": "shell_exec", "arguments": {"command": "echo x"}}
            # In one write: the call is cancelled before it has taken its first step.
            ident = raw.request("tools/call", params)
            raw.say("notifications/cancelled", {"requestId": str(ident)})
            await raw.silence()
            raw.ident = ident - 1
            home.gate.clear()
            ident = raw.request("tools/call", params)
            await until(lambda: home.broker.bodies("ticket"))
            raw.say("notifications/cancelled", {"requestId": ident})
            await raw.silence()
            home.gate.set()
            # The worker that was being started serves the next call.
            assert (await raw.call("shell_exec", {"command": "true"}))["isError"] is False
            assert len(home.workers) == 1

    run(scenario())


def test_disconnect_cancels_detaches_and_is_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            params = {"name": "shell_exec", "arguments": {"command": "sleep 30"}}
            raw.request("tools/call", params)
            worker = await until(lambda: home.workers and home.workers[0])
            await until(lambda: worker.calls)
            await raw.close()
            await until(lambda: worker.cancelled or worker.link.closed)
            await until(lambda: home.broker.bodies("disconnect"))
            conn = worker.calls[0]["conn"]
            assert worker.detached[0]["conn"] == conn
            assert home.broker.bodies("disconnect")[0]["conn"] == conn
            await until(lambda: not home.store.held)
            assert home.front.idle.is_set()

    run(scenario())


def test_parked_worker_is_adopted_and_handles_are_routed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            first = await home.legacy()
            spawned = await first.call("shell_spawn", {"command": "bash"})
            handle = spawned["structuredContent"]["session"]
            second = await home.legacy()
            # A second connection has a worker of its own, yet reaches the first one's session.
            await second.call("shell_exec", {"command": "true"})
            assert len(home.workers) == 2
            sent = await second.call("session_send", {"session": handle, "text": "ls\n"})
            assert sent["structuredContent"]["output"] == "ok"
            assert home.workers[0].calls[-1]["tool"] == "session_send"
            assert home.workers[0].calls[-1]["conn"] == home.workers[1].calls[0]["conn"]
            await second.call("shell_spawn", {"command": "bash"})
            listed = await second.call("session_list")
            assert len(listed["structuredContent"]["sessions"]) == 2
            assert handle in listed["content"][0]["text"]
            await first.close()
            await until(lambda: home.workers[0].detached)
            assert not home.workers[0].link.closed
            third = await home.legacy()
            await third.call("shell_exec", {"command": "true"})
            assert len(home.workers) == 2
            assert home.broker.bodies("adopt")[0]["worker"] == home.workers[0].id
            sent = await third.call("session_send", {"session": handle, "text": "ls\n"})
            assert sent["isError"] is False

    run(scenario())


def test_handle_of_a_parked_worker_takes_that_worker_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            both = [await home.legacy() for _ in range(2)]
            handles = []
            for raw in both:
                spawned = await raw.call("shell_spawn", {"command": "bash"})
                handles.append(spawned["structuredContent"]["session"])
            for raw in both:
                await raw.close()
            await until(lambda: all(worker.detached for worker in home.workers))
            await until(lambda: all(w.parked for w in home.front.pool.of(PRINCIPAL)))
            first, second = home.workers
            again = await home.legacy()
            sent = await again.call("session_send", {"session": handles[1], "text": "x"})
            assert sent["isError"] is False
            assert [body["worker"] for body in home.broker.bodies("adopt")] == [second.id]
            assert not first.said
            assert second.said[-1][0] == "attach"

    run(scenario())


def test_another_principals_handle_is_not_found(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            first = await home.legacy()
            spawned = await first.call("shell_spawn", {"command": "bash"})
            handle = spawned["structuredContent"]["session"]
            second = await home.legacy()
            stranger = max(
                home.front._clients, key=lambda c: c.conn != home.workers[0].calls[0]["conn"]
            )
            stranger.principal = "unix:mallory"
            for wanted in (handle, "s1.aaaaaaaa", "s1.", "s1"):
                sent = await second.call("session_send", {"session": wanted, "text": "x"})
                error = sent["structuredContent"]["error"]
                assert error["kind"] == "NotFound"
                # Word for word the same, whether the session exists or not.
                assert error["message"] == f"no session {wanted}"
            listed = await second.call("session_list")
            assert listed["structuredContent"]["sessions"] == []
            assert all(call["tool"] != "session_send" for call in home.workers[0].calls)

    run(scenario())


def test_one_megabyte_of_output(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            raw.send(
                {
                    "jsonrpc": "2.0",
                    "id": 1,
                    "method": "tools/call",
                    "params": {
                        "name": "shell_exec",
                        "arguments": {"command": "big 1048576"},
                        "_meta": META,
                    },
                }
            )
            answer = await raw.answer(1)
            assert len(answer["result"]["structuredContent"]["stdout"]) == 1048576

    run(scenario())
