"""`relay-shell stdio`: the real front, broker and worker in one process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mcp.client.stdio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from broker.office import records_of
from front.peers import BOUND, Raw, gone, initialize, until
from relay_shell.cli.stdio import Standalone, open_broker, standalone, state_home
from relay_shell.config import load
from relay_shell.evidence.errors import EvidenceError
from relay_shell.evidence.keyfile import PUBLIC
from relay_shell.evidence.keyfile import load as load_keys
from relay_shell.evidence.verify import verify_chain

SRC = Path(__file__).parents[2] / "src"


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario, 300))


def environment(home: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SRC),
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        **more,
    }


def records(home: Path, name: str = "audit.jsonl") -> list[dict[str, Any]]:
    path = home / "state" / "relay-shell" / name
    return records_of(path)


COMMAND = [sys.executable, "-m", "relay_shell.cli", "stdio", "--config", "/nonexistent"]


def lines(frames: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(frame) + "\n" for frame in frames).encode()


@contextlib.asynccontextmanager
async def program(home: Path, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        env=environment(home, **more),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def composed(home: Path) -> AsyncIterator[Standalone]:
    """The three roles in this process, for several clients."""
    settings = load("/nonexistent", {"XDG_STATE_HOME": str(home / "state")})
    async with standalone(settings, home / "state" / "relay-shell") as roles:
        yield roles


async def client(roles: Standalone) -> Raw:
    ours, theirs = socket.socketpair()
    assert roles.front.accept(theirs)
    raw = Raw(*await asyncio.open_connection(sock=ours, limit=64 * 1024 * 1024))
    assert "result" in await raw.ask("initialize", initialize())
    raw.say("notifications/initialized")
    return raw


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_official_client(tmp_path: Path, mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # It would kill a program that is slow to write its last records on a busy host.
    monkeypatch.setattr(mcp.client.stdio, "PROCESS_TERMINATION_TIMEOUT", BOUND)

    async def scenario() -> None:
        server = StdioServerParameters(
            command=COMMAND[0], args=COMMAND[1:], env=environment(tmp_path)
        )
        async with Client(stdio_client(server), mode=mode) as agent:
            result = await agent.call_tool("shell_exec", {"command": "echo hello; id -u"})
            assert result.structured_content["stdout"] == f"hello\n{os.getuid()}\n"
            info = await agent.call_tool("server_info", {})
            assert info.structured_content["posture"] == "standalone"
        written = records(tmp_path)
        assert [r["event"] for r in written if r.get("tool") == "shell_exec"] == [
            "intent",
            "outcome",
        ]
        assert [r["event"] for r in written[-2:]] == ["stop", "checkpoint"]

    run(scenario())


def test_stdin_ends_while_a_call_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with program(tmp_path) as process:
            call = {"name": "shell_exec", "arguments": {"command": "sleep 0.3; echo done"}}
            frames = [
                {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize()},
                {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
            ]
            out, _ = await process.communicate(
                "".join(json.dumps(f) + "\n" for f in frames).encode()
            )
            answers = [json.loads(line) for line in out.splitlines()]
            assert [answer["id"] for answer in answers] == [1, 2]
            assert answers[1]["result"]["structuredContent"]["stdout"] == "done\n"
            assert process.returncode == 0

    run(scenario())


def test_stray_output_stays_off_the_protocol(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with program(tmp_path) as process:
            call = {"command": "echo astray > /proc/$PPID/fd/1 2>/dev/null; echo fine"}
            frames = [
                {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize()},
                {
                    "jsonrpc": "2.0",
                    "id": 2,
                    "method": "tools/call",
                    "params": {"name": "shell_exec", "arguments": call},
                },
            ]
            out, _ = await process.communicate(
                "".join(json.dumps(f) + "\n" for f in frames).encode()
            )
            assert [json.loads(line)["id"] for line in out.splitlines()] == [1, 2]

    run(scenario())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_what_runs(tmp_path: Path, number: int) -> None:
    async def scenario() -> None:
        async with program(tmp_path) as process:
            marker = tmp_path / "pid"
            command = f"setsid sh -c 'echo $$ > {marker}; exec sleep 300' & wait"
            call = {"name": "shell_exec", "arguments": {"command": command}}
            frames = [
                {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize()},
                {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
            ]
            for frame in frames:
                process.stdin.write(json.dumps(frame).encode() + b"\n")
            await until(lambda: marker.exists() and marker.read_text().strip())
            pid = int(marker.read_text())
            process.send_signal(number)
            assert await asyncio.wait_for(process.wait(), BOUND) == 128 + number
            await until(lambda: gone(pid))
        outcomes = [r for r in records(tmp_path) if r["event"] in ("outcome", "interrupted")]
        assert len(outcomes) == 1

    run(scenario())


def test_two_at_once_write_two_records(tmp_path: Path) -> None:
    """Some clients start a server twice: a probe, then the real one."""

    async def scenario() -> None:
        async with program(tmp_path) as first, program(tmp_path) as second:
            for process in (first, second):
                frame = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize()}
                process.stdin.write(json.dumps(frame).encode() + b"\n")
                answer = json.loads(await asyncio.wait_for(process.stdout.readline(), BOUND))
                assert "result" in answer
        assert records(tmp_path)[0]["event"] == "start"
        assert records(tmp_path, "audit-2.jsonl")[0]["event"] == "start"

    run(scenario())


@pytest.mark.parametrize("own", [{"AUDIT": "own.jsonl"}, {"STATE": "own"}])
def test_two_at_once_do_not_share_a_place_that_was_set(tmp_path: Path, own: dict[str, str]) -> None:
    (tmp_path / "own").mkdir(0o700)
    places = {f"RELAY_SHELL_PATHS_{name}": str(tmp_path / path) for name, path in own.items()}
    settings = load("/nonexistent", places)

    async def scenario() -> None:
        first = open_broker(settings, tmp_path / "home")
        with pytest.raises(EvidenceError, match="another process writes this record"):
            open_broker(settings, tmp_path / "home")
        await first.close()
        second = open_broker(settings, tmp_path / "home")
        await second.close()
        path = Path(second.state.settings["paths.audit"])
        keys = load_keys(path.with_name(PUBLIC))
        assert not [f for f in verify_chain(path, keys=keys).findings if f.fails]

    run(scenario())


def test_bad_setting_is_refused_with_its_name(tmp_path: Path) -> None:
    async def scenario() -> None:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            env=environment(tmp_path, RELAY_SHELL_POLICY_MODE="yolo"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert (process.returncode, out) == (78, b"")
        assert b"RELAY_SHELL_POLICY_MODE" in err

    run(scenario())


def test_no_place_for_the_record_means_no_server(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "state").write_text("a file, no directory")
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            env=environment(tmp_path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert (process.returncode, out) == (78, b"")
        assert str(tmp_path / "state").encode() in err

    run(scenario())


def test_state_home_follows_the_specification() -> None:
    assert state_home({"XDG_STATE_HOME": "/x"}) == Path("/x/relay-shell")
    # A relative path is to be ignored (XDG Base Directory Specification).
    assert state_home({"XDG_STATE_HOME": "x"}).is_absolute()


def test_sessions_survive_a_connection_and_are_found_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with composed(tmp_path) as roles:
            first = await client(roles)
            spawned = await first.call("shell_spawn", {"command": "cat"})
            handle = spawned["structuredContent"]["session"]
            second = await client(roles)
            sent = await second.call("session_send", {"session": handle, "text": "marco\n"})
            assert sent["isError"] is False
            got = await second.call("session_recv", {"session": handle, "wait": "marco"})
            assert "marco" in got["structuredContent"]["output"]
            assert len(roles.workers) == 1
            await second.call("shell_exec", {"command": "true"})
            assert len(roles.workers) == 2
            await first.close()
            await until(lambda: any(w.parked for w in roles.front.pool._workers.values()))
            third = await client(roles)
            listed = await third.call("session_list")
            assert [s["session"] for s in listed["structuredContent"]["sessions"]] == [handle]
            assert len(roles.workers) == 2
            killed = await third.call("session_kill", {"session": handle})
            assert killed["isError"] is False
            await third.close()
            await second.close()
            await until(lambda: not roles.workers)

    run(scenario())


def test_cancel_kills_the_tree_and_is_recorded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with composed(tmp_path) as roles:
            raw = await client(roles)
            marker = tmp_path / "pid"
            command = f"setsid sh -c 'echo $$ > {marker}; exec sleep 300' & wait"
            ident = raw.request(
                "tools/call", {"name": "shell_exec", "arguments": {"command": command}}
            )
            await until(lambda: marker.exists() and marker.read_text().strip())
            pid = int(marker.read_text())
            raw.say("notifications/cancelled", {"requestId": ident, "reason": "enough"})

            def ended() -> list[dict[str, Any]]:
                return [r for r in records(tmp_path) if r["event"] == "outcome"]

            outcome = (await until(ended))[0]
            assert outcome["status"] == "cancelled"
            await until(lambda: gone(pid))
            await raw.silence()

    run(scenario())


def test_progress_shows_the_last_lines(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with composed(tmp_path) as roles:
            raw = await client(roles)
            command = "for i in 1 2 3 4 5 6; do echo line $i; sleep 0.3; done"
            await raw.call("shell_exec", {"command": command}, token="t")
            shown = [f["params"] for f in raw.heard if f.get("method") == "notifications/progress"]
            assert shown
            values = [p["progress"] for p in shown]
            assert values == sorted(set(values))
            assert any("line" in p.get("message", "") for p in shown)

    run(scenario())


def test_refusals_are_in_the_record(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with composed(tmp_path) as roles:
            raw = await client(roles)
            await raw.call("no_such_tool", {"a": 1})
            await raw.call("shell_exec", {"command": 7})
            raw.write(b"garbage\n")
            await raw.hear()
            await raw.ask("prompts/get", {"name": "operating_guide"})
            await until(
                lambda: (
                    {r.get("what") for r in records(tmp_path)}
                    >= {"unknown tool", "invalid arguments", "malformed message", "prompt"}
                )
            )
            row = next(r for r in records(tmp_path) if r.get("what") == "invalid arguments")
            assert row["tool"] == "shell_exec"
            assert row["args_bytes"] == len(b'{"command":7}')

    run(scenario())


def test_null_is_an_argument_left_out(tmp_path: Path) -> None:
    plain = {"command": "date +%N", "idempotency_key": "once"}
    null = {**plain, "argv": None, "cwd": None, "env": None, "timeout": None, "max_output": None}

    async def scenario() -> None:
        async with composed(tmp_path) as roles:
            raw = await client(roles)
            first = await raw.call("shell_exec", null)
            again = await raw.call("shell_exec", plain)
            assert first["structuredContent"]["exit"] == 0
            # It is the same call: the broker has one hash for both.
            assert again["structuredContent"]["stdout"] == first["structuredContent"]["stdout"]
            assert again["structuredContent"]["replayed"] is True
        (intent,) = (r for r in records(tmp_path) if r["event"] == "intent")
        assert intent["args"] == plain
        canonical = json.dumps(plain, separators=(",", ":"), sort_keys=True).encode()
        assert intent["args_sha256"] == hashlib.sha256(canonical).hexdigest()

    run(scenario())


def test_null_stands_for_nothing_else(tmp_path: Path) -> None:
    refusals = [
        ("shell_script", {"script": None}, "script: null is not of type 'string'"),
        ("shell_exec", {"command": "true", "env": {"A": None}}, "env.A: null is not of type"),
        ("shell_exec", {"argv": [None]}, "argv[0]: null is not of type 'string'"),
        ("shell_exec", {"command": "true", "tiemout": None}, "'tiemout' was unexpected"),
        ("shell_exec", {"command": None}, "command"),
    ]

    async def scenario() -> None:
        async with composed(tmp_path) as roles:
            raw = await client(roles)
            for tool, args, reason in refusals:
                error = (await raw.call(tool, args))["structuredContent"]["error"]
                assert error["kind"] == "InvalidArguments" and reason in error["message"], error
            row = next(r for r in records(tmp_path) if r.get("what") == "invalid arguments")
            # What was refused is recorded as it was sent.
            assert row["args_bytes"] == len(b'{"script":null}')

    run(scenario())


@pytest.mark.parametrize(
    "command",
    [
        "head -c 300000 /dev/urandom",
        "printf '\\033[31mred\\033[0m\\000\\377'",
        "yes | head -c 3000000",
    ],
)
def test_any_output_is_valid_json(tmp_path: Path, command: str) -> None:
    async def scenario() -> None:
        async with composed(tmp_path) as roles:
            raw = await client(roles)
            result = await raw.call("shell_exec", {"command": command})
            assert result["structuredContent"]["exit"] in (0, 141)
            assert "result" in await raw.ask("ping")

    run(scenario())
