"""Hosts that access.toml grants: those a worker names, and those in a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, story
from broker.test_authority import rules


def test_hosts_that_are_not_granted(tmp_path: Path) -> None:
    rules(tmp_path, '[[rule]]\nany = true\nhosts = ["web-*", "10.0.0.0/8"]\n')

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        ask = {"tool": "ssh_exec", "args": {"command": "ls"}}
        assert (await worker.begin("k-1", **ask, hosts=["web-1", "10.1.1.1"]))[
            "decision"
        ] == "allow"
        denied = await worker.begin("k-2", **ask, hosts=["web-1", "db-1"])
        assert denied["decision"] == "deny" and "the host db-1" in denied["reasons"][0]
        assert (await worker.begin("k-3", **ask, hosts=[7]))["decision"] == "deny"

    story(tmp_path, tell)


@pytest.mark.parametrize(
    ("tool", "args", "why"),
    [
        ("shell_exec", {"command": "ssh -J db-1 web-1 uptime"}, "the host db-1"),
        ("shell_exec", {"command": "curl -s http://0x0b.1/"}, "the host 11.0.0.1"),
        ("shell_exec", {"command": "cat < /dev/tcp/db-1/5432"}, "the host db-1"),
        ("shell_exec", {"argv": ["rsync", "-a", "/srv/", "root@[::1]:/srv"]}, "the host ::1"),
        ("shell_exec", {"command": "curl web-1", "env": {"http_proxy": "db-1:1"}}, "db-1"),
        ("shell_exec", {"command": 'ssh "$H" uptime'}, "not known: $H"),
        ("shell_exec", {"command": "ssh web-1 'ssh $X'"}, "not known: $X"),
        ("shell_exec", {"command": "eval $x"}, "not known"),
        ("shell_exec", {"command": "if ssh web-1; then"}, "not understood"),
        ("shell_script", {"script": "ssh db-1\n"}, "the host db-1"),
        ("session_send", {"session": "s1.x", "text": "ssh db-1", "enter": True}, "the host db-1"),
    ],
)
def test_hosts_in_a_command_that_are_not_granted(
    tmp_path: Path, tool: str, args: dict[str, Any], why: str
) -> None:
    rules(tmp_path, '[[rule]]\nany = true\nhosts = ["web-*", "10.0.0.0/8"]\n')

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        denied = await worker.begin("k-1", tool=tool, args=args)
        assert denied["decision"] == "deny" and why in denied["reasons"][0]

    story(tmp_path, tell)


def test_hosts_in_a_command_are_granted_and_recorded(tmp_path: Path) -> None:
    rules(tmp_path, '[[rule]]\nany = true\nhosts = ["web-*", "10.0.0.0/8"]\n')

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        for number, command in enumerate(
            ("ssh -J 10.1 root@WEB-1.", "df -h", 'f=x; ls > "/tmp/$f"')
        ):
            verdict = await worker.begin(f"k-{number}", command)
            assert verdict["decision"] == "allow", verdict
        assert [row.get("hosts") for row in office.records("intent")] == [
            ["web-1", "10.0.0.1"],
            None,
            None,
        ]

    story(tmp_path, tell)


def test_without_a_host_rule_an_unknown_host_is_recorded(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        assert (await worker.begin("k-1", "ssh $H uptime"))["decision"] == "allow"
        assert office.records("intent")[0]["hosts"] == ["?$H"]

    story(tmp_path, tell)
