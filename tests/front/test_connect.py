"""`relay-shell connect` as a client starts it: octets both ways, and clear failures."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from front.peers import BOUND, META, house, initialize, until

SRC = Path(__file__).parents[2] / "src"
COMMAND = [
    sys.executable,
    "-ISc",
    f"import sys; sys.path.insert(0, {str(SRC)!r}); "
    "from relay_shell.cli.__main__ import main; sys.exit(main())",
    "connect",
]


def environment(path: Path | str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "RELAY_SHELL_PATHS_SOCKET": str(path)}


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario, 300))


def refused(path: Path | str, *words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        env=environment(path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
        **options,
    )


def test_absent_socket(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "no" / "dir"):
        done = refused(path)
        assert done.returncode == 69
        assert done.stdout == ""
        assert done.stderr == (
            f"relay-shell: {path}: no server listens here\n"
            "Start it: 'systemctl enable --now relay-shell.socket' (as root).\n"
        )


def test_socket_without_a_listener(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    assert refused(path).returncode == 69


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_permission_denied_names_the_group(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    with socket.socket(socket.AF_UNIX) as sock:
        path = f"/tmp/relay-shell-test-{os.getpid()}.sock"
        sock.bind(path)
        try:
            sock.listen()
            os.chmod(path, 0o660)
            os.chown(path, 0, 4)
            # The interpreter may be readable by root alone: all is imported before the change.
            code = (
                f"import sys, os, grp, pwd; sys.path.insert(0, {str(SRC)!r})\n"
                "from relay_shell.cli.connect import main\n"
                f"os.setgroups([]); os.setgid({nobody.pw_gid}); os.setuid({nobody.pw_uid})\n"
                "sys.exit(main([]))"
            )
            done = subprocess.run(
                [sys.executable, "-ISc", code],
                env=environment(path),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=BOUND,
                check=False,
            )
        finally:
            os.unlink(path)
    assert done.returncode == 77, done
    assert done.stdout == ""
    assert "permission denied; you are not in group 'adm'" in done.stderr
    assert "usermod -aG adm nobody" in done.stderr


def test_full_backlog(tmp_path: Path) -> None:
    path = tmp_path / "full.sock"
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(0)
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(str(path))
        done = refused(path)
    assert done.returncode == 75
    assert "too many clients are waiting" in done.stderr


def test_wrong_usage(tmp_path: Path) -> None:
    done = refused(tmp_path, "--bogus")
    assert (done.returncode, done.stdout) == (64, "")
    assert "--help" in done.stderr
    helped = refused(tmp_path, "--help")
    assert helped.returncode == 0
    assert "ssh host" in helped.stdout


def test_a_person_at_a_terminal_is_told_what_this_is(tmp_path: Path) -> None:
    path = tmp_path / "open.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        master, terminal = os.openpty()
        try:
            process = subprocess.Popen(
                COMMAND,
                env=environment(path),
                stdin=terminal,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            server, _ = listener.accept()
            server.close()
            out, err = process.communicate(timeout=BOUND)
        finally:
            os.close(terminal)
            os.close(master)
    assert (process.returncode, out) == (0, b"")
    assert b"an MCP client writes JSON-RPC here" in err


@pytest.mark.parametrize("how", ["pipe", "socket", "file"])
def test_octets_both_ways_and_half_close(tmp_path: Path, how: str) -> None:
    """An echo server that answers only after the end of what it reads, 8 MB of it."""
    path = tmp_path / "echo.sock"
    payload = os.urandom(8 * 1024 * 1024)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            data = bytearray()
            while chunk := sock.recv(65536):
                data += chunk
            sock.sendall(data)

    server = threading.Thread(target=serve)
    server.start()
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    ours = None
    if how == "file":
        (tmp_path / "in").write_bytes(payload)
        options = {
            "stdin": (tmp_path / "in").open("rb"),
            "stdout": (tmp_path / "out").open("wb"),
        }
    elif how == "socket":
        # As Node starts its children: one socket pair for each stream.
        ours, theirs = socket.socketpair()
        ours_out, theirs_out = socket.socketpair()
        options = {"stdin": theirs, "stdout": theirs_out}
    process = subprocess.Popen([*COMMAND], env=environment(path), **options)
    try:
        if how == "pipe":
            out, _ = process.communicate(payload, timeout=BOUND)
        elif how == "file":
            process.wait(BOUND)
            out = (tmp_path / "out").read_bytes()
        else:
            theirs.close()
            theirs_out.close()
            feeder = threading.Thread(
                target=lambda: (ours.sendall(payload), ours.shutdown(socket.SHUT_WR))
            )
            feeder.start()
            out = b""
            pieces = []
            while piece := ours_out.recv(65536):
                pieces.append(piece)
            out = b"".join(pieces)
            feeder.join(BOUND)
            ours.close()
            ours_out.close()
            process.wait(BOUND)
        assert out == payload
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        server.join(BOUND)
        listener.close()


def test_echo_at_once_neither_side_waits(tmp_path: Path) -> None:
    """A server that answers while it reads, a client that reads only after it wrote all."""
    path = tmp_path / "echo.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    size = 300_000

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            while chunk := sock.recv(65536):
                sock.sendall(chunk)

    server = threading.Thread(target=serve)
    server.start()
    process = subprocess.Popen(
        COMMAND, env=environment(path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        process.stdin.write(b"z" * size)
        process.stdin.close()
        assert process.stdout.read() == b"z" * size
        assert process.wait(BOUND) == 0
    finally:
        process.kill()
        process.wait()
        server.join(BOUND)
        listener.close()
        process.stdout.close()


def test_conversation_over_connect(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                env=environment(home.path),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            frames = [
                {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize()},
                {"jsonrpc": "2.0", "method": "notifications/initialized"},
                {
                    "jsonrpc": "2.0",
                    "id": 2,
                    "method": "tools/call",
                    "params": {"name": "shell_exec", "arguments": {"command": "sleep 0.3"}},
                },
            ]
            # As `printf ... | relay-shell connect`: stdin ends while a call runs.
            out, _ = await process.communicate(
                "".join(json.dumps(frame) + "\n" for frame in frames).encode()
            )
            answers = [json.loads(line) for line in out.splitlines()]
            assert [answer["id"] for answer in answers] == [1, 2]
            assert answers[1]["result"]["structuredContent"]["stdout"] == "slept\n"
            assert process.returncode == 0

    run(scenario())


def test_end_of_input_bounds_what_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path, grace=0.3) as home:
            raw = await home.connect()
            call = {"name": "shell_exec", "arguments": {"command": "sleep 30"}}
            raw.request("tools/call", call, modern=True)
            raw.writer.write_eof()
            assert await raw.hear() == {}
            await until(lambda: home.workers[0].link.closed)
            assert home.broker.bodies("disconnect")[0]["reason"] == "the client finished"

    run(scenario())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_client_cancels_what_runs(tmp_path: Path, number: int) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                env=environment(home.path),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            call = {"name": "shell_exec", "arguments": {"command": "sleep 30"}, "_meta": META}
            frame = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
            process.stdin.write(json.dumps(frame).encode() + b"\n")
            await until(lambda: home.workers and home.workers[0].calls)
            process.send_signal(number)
            await until(lambda: home.workers[0].link.closed)
            await process.wait()

    run(scenario())


def test_reader_that_leaves_ends_the_connection(tmp_path: Path) -> None:
    """The agent dies: nobody writes to our stdin, and nobody reads our stdout any more."""

    async def scenario() -> None:
        async with house(tmp_path) as home:
            ours, theirs = os.pipe()
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                env=environment(home.path),
                stdin=asyncio.subprocess.PIPE,
                stdout=theirs,
            )
            os.close(theirs)
            call = {"name": "shell_exec", "arguments": {"command": "sleep 30"}, "_meta": META}
            frame = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
            process.stdin.write(json.dumps(frame).encode() + b"\n")
            await until(lambda: home.workers and home.workers[0].calls)
            os.close(ours)
            await until(lambda: home.workers[0].link.closed)
            assert await process.wait() == 0

    run(scenario())


def test_imports_stay_small() -> None:
    """What `connect` loads beyond the interpreter: a stray import costs every client's launch."""
    code = (
        f"import sys; before = set(sys.modules); sys.path.insert(0, {str(SRC)!r})\n"
        "from relay_shell.cli.connect import main\n"
        "main(['--socket', '/nonexistent'])\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-ISc", code], capture_output=True, text=True, timeout=BOUND, check=True
    )
    loaded = {name for name in done.stdout.split() if not name.startswith("relay_shell")}
    assert loaded <= {"__future__", "_socket", "select", "errno", "os", "posixpath", "stat"} | {
        "_stat",
        "genericpath",
        "os.path",
        "_collections_abc",
    }
