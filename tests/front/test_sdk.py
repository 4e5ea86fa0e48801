"""The official Python client in every mode, over the unix socket and over `connect`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared._context_streams import create_context_streams
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage

from front.peers import BOUND, House, house, until

SRC = Path(__file__).parents[2] / "src"


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario, 300))


@contextlib.asynccontextmanager
async def unix_transport(path: str) -> AsyncIterator[Any]:
    """A transport of the SDK's client over a unix socket."""
    reader, writer = await asyncio.open_unix_connection(path, limit=32 * 1024 * 1024)
    to_session, from_wire = create_context_streams[SessionMessage | Exception](0)
    to_wire, from_session = create_context_streams[SessionMessage](0)

    async def pump_in() -> None:
        async with to_session:
            while line := await reader.readline():
                message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                await to_session.send(SessionMessage(message))

    async def pump_out() -> None:
        async with from_session:
            async for item in from_session:
                line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                writer.write(line.encode() + b"\n")

    async with anyio.create_task_group() as group:
        group.start_soon(pump_in)
        group.start_soon(pump_out)
        try:
            yield from_wire, to_wire
        finally:
            group.cancel_scope.cancel()
            writer.close()


def target(home: House, how: str) -> Any:
    if how == "unix":
        return unix_transport(home.path)
    return stdio_client(
        StdioServerParameters(
            command=sys.executable,
            args=[
                "-ISc",
                f"import sys; sys.path.insert(0, {str(SRC)!r}); "
                "from relay_shell.cli.__main__ import main; sys.exit(main())",
                "connect",
            ],
            env={"RELAY_SHELL_PATHS_SOCKET": home.path},
        )
    )


@pytest.mark.parametrize("how", ["unix", "connect"])
@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
def test_conversation(tmp_path: Path, how: str, mode: Any) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            async with Client(target(home, how), mode=mode) as client:
                expected = "2025-11-25" if mode == "legacy" else "2026-07-28"
                assert client.protocol_version == expected
                tools = {tool.name: tool for tool in (await client.list_tools()).tools}
                assert tools["shell_exec"].annotations.destructive_hint is True
                assert tools["session_list"].annotations.read_only_hint is True
                result = await client.call_tool("shell_exec", {"command": "echo hello"})
                assert result.structured_content["stdout"] == "hello\n"
                assert result.content[0].text == "[exit 0]\nhello"
                bad = await client.call_tool("shell_exec", {"command": 7})
                assert bad.is_error
                with pytest.raises(MCPError) as caught:
                    await client.call_tool("nope", {})
                assert caught.value.error.code == -32602
                seen: list[tuple[float, str | None]] = []

                async def progress(value: float, total: float | None, message: str | None) -> None:
                    seen.append((value, message))

                await client.call_tool(
                    "shell_exec", {"command": "count 10"}, progress_callback=progress
                )
                assert [value for value, _ in seen] == sorted({value for value, _ in seen})
                assert seen[0][1] == "line 1"
                before = len(home.workers[0].calls)
                sleeping = asyncio.create_task(
                    client.call_tool("shell_exec", {"command": "sleep 30"})
                )
                await until(lambda: len(home.workers[0].calls) > before)
                sleeping.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await sleeping
                await until(lambda: home.workers[0].cancelled)
                guide = await client.get_prompt("operating_guide")
                assert "policy_explain" in guide.messages[0].content.text
                big = await client.call_tool("shell_exec", {"command": "big 1000000"})
                assert len(big.structured_content["stdout"]) == 1_000_000
                again = await client.call_tool("shell_exec", {"command": "echo on"})
                assert again.structured_content["stdout"] == "on\n"
            await until(lambda: not home.front.clients)

    run(scenario())


def test_tools_changed_reaches_the_modern_client(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            house(tmp_path) as home,
            Client(unix_transport(home.path), mode="2026-07-28") as client,
            client.listen(tools_list_changed=True) as changes,
        ):
            (connection,) = home.front._clients
            home.broker.links[-1].notify(
                "access",
                {"conn": connection.conn, "mode": "open", "ceiling": 3, "groups": ["server"]},
            )
            await asyncio.wait_for(changes.__anext__(), BOUND)
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert "shell_exec" not in names

    run(scenario())


def test_lists_are_what_the_schema_says(tmp_path: Path) -> None:
    """What goes over the wire, read by the models of each era."""
    from mcp_types import methods

    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            for method in ("server/discover", "tools/list", "prompts/list"):
                answer = (await raw.ask(method, modern=True))["result"]
                methods.validate_server_result(method, "2026-07-28", answer)
                assert answer["ttlMs"] >= 0
                assert answer["cacheScope"] == "private"
            old = await home.legacy("2025-06-18")
            for method in ("tools/list", "prompts/list"):
                answer = (await old.ask(method))["result"]
                methods.validate_server_result(method, "2025-06-18", answer)
                assert not {"ttlMs", "cacheScope", "resultType"} & set(answer)
            assert json.dumps(answer)

    run(scenario())
