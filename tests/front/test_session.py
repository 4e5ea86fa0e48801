"""Both protocol eras on one socket, as transcripts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from front.peers import META, house, initialize, until


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario, 300))


@pytest.mark.parametrize("version", ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
def test_legacy_handshake_and_call(tmp_path: Path, version: str) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            answer = await raw.ask("initialize", initialize(version))
            assert answer["result"]["protocolVersion"] == version
            assert answer["result"]["serverInfo"]["name"] == "relay-shell"
            assert answer["result"]["capabilities"]["tools"] == {"listChanged": True}
            assert "shell_exec" in answer["result"]["instructions"]
            raw.say("notifications/initialized")
            assert (await raw.ask("ping"))["result"] == {}
            result = await raw.call("shell_exec", {"command": "echo hello"})
            assert result["structuredContent"]["stdout"] == "hello\n"
            assert result["content"][0]["text"].startswith("[exit 0]\nhello")
            assert result["isError"] is False
            assert "resultType" not in result
            await until(lambda: home.broker.bodies("client"))
            assert home.broker.bodies("client")[0]["protocol"] == version

    run(scenario())


def test_modern_calls_without_handshake(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            answer = await raw.ask("server/discover", modern=True)
            found = answer["result"]
            assert found["supportedVersions"][0] == "2026-07-28"
            assert "2025-11-25" in found["supportedVersions"]
            assert found["cacheScope"] == "private"
            result = await raw.call("shell_exec", {"command": "echo hi"}, modern=True)
            assert result["resultType"] == "complete"
            assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "relay-shell"
            assert result["structuredContent"]["exit"] == 0
            refused = await raw.ask("initialize", initialize())
            assert refused["error"]["code"] == -32022
            gone = await raw.ask("ping", modern=True)
            assert gone["error"]["code"] == -32601
            bare = await raw.ask("tools/list")
            assert bare["error"]["code"] == -32602

    run(scenario())


def test_discover_before_initialize_leaves_the_era_open(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            assert "result" in await raw.ask("server/discover", modern=True)
            answer = await raw.ask("initialize", initialize())
            assert answer["result"]["protocolVersion"] == "2025-11-25"
            raw.say("notifications/initialized")
            assert "tools" in (await raw.ask("tools/list"))["result"]
            mixed = await raw.ask("tools/list", modern=True)
            assert mixed["error"]["code"] == -32600

    run(scenario())


def test_request_before_initialize_does_not_lock_the_era(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            assert (await raw.ask("tools/list"))["error"]["code"] == -32602
            assert (await raw.ask("server/discover"))["error"]["code"] == -32601
            assert "result" in await raw.ask("tools/list", modern=True)

    run(scenario())


def test_initialize_and_the_next_request_in_one_write(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            first = raw.request("initialize", initialize())
            second = raw.request("tools/list")
            assert "result" in await raw.answer(first)
            assert "result" in await raw.answer(second)

    run(scenario())


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({**META, "io.modelcontextprotocol/protocolVersion": "2030-01-01"}, -32022),
        ({k: v for k, v in META.items() if "Capabilities" not in k}, -32602),
        ({**META, "io.modelcontextprotocol/protocolVersion": 7}, -32602),
    ],
)
def test_bad_envelopes(tmp_path: Path, meta: dict, code: int) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            answer = await raw.ask("tools/list", {"_meta": meta})
            assert answer["error"]["code"] == code

    run(scenario())


def test_unknown_method_in_both_eras(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            for method in ("resources/list", "logging/setLevel", "no/such"):
                answer = await raw.ask(method, modern=True)
                assert answer["error"]["code"] in (-32601, -32602), answer
            old = await home.legacy()
            assert (await old.ask("no/such"))["error"]["code"] == -32601

    run(scenario())


def test_tools_list_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            lists = []
            for _ in range(3):
                raw = await home.connect()
                raw.send(
                    {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
                )
                lists.append(await raw.reader.readline())
            assert lists[0] == lists[1] == lists[2]
            assert b'"cacheScope":"private"' in lists[0]
            raw = await home.connect()
            found = (await raw.ask("tools/list", modern=True))["result"]["tools"]
            assert [tool["name"] for tool in found][:3] == [
                "shell_read",
                "shell_exec",
                "shell_script",
            ]
            for tool in found:
                assert tool["inputSchema"]["additionalProperties"] is False
                assert tool["outputSchema"]["type"] == "object"
                assert set(tool["annotations"]) >= {"readOnlyHint", "destructiveHint"}
            answer = await raw.ask("tools/list", {"cursor": "2"}, modern=True)
            assert answer["error"]["code"] == -32602

    run(scenario())


def test_prompt_is_recorded_and_may_be_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.connect()
            listed = await raw.ask("prompts/list", modern=True)
            assert [p["name"] for p in listed["result"]["prompts"]] == ["operating_guide"]
            got = await raw.ask("prompts/get", {"name": "operating_guide"}, modern=True)
            assert "tier" in got["result"]["messages"][0]["content"]["text"]
            assert home.broker.bodies("observe")[0]["name"] == "operating_guide"
            missing = await raw.ask("prompts/get", {"name": "nope"}, modern=True)
            assert missing["error"]["code"] == -32602
            assert home.broker.bodies("rejected")[-1]["what"] == "unknown prompt"
            home.broker.allowed = False
            refused = await raw.ask("prompts/get", {"name": "operating_guide"}, modern=True)
            assert "Denied: frozen: test" in refused["error"]["message"]

    run(scenario())


def test_access_change_is_announced_in_both_eras(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            old = await home.legacy()
            await old.ask("ping")
            new = await home.connect()
            listen = new.request(
                "subscriptions/listen", {"notifications": {"toolsListChanged": True}}, modern=True
            )
            ack = await new.hear()
            assert ack["method"] == "notifications/subscriptions/acknowledged"
            for conn in {c.conn for c in home.front._clients}:
                home.broker.links[-1].notify(
                    "access", {"conn": conn, "mode": "open", "ceiling": 3, "groups": ["server"]}
                )
            assert (await old.hear())["method"] == "notifications/tools/list_changed"
            event = await new.hear()
            assert event["method"] == "notifications/tools/list_changed"
            meta = event["params"]["_meta"]
            assert meta["io.modelcontextprotocol/subscriptionId"] == listen
            names = [t["name"] for t in (await old.ask("tools/list"))["result"]["tools"]]
            assert "server_info" in names
            assert "shell_exec" not in names
            answer = await old.call("shell_exec", {"command": "true"})
            assert answer["error"]["code"] == -32602
            assert home.broker.bodies("rejected")[-1]["what"] == "tool not granted"

    run(scenario())


def test_identifiers_may_be_strings_and_unicode_survives(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as home:
            raw = await home.legacy()
            for ident in ("a", "7", "\u00e9\u4e2d", -5, 0, 2**53):
                raw.send(
                    {
                        "jsonrpc": "2.0",
                        "id": ident,
                        "method": "tools/call",
                        "params": {
                            "name": "shell_exec",
                            "arguments": {"command": "echo \U0001f600"},
                        },
                    }
                )
                answer = await raw.answer(ident)
                assert answer["result"]["structuredContent"]["stdout"] == "\U0001f600\n"

    run(scenario())
