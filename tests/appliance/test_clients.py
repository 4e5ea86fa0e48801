"""Real MCP clients talk to the booted appliance through `relay-shell connect`."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from appliance.machine import Machine
from clients.test_clients import HERE, INSPECTOR, NODE, SHELL_PROGRESS, check

ENVIRONMENT = {
    "PATH": f"{NODE.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
    "PROGRESS_COMMAND": SHELL_PROGRESS,
}


async def node(home: Path, *words: str) -> tuple[int, str, str]:
    """Run a program under the pinned Node; its status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(str(NODE), *words),
        cwd=HERE,
        env={**ENVIRONMENT, "HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 240)
    return process.returncode or 0, out.decode(), err.decode()


def connect(machine: Machine) -> list[str]:
    """The command that a client of the machine's user would register.

    The services run already: the SDK's client takes a server for an old one if its first answer
    needs more than ten seconds, which a cold start on a busy host may.
    """
    machine.run("systemctl", "start", "relay-shell-front.service")
    return machine.command("relay-shell", "connect", user="agent")


@pytest.mark.parametrize("mode", ["auto", "2026-07-28", "legacy"])
def test_official_python_client(appliance: Machine, mode: str) -> None:
    command, *args = connect(appliance)
    server = StdioServerParameters(command=command, args=args, env=dict(os.environ))

    async def scene() -> None:
        async with Client(server, mode=mode) as client:
            wanted = "2025-11-25" if mode == "legacy" else "2026-07-28"
            assert client.protocol_version == wanted
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            annotations = tools["shell_read"].annotations
            assert annotations is not None and annotations.read_only_hint is True
            result = await client.call_tool("shell_exec", {"command": "id -un"})
            assert result.structured_content is not None
            assert result.structured_content["stdout"] == "relay-shell\n"
            said: list[str | None] = []

            async def progress(at: float, total: float | None, message: str | None) -> None:
                said.append(message)

            await client.call_tool(
                "shell_exec", {"command": SHELL_PROGRESS}, progress_callback=progress
            )
            assert any(message for message in said)

    asyncio.run(asyncio.wait_for(scene(), 120))
    records = appliance.out("journalctl", "--unit=relay-shell", "--output=cat", "--no-pager")
    assert 'agent shell_exec "id -un"' in records


def test_typescript_clients(appliance: Machine, tmp_path: Path) -> None:
    check(*asyncio.run(node(tmp_path, "typescript.mjs", *connect(appliance))))


def test_inspector(appliance: Machine, tmp_path: Path) -> None:
    command, *args = connect(appliance)
    config = tmp_path / "config.json"
    server = {"command": command, "args": args, "env": ENVIRONMENT, "protocolEra": "auto"}
    config.write_text(json.dumps({"mcpServers": {"relay-shell": server}}))
    program = json.loads((INSPECTOR / "package.json").read_text())["bin"]
    if isinstance(program, dict):
        program = program["mcp-inspector"]
    cli = [str(INSPECTOR / program), "--cli", "--config", str(config), "--server", "relay-shell"]
    call = [*cli, "--method", "tools/call", "--tool-name", "shell_exec", "--tool-arg"]
    status, out, err = asyncio.run(node(tmp_path, *call, "command=echo hello"))
    assert status == 0, (out, err)
    assert json.loads(out)["structuredContent"]["stdout"] == "hello\n"
    status, out, err = asyncio.run(node(tmp_path, *call, "command=exit 3"))
    assert '"exit": 3' in out, (out, err)
