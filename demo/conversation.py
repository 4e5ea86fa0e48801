#!/usr/bin/env python3
"""A first conversation with relay-shell, as an MCP client would hold it.

Runs on a machine where the package is installed, as a user in group relay-shell-access, and
talks to `relay-shell connect` through the official SDK's client. Prints what the agent sees;
exits 1 if an answer is not what it must be.
"""

from __future__ import annotations

import asyncio
import sys

sys.path.append("/usr/lib/relay-shell/vendor")

from mcp import Client
from mcp.client.stdio import StdioServerParameters

SERVER = StdioServerParameters(command="relay-shell", args=["connect"])


def show(title: str, text: str) -> None:
    """Print one answer, indented, long ones cut."""
    print(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n{title}")
    lines = text.splitlines()
    for line in lines[:14]:
        print(f"  {line}")
    if len(lines) > 14:
        print(f"  ... {len(lines) - 14} more lines")


async def say(client: Client, tool: str, **arguments: object) -> str:
    """Call a tool, show and return its text."""
    result = await client.call_tool(tool, arguments)
    text = "\n".join(block.text for block in result.content if block.type == "text")
    rest = " ".join(f"{name}={value!r}" for name, value in arguments.items())
    show(f"{tool} {rest}", text)
    return text


async def converse(mode: str) -> list[str]:
    """Hold the conversation in one protocol era; return what was wrong."""
    wrong: list[str] = []

    def expect(what: str, good: bool) -> None:
        if not good:
            wrong.append(f"{mode}: {what}")

    async with Client(SERVER, mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        show(f"connected, protocol {client.protocol_version}", " ".join(tools))
        expect("shell_exec is offered", "shell_exec" in tools)

        text = await say(client, "shell_exec", command="df -h /")
        expect("df ran", text.startswith("[exit 0]") and "Filesystem" in text)

        text = await say(client, "shell_read", command="rm /etc/motd; systemctl is-active cron")
        expect("the kernel refused the change", "[READ-ONLY" in text and "motd" in text)
        expect("systemd answered a question", "active" in text)

        text = await say(client, "shell_exec", command="id; ls /nonexistent")
        expect("a failure keeps its exit status", text.startswith("[exit 2]"))

        text = await say(
            client, "shell_script", interpreter="python3", script="print(sum(range(101)))"
        )
        expect("a script ran", "5050" in text)

        text = await say(client, "shell_exec", command="echo partial; sleep 60", timeout=1)
        expect("partial output survives a timeout", "[TIMEOUT" in text and "partial" in text)

        result = await client.call_tool("shell_spawn", {"command": "bash --norc"})
        session = (result.structured_content or {})["session"]
        show("shell_spawn", str(result.structured_content))
        await client.call_tool("session_send", {"session": session, "text": "tty; echo $((6*7))\n"})
        text = await say(client, "session_recv", session=session, wait="42", timeout=10)
        expect("a terminal session answers", "/dev/pts/" in text and "42" in text)
        await say(client, "session_kill", session=session)

        text = await say(client, "audit_tail", count=3)
        expect("the agent sees its own trail", "shell_exec" in text or "session_kill" in text)
    return wrong


async def main() -> int:
    """Converse as today's clients do, and as those of the handshake era do."""
    wrong = [*await converse("auto"), *await converse("legacy")]
    for line in wrong:
        print(f"NOT AS IT MUST BE: {line}", file=sys.stderr)
    print(f"\n{'conversation held' if not wrong else 'conversation failed'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
