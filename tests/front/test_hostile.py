"""Clients that mean harm, or do it: malformed frames, floods, silence. Others are unaffected."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import resource
import socket
from pathlib import Path

import pytest

from front.peers import BOUND, META, house, until
from relay_shell.front import channel, lines, session


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario, 300))


def resident() -> int:
    """Octets of memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize(
    ("line", "code", "ident"),
    [
        (b"hello", -32700, None),
        (b"{", -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"', -32700, None),
        (b"\xff\xfe", -32700, None),
        (b'{"a":NaN}', -32700, None),
        (b'{"jsonrpc":"2.0","id":3,"method":"ping","params":{"x":1e999}}', -32700, 3),
        (b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}', -32700, None),
        (b"[" * 5000 + b"]" * 5000, -32700, None),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b'{"a":' * 60 + b"1" + b"}" * 61,
            -32600,
            1,
        ),
        (b"[]", -32600, None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, None),
        (b"7", -32600, None),
        (b'"text"', -32600, None),
        (b"null", -32600, None),
        (b"{}", -32600, None),
        (b'{"jsonrpc":"1.0","id":4,"method":"ping"}', -32600, 4),
        (b'{"id":4,"method":"ping"}', -32600, 4),
        (b'{"jsonrpc":"2.0","id":5}', -32600, 5),
        (b'{"jsonrpc":"2.0","id":5,"method":7}', -32600, 5),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":6,"method":"ping","params":[1]}', -32602, 6),
        (b'{"jsonrpc":"2.0","id":6,"method":"ping","params":"x"}', -32602, 6),
    ],
)
def test_malformed_line_is_answered_and_recorded(
    tmp_path: Path, line: bytes, code: int, ident: object
) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            raw.write(line + b"\n")
            answer = await raw.hear()
            assert (answer["error"]["code"], answer["id"]) == (code, ident), answer
            record = (await until(lambda: home.broker.bodies("rejected")))[0]
            assert record["what"] == "malformed message"
            assert record["length"] == len(line)
            assert record["sha256"] == hashlib.sha256(line).hexdigest()
            assert "result" in await raw.ask("server/discover", modern=True)

    run(scenario())


def test_what_needs_no_answer_gets_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            raw.write(b"\n\r\n   \n")
            raw.send({"jsonrpc": "2.0", "id": 9, "result": {}})
            raw.send({"jsonrpc": "2.0", "id": 9, "error": {"code": 1, "message": "x"}})
            raw.say("notifications/unheard/of", {"a": 1})
            raw.say("notifications/progress", {"progressToken": 1, "progress": 1})
            await raw.silence()
            assert "result" in await raw.ask("server/discover", modern=True)

    run(scenario())


def test_a_thousand_malformed_frames(tmp_path: Path) -> None:
    async def scenario() -> None:
        dice = random.Random(20260728)
        good = json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
        ).encode()
        async with house(tmp_path) as home:
            other = await home.legacy()
            raw = await home.connect()
            frames = []
            for _ in range(1000):
                frame = bytearray(good)
                for _ in range(dice.randint(1, 8)):
                    at = dice.randrange(len(frame))
                    kind = dice.randrange(3)
                    if kind == 0:
                        frame[at] = dice.randrange(256)
                    elif kind == 1:
                        del frame[at : at + dice.randint(1, 20)]
                    else:
                        frame[at:at] = bytes(dice.choices(b'{}[]",:\\u0e+-', k=dice.randint(1, 5)))
                frames.append(bytes(frame).replace(b"\n", b""))
            raw.write(b"\n".join(frames) + b"\n")
            last = raw.request("tools/list", modern=True)
            # Whatever they were, the connection answers in the end, and others all along.
            assert "result" in (await other.ask("tools/list"))
            while True:
                answer = await raw.hear()
                assert answer, "closed"
                if answer.get("id") == last and "result" in answer:
                    break
                if "error" in answer:
                    assert answer["error"]["code"] in range(-32800, -32000), answer
            faults = [f for f in raw.heard if "error" in f]
            assert len(faults) > 500
            # The flood is a few records that count, not a thousand.
            await until(lambda: any("more" in b["detail"] for b in home.broker.bodies("rejected")))
            records = home.broker.bodies("rejected")
            assert len(records) < 20

    run(scenario())


def test_oversized_line_of_100_mb(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            other = await home.legacy()
            raw = await home.connect()
            chunk = b"x" * 1_000_000
            digest = hashlib.sha256()
            before = resident()
            peak = 0
            for n in range(100):
                piece = b'{"jsonrpc":"2.0","id":1,"method":"' + chunk[34:] if n == 0 else chunk
                raw.write(piece)
                digest.update(piece)
                await raw.writer.drain()
                peak = max(peak, resident())
                if n % 25 == 0:
                    assert "result" in await other.ask("ping")
            raw.write(b"\n")
            answer = await raw.hear()
            assert answer["error"]["code"] == -32600
            assert "100000000 bytes is too long" in answer["error"]["message"]
            # The line is over 20 times what may have been kept of it.
            assert peak - before < 24 * 1024 * 1024
            record = (await until(lambda: home.broker.bodies("rejected")))[0]
            assert record["length"] == 100_000_000
            assert record["sha256"] == digest.hexdigest()
            assert "result" in await raw.ask("server/discover", modern=True)

    run(scenario())


def test_line_of_exactly_the_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.broker.settings["limits.message"] = 65536
            home.broker.restart()
            await until(lambda: home.front.broker.settings)
            raw = await home.connect()
            head, tail = b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"', b'"}}'
            for size, code in ((65536, -32602), (65537, -32600)):
                raw.write(head + b"y" * (size - len(head) - len(tail)) + tail + b"\n")
                answer = await raw.hear()
                assert answer["error"]["code"] in (code, -32601) if size == 65536 else code

    run(scenario())


def test_client_that_never_reads_is_dropped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path, stall=0.5) as home:
            other = await home.legacy()
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(home.path)
            sock.setblocking(False)
            line = json.dumps(
                {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
            ).encode()
            before = resident()
            dropped = False
            deadline = asyncio.get_running_loop().time() + BOUND
            while not dropped:
                assert asyncio.get_running_loop().time() < deadline
                try:
                    sock.send(line + b"\n")
                except BlockingIOError:
                    await asyncio.sleep(0.01)
                except (BrokenPipeError, ConnectionResetError):
                    dropped = True
                else:
                    await asyncio.sleep(0)
            sock.close()
            assert resident() - before < 16 * 1024 * 1024
            assert "result" in await other.ask("ping")
            reasons = [b["reason"] for b in home.broker.bodies("disconnect")]
            assert reasons == ["the client does not read"]

    run(scenario())


def test_output_that_nobody_reads_is_bounded_over_all_connections(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            output = home.front._shared.output
            output.left = 4_000_000
            other = await home.legacy()
            call = {
                "name": "shell_exec",
                "arguments": {"command": "big 1000000"},
                "_meta": META,
            }
            silent = []
            for _ in range(4):
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(home.path)
                silent.append(sock)
                for ident in range(3):
                    frame = {"jsonrpc": "2.0", "id": ident, "method": "tools/call", "params": call}
                    sock.sendall(json.dumps(frame).encode() + b"\n")
            # One alone could have waited: together they are too much, and some are dropped.
            await until(
                lambda: [b["reason"] for b in home.broker.bodies("disconnect")].count(
                    "the client does not read"
                )
            )
            assert output.left >= 0
            assert "result" in await other.ask("ping")
            big = await other.call("shell_exec", {"command": "echo fine"})
            assert big["isError"] is False
            for sock in silent:
                sock.close()
            await until(lambda: output.left == 4_000_000)

    run(scenario())


def test_slow_reader_gets_everything(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            params = {"name": "shell_exec", "arguments": {"command": "big 300000"}}
            idents = [raw.request("tools/call", params) for _ in range(30)]
            await asyncio.sleep(0.3)
            seen = set()
            for _ in idents:
                answer = await raw.hear()
                assert len(answer["result"]["structuredContent"]["stdout"]) == 300000
                seen.add(answer["id"])
            assert seen == set(idents)

    run(scenario())


def test_too_many_requests_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            params = {"name": "shell_exec", "arguments": {"command": "sleep 300"}}
            idents = [raw.request("tools/call", params) for _ in range(session.REQUESTS + 1)]
            answer = await raw.answer(idents[-1])
            assert answer["error"]["message"].startswith("Busy: ")
            await until(lambda: home.workers and len(home.workers[0].calls) == session.REQUESTS)
            for ident in idents[:-1]:
                raw.say("notifications/cancelled", {"requestId": ident})
            await until(lambda: len(home.workers[0].cancelled) == session.REQUESTS)
            result = await raw.call("shell_exec", {"command": "true"})
            assert result["isError"] is False

    run(scenario())


def test_same_id_twice_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            params = {"name": "shell_exec", "arguments": {"command": "sleep 0.3"}}
            ident = raw.request("tools/call", params)
            raw.ident = ident - 1
            raw.request("tools/call", params)
            first = await raw.answer(ident)
            assert first["error"]["code"] == -32600
            second = await raw.answer(ident)
            assert second["result"]["structuredContent"]["stdout"] == "slept\n"

    run(scenario())


def test_two_hundred_connections_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:

            async def one(n: int) -> str:
                raw = await home.legacy() if n % 2 else await home.connect()
                result = await raw.call("shell_exec", {"command": f"echo {n}"}, modern=not n % 2)
                assert result["structuredContent"]["stdout"] == f"{n}\n"
                await until(lambda: home.front.clients >= 200 or home.broker.bodies("disconnect"))
                await raw.close()
                return "ok"

            assert await asyncio.gather(*(one(n) for n in range(200))) == ["ok"] * 200
            await until(lambda: not home.front.clients)
            assert len(home.workers) == 200
            await until(lambda: len(home.broker.bodies("disconnect")) == 200)
            assert not home.store.held

    run(scenario())


def test_connection_over_the_limit_is_told_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.broker.settings["limits.connections"] = 2
            home.broker.restart()
            await until(lambda: home.front.broker.settings)
            kept = [await home.legacy() for _ in range(2)]
            third = await home.connect()
            answer = await third.hear()
            assert answer["error"]["message"] == "Busy: 2 clients are connected"
            assert await third.hear() == {}
            await kept[0].close()
            await until(lambda: home.front.clients == 1)
            assert "result" in await (await home.legacy()).ask("ping")

    run(scenario())


def test_refused_connection_is_told_why(tmp_path: Path) -> None:
    from relay_shell.wire.errors import RelayError

    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.broker.refusal = RelayError("Busy", reason="alice has 64 connections")
            raw = await home.connect()
            ident = raw.request("initialize", {})
            answer = await raw.answer(ident)
            assert answer["error"]["message"] == "Busy: alice has 64 connections"
            assert answer["error"]["data"]["nextStep"]
            assert await raw.hear() == {}

    run(scenario())


def test_budget_of_all_connections(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            home.front._shared.budget.left = 300_000
            greedy = await home.connect()
            greedy.write(b"x" * 350_000)
            await until(lambda: home.front._shared.budget.left < 100_000)
            second = await home.connect()
            second.write(b"y" * 250_000 + b"\n")
            answer = await second.hear()
            assert answer["error"]["code"] == -32600
            small = await home.legacy()
            assert "result" in await small.ask("ping")
            await greedy.close()
            await until(lambda: home.front._shared.budget.left == 300_000)

    run(scenario())


def test_descriptors_run_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            sock = socket.socket(socket.AF_UNIX)
            lowest = os.dup(sock.fileno())
            os.close(lowest)
            # The limit is one above the highest number that may be given out: accept meets EMFILE.
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
            try:
                sock.connect(home.path)
                await asyncio.sleep(0.05)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            reader, writer = await asyncio.open_connection(sock=sock)
            frame = {"jsonrpc": "2.0", "id": 1, "method": "server/discover"}
            writer.write(json.dumps({**frame, "params": {"_meta": META}}).encode() + b"\n")
            answer = json.loads(await asyncio.wait_for(reader.readline(), BOUND))
            assert "result" in answer
            writer.close()

    run(scenario())


def test_bounds_are_what_the_documents_say() -> None:
    assert channel.QUEUE_PAUSE < channel.QUEUE_MAX
    assert lines.FREE * 512 <= 32 * 1024 * 1024
