"""Hosts that access.toml grants: those a worker names, and those in a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, story, until
from broker.test_authority import ME, reload, rules
from relay_shell.policy.toolgroups import REACHING


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
        refusal = await worker.begin_refused("k-3", **ask, hosts=[7])
        assert refusal.startswith("InvalidArguments: hosts of the call: ")
        assert office.records("deny", call_id="k-3")[0]["reasons"] == [
            refusal.removeprefix("InvalidArguments: ")
        ]
        # The link lives, and so does the worker.
        assert (await worker.begin("k-4"))["decision"] == "allow"

    story(tmp_path, tell)


def test_each_machine_is_granted_by_any_of_its_names(tmp_path: Path) -> None:
    rules(tmp_path, '[[rule]]\nany = true\nhosts = ["web-*", "10.0.0.0/8"]\n')
    bastion = ["bastion", "gw.example.org", "10.9.9.9"]

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        number = 0

        async def why(*machines: list[str], tool: str = "ssh_exec", **args: Any) -> str:
            nonlocal number
            number += 1
            args.setdefault("command", "uptime")
            asked = {"tool": tool, "args": args, "hosts": list(machines)}
            verdict = await worker.begin(f"k-{number}", **asked)
            return "" if verdict["decision"] == "allow" else verdict["reasons"][0]

        assert await why(["web-1", "192.0.2.1"]) == ""
        assert await why(["front", "0x0a000001"]) == ""
        assert await why(["web-1", "192.0.2.1"], bastion, tool="ssh_fanout") == ""
        # A jump host is a machine as well, and what is granted of one is not of another.
        assert "the host jump" in await why(["web-1"], ["jump", "192.0.2.9"])
        assert "the host front" in await why(["front", "192.0.2.1", "fe80::1"], bastion)
        # What the command goes on to from there counts too.
        assert "the host db-1" in await why(["web-1"], command="ssh db-1 uptime")
        assert "not known: $H" in await why(["web-1"], command="ssh $H uptime")
        assert await why(["web-1"], command="ssh web-2 uptime") == ""
        # Without machines it is not known which are meant, whatever the arguments name.
        for tool in sorted(REACHING):
            said = await why(tool=tool, host="web-1", hosts=["web-1"])
            assert f"not known: {tool} came without its machines" in said
        assert await why(tool="ssh_hosts", match="web-*") == ""
        assert await why(tool="shell_exec") == ""

    story(tmp_path, tell)


def test_deny_rules_see_every_name_of_every_machine(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        many = [[f"web{n}", f"10.0.0.{n}"] for n in range(100)]

        async def decided(call: str, machines: list[Any], **args: Any) -> str:
            ask = {"tool": "ssh_fanout", "args": {"command": "uptime"} | args}
            return str((await worker.begin(call, **ask, hosts=machines))["decision"])

        assert await decided("k-0", many) == "allow"
        for number, name in enumerate(
            ("db1", "DB1.", "0x7f.1", "::ffff:127.0.0.1", "gw.example.org", "xn--bcher-kva.example")
        ):
            assert await decided(f"k-1{number}", [*many, ["x", "192.0.2.1", name]]) == "deny"
        assert await decided("k-2", many, hosts=["@secret"]) == "deny"
        assert await decided("k-3", [], hosts=["db1"]) == "deny"
        assert await decided("k-4", []) == "allow"

    deny = ("^db1$", r"^127\.", r"^gw\.", "^@?secret$", "^xn--bcher")
    story(tmp_path, tell, policy__deny=deny)


def test_what_is_told_of_a_call_that_would_reach_machines(tmp_path: Path) -> None:
    rules(tmp_path, '[[rule]]\nany = true\nhosts = ["web-*"]\n')

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()

        async def told(machines: Any = None, **args: Any) -> dict[str, Any]:
            asked: dict[str, Any] = {"tool": "ssh_exec", "args": {"command": "df"} | args}
            if machines is not None:
                asked["hosts"] = machines
            verdict: dict[str, Any] = (await worker.ask("explain", {"args": asked}))["verdict"]
            return verdict

        found = await told([["web-1", "10.0.0.1"]], host="web-1")
        assert found["decision"] == "allow" and "judged by the names" not in str(found)
        assert (await told([["web-1"], ["jump"]], host="web-1"))["decision"] == "deny"
        found = await told(host="web-1")
        assert found["decision"] == "allow" and "judged by the names" in found["reasons"][-1]
        assert (await told(host="db-1"))["decision"] == "deny"
        assert "not known" in (await told(hosts=["@web"]))["reasons"][0]
        assert "not known" in (await told())["reasons"][0]
        bad = {"args": {"tool": "ssh_exec", "args": {}, "hosts": [7]}}
        assert (await worker.refused("explain", bad)).startswith("InvalidArguments")

        operator = await office.operator()
        await operator.ask("freeze", {"scope": "host", "value": "web-1", "reason": "drill"})
        assert "drill" in (await told(host="web-1"))["reasons"][0]
        assert (await told(host="web-2"))["decision"] == "allow"

    story(tmp_path, tell)


def test_a_worker_is_told_which_hosts_are_granted(tmp_path: Path) -> None:
    rules(tmp_path, '[[rule]]\nany = true\nhosts = ["web-*", "10.0.0.0/8"]\n')

    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        assert worker.hello["access_hosts"] == ["web-*", "10.0.0.0/8"]
        reload(office, "[[rule]]\nany = true\nhosts = []\n")
        assert (await worker.hears("settings"))["access_hosts"] == []
        assert "access_hosts" not in await front.hears("access")
        reload(office, "[[rule]]\nany = true\n")
        told = await until(lambda: [body for name, body in worker.heard if name == "settings"][1:])
        assert "access_hosts" not in told[0]

    story(tmp_path, tell)


def test_of_connections_with_other_grants_a_worker_is_told_what_both_have(tmp_path: Path) -> None:
    rules(
        tmp_path,
        f'[[rule]]\nuser = "{ME}"\nclient = "one"\nhosts = ["a", "b"]\n'
        f'[[rule]]\nuser = "{ME}"\nclient = "two"\nhosts = ["b", "c"]\n'
        f'[[rule]]\nuser = "{ME}"\n',
    )

    async def tell(office: Office) -> None:
        front = await office.front()
        assert office.broker is not None
        state = office.broker.state
        worker = None
        for name, told in (("one", ["a", "b"]), ("two", ["b"]), ("three", ["b"])):
            conn = (await office.connect(front))["conn"]
            said = {"conn": conn, "name": name, "version": "1", "protocol": "x"}
            front.link.notify("client", said)
            await until(lambda conn=conn: state.connections.get(conn).claimed)
            if worker is None:
                worker = await office.worker(front, conn)
            else:
                await front.ask("adopt", {"worker": worker.id, "conn": conn})
            entered = state.workers.find(worker.id)
            assert entered is not None and state.told_worker(entered)["access_hosts"] == told

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
