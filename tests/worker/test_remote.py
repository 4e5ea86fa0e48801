"""The ssh tools through a worker: what the broker is told, and what is answered."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processes import mark, processes_with
from relay_shell.broker.reach import machines_of
from relay_shell.broker.remote import remote_rows
from relay_shell.ssh import command as ssh_command
from relay_shell.tools.registry import TOOLS
from ssh.machines import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    place = tmp_path / "site"
    place.mkdir()
    made = Site(place)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(made.agent))
    # However slow this host is now, a server of ours confirms that it killed.
    monkeypatch.setattr(ssh_command, "KILL", 60)
    try:
        yield made
    finally:
        made.close()


async def start(s: Any, site: Site) -> None:
    s.broker.settings |= site.settings
    await s.front.start()


def told(s: Any) -> tuple[Any, Any]:
    """The machines that the broker was asked about, and the rows it was given."""
    asked = s.broker.all("begin")[-1]["hosts"]
    ended = s.broker.all("end")
    rows = ended[-1].get("remote", []) if ended else []
    machines_of(asked)
    remote_rows(rows, lambda value: value)
    return asked, rows


def test_command_is_decided_for_the_machines_it_reaches(setting: Any, site: Site) -> None:
    site.server("gw", listed_as="gw")
    site.server("web1", jump="gw")
    site.inventory["gw"]["address"] = "localhost"
    site.inventory["gw"]["host_key"] = "gw"
    site.write()

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            facts = await s.front.result("ssh_exec", host="web1", command="echo $((6*7)); exit 3")
            assert (facts["host"], facts["exit"], facts["stdout"]) == ("web1", 3, "42\n")
            assert "used" not in facts and "address" not in facts
            asked, rows = told(s)
            assert asked[0] == ["web1", "127.0.0.1"]
            assert asked[1][:2] == ["gw", "localhost"] and "127.0.0.1" in asked[1]
            assert rows[0] | {"host_key": "", "sha256": ""} == {
                "host": "web1",
                "status": "ok",
                "exit": 3,
                "bytes": 3,
                "host_key": "",
                "sha256": "",
            }
            end = s.broker.all("end")[-1]
            assert (end["status"], end["exit"], end["bytes"]) == ("ok", 3, 3)
            assert "cpu_ms" not in end
            text = TOOLS["ssh_exec"].render(facts)
            assert text.startswith("[exit 3]\n42")

    asyncio.run(main())


def test_broker_is_told_which_shell_reads_the_text(setting: Any, site: Site) -> None:
    site.server("web1", shell="bash")
    site.server("web2")

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            for hosts, shell in ((["web1"], "bash"), (["web2"], None), (["*"], None)):
                await s.front.result("ssh_fanout", hosts=hosts, command="true")
                assert s.broker.all("begin")[-1].get("shell") == shell

    asyncio.run(main())


def test_explanation_is_of_the_machines_that_a_call_would_reach(setting: Any, site: Site) -> None:
    site.server("web1", shell="bash")

    async def main() -> None:
        async with setting() as s:
            await start(s, site)

            async def asked(tool: str, **args: Any) -> dict[str, Any]:
                reply = await s.front.call("policy_explain", {"tool": tool, "arguments": args})
                found: dict[str, Any] = reply["result"]
                return found

            told = (await asked("ssh_exec", host="web1", command="ls"))["asked"]
            assert told["hosts"] == [["web1", "127.0.0.1"]] and told["shell"] == "bash"
            told = (await asked("shell_exec", command="ls"))["asked"]
            assert "hosts" not in told and "shell" not in told
            assert "hosts" not in (await asked("ssh_exec", host=["web1"]))["asked"]
            assert "hosts" not in (await asked("ssh_exec", command="ls"))["asked"]
            assert (await asked("ssh_exec", host="web9", command="ls"))["error"][
                "kind"
            ] == "NotFound"

    asyncio.run(main())


def test_denied_command_connects_to_nothing(setting: Any, site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        site.server("web1", listed_as=f"[127.0.0.1]:{listener.getsockname()[1]}")
        site.inventory["web1"]["port"] = listener.getsockname()[1]
        site.write()

        async def main() -> None:
            async with setting() as s:
                s.broker.verdict |= {"decision": "deny", "tier": 3, "reasons": ["rm -r"]}
                await start(s, site)
                calls = (
                    ("ssh_exec", {"host": "web1", "command": "rm -rf /"}),
                    ("ssh_fanout", {"hosts": ["*"], "command": "rm -rf /"}),
                    ("ssh_check", {"hosts": ["web1"]}),
                    ("ssh_keyscan", {"host": "web1"}),
                )
                for tool, args in calls:
                    facts = await s.front.result(tool, **args)
                    assert facts["error"]["kind"] == "Denied", tool
                    assert told(s)[0] == [["web1", "127.0.0.1"]]
                assert s.broker.all("end") == []
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()

        asyncio.run(main())


def test_host_that_is_not_in_the_inventory_is_refused_with_a_record(
    setting: Any, site: Site
) -> None:
    site.server("web1")

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            for host in ("web2", "127.0.0.1", "root@web1", "*", "-oProxyCommand=id", "@all"):
                facts = await s.front.result("ssh_exec", host=host, command="true")
                assert facts["error"]["kind"] == "NotFound", host
                assert told(s)[0] == []
                assert s.broker.all("end")[-1]["status"] == "error"

    asyncio.run(main())


@pytest.mark.parametrize(
    "args",
    [
        {"command": "true\0; rm -rf /"},
        {"argv": ["true", "a\0b"]},
        {"command": "true", "argv": ["true"]},
        {},
    ],
)
def test_text_that_would_not_arrive_as_it_was_judged_is_not_sent(
    setting: Any, site: Site, args: dict[str, Any]
) -> None:
    site.server("web1")

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            facts = await s.front.result("ssh_exec", host="web1", **args)
            assert facts["error"]["kind"] == "InvalidArguments"

    asyncio.run(main())


def test_words_arrive_as_they_were_given(setting: Any, site: Site) -> None:
    site.server("web1")
    words = [
        "a b",
        "$HOME",
        "`id`",
        "'",
        '"',
        "\\",
        "*",
        "!x",
        "-n",
        "ä",
        "",
        "line\nline",
        "#",
        "~",
    ]

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            facts = await s.front.result("ssh_exec", host="web1", argv=["printf", "[%s]", *words])
            assert facts["stdout"] == "".join(f"[{word}]" for word in words)

    asyncio.run(main())


def test_command_ends_with_its_call(setting: Any, site: Site, tmp_path: Path) -> None:
    site.server("web1")
    number = mark(84)

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            command = f"touch {tmp_path}/begun; sleep {number}"
            args = {"host": "web1", "command": command, "timeout": 600}
            call = s.front.call("ssh_exec", args, ident="k-stop")
            await s.until(lambda: (tmp_path / "begun").exists())
            s.front.link.notify("cancel", {"call": "k-stop", "reason": "not wanted"})
            reply = await call
            assert reply["result"]["error"]["kind"] == "Cancelled"
            _, rows = told(s)
            assert rows == [{"host": "web1", "status": "cancelled"}]
            end = s.broker.all("end")[-1]
            assert (end["status"], end["signal"]) == ("cancelled", "SIGKILL")
            await s.until(lambda: not processes_with(f"sleep\0{number}"))

    asyncio.run(main())


def test_fan_out_shows_each_answer_once(setting: Any, site: Site) -> None:
    for number in range(1, 5):
        site.server(f"web{number}", groups=["web"])
    site.server("down", groups=["web"])
    site.stop("down")
    site.server("strange", known=False, groups=["web"])
    odd = site.place / "host-web3"

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            # Told apart by what only one of them is started with.
            command = (
                f"grep -q host-web3 /proc/$PPID/cmdline && echo odd || echo even; # {odd.name}"
            )
            facts = await s.front.result("ssh_fanout", hosts=["@web"], command=command)
            assert (facts["total"], facts["ok"]) == (6, 4)
            by_answer = {row["stdout"]: row["hosts"] for row in facts["results"]}
            assert by_answer == {"even\n": ["web1", "web2", "web4"], "odd\n": ["web3"]}
            assert {row["host"]: row["kind"] for row in facts["failures"]} == {
                "down": "Unreachable",
                "strange": "HostKey",
            }
            asked, rows = told(s)
            assert [names[0] for names in asked] == [row["host"] for row in rows]
            status = {row["host"]: row.get("exit", row["status"]) for row in rows}
            assert status == dict.fromkeys(("web1", "web2", "web3", "web4"), 0) | dict.fromkeys(
                ("down", "strange"), "error"
            )
            assert s.broker.all("end")[-1]["status"] == "error"
            text = TOOLS["ssh_fanout"].render(facts)
            assert text.startswith(
                "[4 of 6 hosts: exit 0]\n== web1, web2, web4 (3)\n[exit 0]\neven"
            )
            assert "[ERROR: down: Unreachable:" in text

    asyncio.run(main())


def test_fan_out_has_one_time_limit_and_one_room(setting: Any, site: Site) -> None:
    for number in range(1, 4):
        site.server(f"web{number}")

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            await s.front.result("ssh_check", hosts=["*"])
            args = {"hosts": ["*"], "command": "seq 1 9999; exec sleep 600", "timeout": 5}
            reply = await s.front.call("ssh_fanout", args | {"at_once": 1, "max_output": 3000})
            facts = reply["result"]
            assert facts["ok"] == 0
            assert [row["hosts"] for row in facts["results"]] == [["web1"]]
            assert facts["results"][0]["timeout"] and facts["results"][0]["truncated"]
            assert len(facts["results"][0]["stdout"]) < 1200
            assert [row["kind"] for row in facts["failures"]] == ["Timeout", "Timeout"]
            _, rows = told(s)
            assert [row["status"] for row in rows] == ["timeout", "error", "error"]

    asyncio.run(main())


def test_cancelled_fan_out_ends_everywhere(setting: Any, site: Site, tmp_path: Path) -> None:
    for number in range(1, 4):
        site.server(f"web{number}")
    seconds = mark(85)

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            command = f"touch {tmp_path}/begun-$$; sleep {seconds}"
            args = {"hosts": ["*"], "command": command, "timeout": 600}
            call = s.front.call("ssh_fanout", args, ident="k-stop")
            await s.until(lambda: len(list(tmp_path.glob("begun-*"))) == 3)
            s.front.link.notify("cancel", {"call": "k-stop", "reason": "not wanted"})
            assert (await call)["result"]["error"]["kind"] == "Cancelled"
            _, rows = told(s)
            assert sorted(row["host"] for row in rows) == ["web1", "web2", "web3"]
            assert {row["status"] for row in rows} == {"cancelled"}
            await s.until(lambda: not processes_with(f"sleep\0{seconds}"))

    asyncio.run(main())


def test_check_says_of_each_host_what_is_wrong(setting: Any, site: Site) -> None:
    site.server("web1")
    site.server("new", known=False)
    site.server("locked", authorized=[site.new_key("x").with_suffix(".pub").read_text()])

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            facts = await s.front.result("ssh_check", hosts=["*"])
            assert (facts["total"], facts["ok"]) == (3, 1)
            rows = {row["host"]: row for row in facts["hosts"]}
            assert rows["web1"]["server"].startswith("SSH-2.0-")
            assert rows["web1"]["host_key"].startswith("SHA256:")
            assert rows["new"]["error"]["kind"] == "HostKey"
            assert rows["locked"]["error"]["kind"] == "HostAuth"
            text = TOOLS["ssh_check"].render(facts)
            assert text.startswith("[1 of 3 hosts: ok]") and "relay-shell ssh trust new" in text
            assert len(told(s)[0]) == 3

    asyncio.run(main())


def test_key_scan_compares_and_stores_nothing(setting: Any, site: Site) -> None:
    site.server("web1")
    site.server("new", known=False)
    known = Path(site.settings["paths.known_hosts"])
    before = known.read_bytes()

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            for host, state in (("web1", "known"), ("new", "unknown")):
                facts = await s.front.result("ssh_keyscan", host=host)
                assert [(key["type"], key["state"]) for key in facts["keys"]] == [
                    ("ssh-ed25519", state)
                ]
                public = (site.place / f"host-{host}.pub").read_text().split()[1]
                assert facts["keys"][0]["line"].endswith(public)
            assert "relay-shell ssh trust new" in TOOLS["ssh_keyscan"].render(facts)

    asyncio.run(main())
    assert known.read_bytes() == before


def test_hosts_are_listed_as_far_as_they_are_granted(setting: Any, site: Site) -> None:
    site.server("gw", groups=["edge"], description="the way in")
    site.server("web1", jump="gw", groups=["web"])

    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            facts = await s.front.result("ssh_hosts")
            assert [row["host"] for row in facts["hosts"]] == ["gw", "web1"]
            assert facts["hosts"][1]["jump"] == "gw" and facts["hosts"][1]["groups"] == ["web"]
            assert "hosts" not in s.broker.all("begin")[-1]
            text = TOOLS["ssh_hosts"].render(facts)
            assert "web1: deploy@127.0.0.1" in text and "@edge, the way in" in text
            facts = await s.front.result("ssh_hosts", match=["@web"])
            assert [row["host"] for row in facts["hosts"]] == ["web1"]
            for granted, seen in (
                (["web*"], ["web1"]),
                (["127.0.0.0/8"], ["gw", "web1"]),
                ([], []),
            ):
                s.worker._identity["hosts"] = granted
                facts = await s.front.result("ssh_hosts")
                assert [row["host"] for row in facts["hosts"]] == seen

    asyncio.run(main())


def test_without_an_inventory_there_is_no_host(
    setting: Any, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with setting() as s:
            await start(s, site)
            facts = await s.front.result("ssh_hosts")
            assert facts["hosts"] == []
            assert "inventory.toml" in TOOLS["ssh_hosts"].render(facts)
            site.place.joinpath("inventory.toml").write_text("[host.x]\nprot = 22\n")
            facts = await s.front.result("ssh_exec", host="x", command="true")
            assert facts["error"]["kind"] == "Config" and "prot" in facts["error"]["message"]
            os.chmod(site.place / "inventory.toml", 0o666)
            facts = await s.front.result("ssh_hosts")
            assert facts["error"]["kind"] == "Config"

    asyncio.run(main())
