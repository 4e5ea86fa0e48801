"""Rules by identity, budgets, keys and typed lines, as a client meets them: all roles, really."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from broker.office import records_of
from front.peers import Raw, initialize, until
from relay_shell.broker.access_file import load_access
from relay_shell.cli.stdio import Standalone, standalone
from relay_shell.config import load

ME = pwd.getpwuid(os.geteuid()).pw_name


def run(scenario: Any) -> None:
    asyncio.run(asyncio.wait_for(scenario, 300))


def records(home: Path, *events: str) -> list[dict[str, Any]]:
    found = records_of(home / "state/relay-shell/audit.jsonl")
    return [record for record in found if record["event"] in events]


def write(home: Path, text: str) -> Path:
    root = home / "etc"
    root.mkdir(mode=0o755, exist_ok=True)
    path = root / "access.toml"
    path.write_text(text)
    path.chmod(0o644)
    return root


@contextlib.asynccontextmanager
async def composed(home: Path, rules: str = "", **environ: str) -> AsyncIterator[Standalone]:
    """The three roles in this process, with these rules and settings."""
    root = write(home, rules)
    settings = load(root, environ)
    async with standalone(settings, home / "state/relay-shell", load_access(root)) as roles:
        yield roles


async def client(roles: Standalone) -> Raw:
    ours, theirs = socket.socketpair()
    assert roles.front.accept(theirs)
    raw = Raw(*await asyncio.open_connection(sock=ours, limit=64 * 1024 * 1024))
    assert "result" in await raw.ask("initialize", initialize())
    raw.say("notifications/initialized")
    return raw


async def text(raw: Raw, tool: str, args: dict[str, Any]) -> str:
    return str((await raw.call(tool, args))["content"][0]["text"])


def test_a_lost_answer_is_asked_for_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with composed(tmp_path) as roles:
            log = tmp_path / "log"
            args = {"command": f"echo line >> {log}; wc -l < {log}", "idempotency_key": "k"}
            first = await client(roles)
            answer = await first.call("shell_exec", args)
            assert answer["structuredContent"]["stdout"] == "1\n"
            assert "replayed" not in answer["structuredContent"]
            await first.close()
            await until(lambda: any(w.parked for w in roles.front.pool._workers.values()))

            second = await client(roles)
            again = await second.call("shell_exec", args)
            assert again["structuredContent"]["stdout"] == "1\n"
            assert again["structuredContent"]["replayed"] is True and not again["isError"]
            assert again["content"][0]["text"].startswith("[exit 0]\n1\n[REPLAYED: ")
            assert log.read_text() == "line\n"
            assert len(roles.workers) == 1

            other = await second.call("shell_exec", args | {"command": "true"})
            assert other["structuredContent"]["error"]["kind"] == "InvalidArguments"
            fresh = await second.call("shell_exec", args | {"idempotency_key": "k2"})
            assert fresh["structuredContent"]["stdout"] == "2\n"
            (replay,) = records(tmp_path, "replay")
            (intent,) = [r for r in records(tmp_path, "intent") if r["call_id"] == replay["detail"]]
            assert intent["args"] == args

    run(scenario())


def test_a_call_whose_client_left_is_not_run_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with composed(tmp_path) as roles:
            log = tmp_path / "log"
            args = {"command": f"echo line >> {log}; sleep 60", "idempotency_key": "k"}
            first = await client(roles)
            first.request("tools/call", {"name": "shell_exec", "arguments": args})
            await until(lambda: log.exists() and log.read_text())
            await first.close()
            second = await client(roles)
            again = await second.call("shell_exec", args)
            facts = again["structuredContent"]
            assert again["isError"] and facts["replayed"]
            assert facts["error"]["kind"] in ("Cancelled", "ResultGone")
            assert log.read_text() == "line\n"

    run(scenario())


def test_without_the_worker_the_outcome_is_what_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with composed(tmp_path) as roles:
            args = {"command": "echo hello; exit 3", "idempotency_key": "k"}
            first = await client(roles)
            await first.call("shell_exec", args)
            roles.workers[0].stop("a test")
            await until(lambda: not roles.workers)
            again = (await first.call("shell_exec", args))["structuredContent"]
            assert (again["exit"], again["stdout"], again["bytes"]) == (3, "", 6)
            assert again["replayed"] and again["truncated"]

    run(scenario())


def test_a_session_is_spawned_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with composed(tmp_path) as roles:
            raw = await client(roles)
            args = {"command": "cat", "idempotency_key": "k"}
            first = (await raw.call("shell_spawn", args))["structuredContent"]
            again = (await raw.call("shell_spawn", args))["structuredContent"]
            assert again == first | {"replayed": True}
            listed = (await raw.call("session_list"))["structuredContent"]["sessions"]
            assert len(listed) == 1

    run(scenario())


def test_over_budget_says_when_to_come_back(tmp_path: Path) -> None:
    environ = {
        "RELAY_SHELL_BUDGETS_CALLS_PER_MINUTE": "6",
        "RELAY_SHELL_BUDGETS_BURST": "1",
    }

    async def scenario() -> None:
        async with composed(tmp_path, **environ) as roles:
            first = await client(roles)
            assert not (await first.call("shell_exec", {"command": "true"}))["isError"]
            # Another connection of the same principal has no budget of its own.
            second = await client(roles)
            answer = await second.call("shell_exec", {"command": "true"})
            error = answer["structuredContent"]["error"]
            assert answer["isError"] and error["kind"] == "OverBudget"
            assert 1 <= error["retry_after"] <= 10
            shown = answer["content"][0]["text"]
            assert shown.startswith("[ERROR: OverBudget: over the budget of 6 calls a minute")
            assert f"retry after {error['retry_after']} s" in shown

    run(scenario())


def test_only_what_is_granted_is_listed_and_callable(tmp_path: Path) -> None:
    rules = f'[[rule]]\nuser = "{ME}"\nmode = "guarded"\ntools = ["shell_exec", "server"]\n'

    async def scenario() -> None:
        async with composed(tmp_path, rules) as roles:
            raw = await client(roles)
            tools = (await raw.ask("tools/list"))["result"]["tools"]
            names = [tool["name"] for tool in tools]
            assert names == ["shell_exec", "server_info", "audit_tail", "policy_explain"]
            refused = await raw.ask("tools/call", {"name": "shell_spawn", "arguments": {}})
            assert refused["error"]["data"]["kind"] == "UnknownTool"
            info = (await raw.call("server_info"))["structuredContent"]
            assert info["mode"] == "guarded"
            denied = await text(raw, "shell_exec", {"command": "systemctl restart nginx"})
            assert denied.startswith("[DENIED tier 2 (STATEFUL): ")

            broker = roles.broker
            root = write(tmp_path, f'[[rule]]\nuser = "{ME}"\nceiling = 3\n')
            broker.reload(broker.state.settings, broker.state.judge, load_access(root), {})
            assert (await raw.hear())["method"] == "notifications/tools/list_changed"
            tools = (await raw.ask("tools/list"))["result"]["tools"]
            assert "shell_spawn" in [tool["name"] for tool in tools]
            assert not (await raw.call("shell_exec", {"command": "touch /dev/null"}))["isError"]

            root = write(tmp_path, '[[rule]]\nuser = "somebody-else"\n')
            broker.reload(broker.state.settings, broker.state.judge, load_access(root), {})
            while await raw.hear():
                pass
            await until(lambda: not roles.workers and not roles.front.clients)

    run(scenario())


def test_whom_no_rule_names_is_told_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with composed(tmp_path, '[[rule]]\nuser = "somebody-else"\n') as roles:
            ours, theirs = socket.socketpair()
            assert roles.front.accept(theirs)
            raw = Raw(*await asyncio.open_connection(sock=ours))
            answer = await raw.ask("initialize", initialize())
            assert answer["error"]["data"]["kind"] == "Denied"
            assert f"unix:{ME} has no access: no rule of access.toml" in answer["error"]["message"]
            assert not roles.workers

    run(scenario())


def test_a_split_line_does_not_reach_a_real_shell(tmp_path: Path) -> None:
    environ = {"RELAY_SHELL_POLICY_DENY": "forbidden-file"}

    async def scenario() -> None:
        async with composed(tmp_path, **environ) as roles:
            raw = await client(roles)
            spawned = await raw.call("shell_spawn", {"argv": ["/bin/bash", "--norc", "-i"]})
            session = spawned["structuredContent"]["session"]

            async def send(**args: Any) -> bool:
                answer = await raw.call("session_send", {"session": session, **args})
                return not answer["isError"]

            assert await send(text=f"touch {tmp_path}/forbidX")
            assert await send(keys=["backspace"])
            assert await send(text="den-fi")
            assert not await send(text="le", submit=True)
            assert not await send(text="le", keys=["enter"])
            # A message that fails types nothing, and does not end the line for the judge either.
            assert not await send(text="\n", keys=["no-such-key"])
            assert not await send(text="le\n")
            assert await send(keys=["C-c"])
            assert await send(text="echo still-$((40+2))", submit=True, wait="still-42")
            assert not [name for name in os.listdir(tmp_path) if name.startswith("forbid")]

    run(scenario())
