"""access.toml in force: at the connect, at each call, at a reload, after a restart."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, story, until
from relay_shell.broker.access_file import load_access
from relay_shell.broker.authority import identities
from relay_shell.broker.judge import Judge
from relay_shell.broker.peer import Peer as KernelPeer
from relay_shell.broker.principals import account_groups

ME = pwd.getpwuid(os.geteuid()).pw_name
NOBODY = 65534

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def rules(root: Path, text: str) -> None:
    path = root / "access.toml"
    path.write_text(text)
    path.chmod(0o644)


def reload(office: Office, text: str) -> None:
    rules(office.root, text)
    assert office.broker is not None
    state = office.broker.state
    judge = Judge(office.settings, state.judge.redact)
    office.broker.reload(office.settings, judge, load_access(office.root), identities(state))


@root_only
def test_whom_no_rule_names_is_refused(tmp_path: Path) -> None:
    rules(tmp_path, f'[[rule]]\nuser = "{ME}"\n')

    async def tell(office: Office) -> None:
        front = await office.front()
        assert (await office.connect(front))["groups"] == ["*"]
        accepted = office.client(NOBODY)
        refusal = await front.refused("connect", {"transport": "unix"}, (accepted.fileno(),))
        assert refusal.startswith("Denied: unix:nobody has no access: no rule of access.toml")
        (refused,) = office.records("refused")
        assert refused["uid"] == NOBODY and "no rule of access.toml" in refused["error"]
        (connect,) = office.records("connect")
        assert connect["reasons"] == ["rule 1 of access.toml, line 1"]

    story(tmp_path, tell)


@root_only
def test_mode_ceiling_and_tools_by_identity(tmp_path: Path) -> None:
    nogroup = grp.getgrgid(pwd.getpwuid(NOBODY).pw_gid).gr_name
    rules(
        tmp_path,
        f'[[rule]]\ngroup = "{nogroup}"\nmode = "guarded"\ntools = ["shell", "session_list"]\n'
        f'without_tools = ["shell_script"]\n[[rule]]\nany = true\nceiling = 2\n',
    )

    async def tell(office: Office) -> None:
        front, nobody = await office.at_work(NOBODY)
        assert nobody.hello["mode"] == "guarded"
        assert nobody.hello["groups"] == ["session_list", "shell_exec", "shell_read"]
        assert (await nobody.begin("k-1", "ls"))["decision"] == "allow"
        denied = await nobody.begin("k-2", "systemctl restart nginx")
        assert denied["decision"] == "deny" and denied["mode"] == "guarded"
        # The broker decides whatever the front has shown.
        denied = await nobody.begin("k-3", tool="shell_script", args={"script": "ls"})
        assert denied["decision"] == "deny"
        assert denied["reasons"] == [
            "rule 1 of access.toml, line 1 does not grant the tool shell_script"
        ]
        assert office.records("deny", call_id="k-3")[0]["reasons"] == denied["reasons"]
        verdict = (
            await nobody.ask(
                "explain", {"args": {"tool": "shell_spawn", "args": {"command": "ls"}}}
            )
        )["verdict"]
        assert verdict["decision"] == "deny" and "does not grant" in verdict["reasons"][0]

        connected = await office.connect(front)
        mine = await office.worker(front, connected["conn"])
        assert mine.hello["ceiling"] == 2 and connected["groups"] == ["*"]
        assert (await mine.begin("k-4", "systemctl restart nginx"))["decision"] == "allow"
        assert (await mine.begin("k-5", "rm -rf /srv"))["decision"] == "deny"

    story(tmp_path, tell)


def test_readonly_elsewhere_is_what_is_proven_to_change_nothing(tmp_path: Path) -> None:
    """No kernel of ours refuses what another machine runs: its text decides, or nothing runs."""
    rules(tmp_path, '[[rule]]\nany = true\nmode = "readonly"\n')

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        number = 0

        async def decided(tool: str, **args: object) -> tuple[str, str]:
            nonlocal number
            number += 1
            verdict = await worker.begin(f"k-{number}", tool=tool, args=args, hosts=["web-1"])
            return verdict["decision"], verdict["enforcement"]

        for tool in ("ssh_exec", "ssh_fanout"):
            for command in ("df -h", "systemctl status nginx | head -5", "ss -tlnp"):
                assert await decided(tool, command=command) == ("allow", "none")
            assert await decided(tool, argv=["journalctl", "-u", "nginx"]) == ("allow", "none")
            for command in (
                "touch /srv/x",
                "unheard-of",
                "sudo ls",
                "df -h > x",
                "ls $(reboot)",
                "ls; 'x",
                "ls 2>&1",
                "echo 'a\\'; reboot #'",
                "echo '!x'",
                "",
            ):
                assert await decided(tool, command=command) == ("deny", "none")
            for argv in (["time", "ls"], ["A=b", "ls"], ["echo", "a\nreboot"], [""]):
                assert await decided(tool, argv=argv) == ("deny", "none")
            assert await decided(tool, command="", stdin="reboot") == ("deny", "none")
            assert await decided(tool, command="sh -c 'ls 2>&1'") == ("allow", "none")
            assert await decided(tool, command="cat", env={"LD_PRELOAD": "/x"}) == ("deny", "none")
        for tool in ("ssh_spawn", "ssh_upload", "ssh_download", "ssh_forward"):
            assert await decided(tool, path="/srv/x") == ("deny", "none")
        for tool in ("ssh_hosts", "ssh_forward_list", "ssh_check", "ssh_keyscan"):
            assert await decided(tool) == ("allow", "none")
        # This machine's kernel does refuse.
        assert await decided("shell_exec", command="touch /srv/x") == ("allow", "readonly")
        denials = [record for record in office.records("deny") if record["tool"] == "ssh_exec"]
        assert all(record["hosts"] == ["web-1"] and record["tier"] > 0 for record in denials)

    story(tmp_path, tell)


def test_shell_of_the_other_machine_is_its_operators_word(tmp_path: Path) -> None:
    rules(tmp_path, '[[rule]]\nany = true\nmode = "readonly"\n')
    text = "for f in /etc/*.conf; do wc -l $f; done 2>&1 | tail -n 3"

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()

        async def decided(number: int, command: str, **more: object) -> str:
            given = {"tool": "ssh_exec", "args": {"host": "web-1", "command": command}}
            verdict = await worker.begin(f"k-{number}", **{"hosts": ["web-1"], **given, **more})
            return str(verdict["decision"])

        assert await decided(1, text) == "deny"
        assert await decided(2, text, shell="bash") == "allow"
        assert await decided(3, text, shell="sh") == "allow"
        assert await decided(4, text, shell="fish") == "deny"
        assert await decided(5, text) == "deny"
        # What only bash has.
        assert await decided(6, "cat <<< $(id)", shell="bash") == "allow"
        assert await decided(7, "cat <<< $(id)", shell="sh") == "deny"
        assert await decided(8, "for f in *; do rm $f; done", shell="bash") == "deny"
        for shell, decision in (("bash", "allow"), ("", "deny"), (7, "deny")):
            asked = {"tool": "ssh_exec", "args": {"host": "web-1", "command": text}}
            asked |= {"hosts": [["web-1"]], "shell": shell}
            verdict = (await worker.ask("explain", {"args": asked}))["verdict"]
            assert verdict["decision"] == decision
        # An argument of that name is none.
        args = {"host": "web-1", "command": text, "login_shell": "bash", "shell": "bash"}
        assert await decided(9, text, args=args) == "deny"
        # This machine's own text is read by its own shell.
        assert await decided(10, text, tool="shell_exec", hosts=[], shell="fish") == "allow"

    story(tmp_path, tell)


def test_a_reload_tells_and_a_denied_principal_is_gone(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        await worker.begin("k-1")
        reload(office, f'[[rule]]\nuser = "{ME}"\nceiling = 0\ntools = ["shell_exec"]\n')
        access = await front.hears("access")
        assert (access["ceiling"], access["groups"]) == (0, ["shell_exec"])
        assert (await worker.hears("settings"))["ceiling"] == 0
        assert (await worker.begin("k-2", "touch /srv/x"))["decision"] == "deny"
        (config,) = office.records("config", what="reload")
        assert config["facts"]["access_rules"] == 1 and config["facts"]["changed"] == [
            "access.toml"
        ]

        reload(office, f'[[rule]]\nuser = "{ME}"\ndeny = true\n')
        closed = await front.hears("close")
        assert (
            closed["conn"] == worker.conn and "rule 1 of access.toml refuses it" in closed["reason"]
        )
        assert "has no access" in (await worker.hears("stop"))["reason"]
        assert "has no access" in await worker.begin_refused("k-3")
        assert office.records("deny", what="connection")[0]["principal"] == f"unix:{ME}"

    story(tmp_path, tell)


def test_the_same_rules_again_tell_nobody(tmp_path: Path) -> None:
    rules(tmp_path, "[[rule]]\nany = true\n")

    async def tell(office: Office) -> None:
        front, _ = await office.at_work()
        reload(office, "[[rule]]\nany = true\n# a comment\n")
        reload(office, "[[rule]]\nany = true\nceiling = 1\n")
        await front.hears("access")
        assert [body["ceiling"] for name, body in front.heard if name == "access"] == [1]

    story(tmp_path, tell)


def test_a_parked_worker_of_a_denied_principal_is_stopped(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        await front.ask("disconnect", {"conn": worker.conn, "reason": "done"})
        reload(office, f'[[rule]]\nuser = "{ME}"\nmode = "guarded"\n')
        reload(office, '[[rule]]\nuser = "somebody-else"\n')
        stop = await worker.hears("stop")
        assert "no rule of access.toml names it" in stop["reason"]

    story(tmp_path, tell)


def test_the_client_says_what_it_is(tmp_path: Path) -> None:
    rules(
        tmp_path,
        f'[[rule]]\nuser = "{ME}"\nclient = "editor"\nmode = "guarded"\n'
        f'[[rule]]\nuser = "{ME}"\nclient = "other"\nceiling = 1\n',
    )

    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        assert worker.hello["groups"] == []
        assert "has not said what it is" in await worker.begin_refused("k-1", "ls")
        front.link.notify("client", _client(worker.conn, "editor"))
        assert (await front.hears("access"))["mode"] == "guarded"
        assert (await worker.begin("k-2", "ls"))["decision"] == "allow"
        front.link.notify("client", _client(worker.conn, "unheard-of"))
        assert (await front.hears("close"))["conn"] == worker.conn
        assert (await worker.hears("stop"))["reason"]

    story(tmp_path, tell)


def _client(conn: str, name: str) -> dict[str, str]:
    return {"conn": conn, "name": name, "version": "1", "protocol": "x"}


def test_a_restarted_broker_waits_for_the_connection(tmp_path: Path) -> None:
    rules(tmp_path, f'[[rule]]\nuser = "{ME}"\nceiling = 1\n')

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        client = office.clients[-1]
        await office.restart()
        again = await office.returned(worker)
        # The worker was faster than the front: who calls is not known yet.
        asked = asyncio.ensure_future(again.begin("k-1", "rm -rf /srv"))
        await office.resumed(worker, client)
        verdict = await asked
        assert verdict["decision"] == "deny" and "ceiling 1" in verdict["reasons"][0]
        assert (await again.hears("settings"))["ceiling"] == 1

    story(tmp_path, tell)


def test_without_its_connection_a_worker_may_do_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relay_shell.broker import admission

    monkeypatch.setattr(admission, "ANNOUNCED", 0.05)
    rules(tmp_path, "[[rule]]\nany = true\n")

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await office.restart()
        again = await office.returned(worker)
        refusal = await again.begin_refused("k-1", "ls")
        assert refusal.startswith("Denied: ") and "its connection is not known" in refusal
        assert office.broker is not None and not office.broker.state.connections._arrivals

    story(tmp_path, tell)


def test_rules_that_came_while_the_broker_was_down(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        client = office.clients[-1]
        rules(tmp_path, '[[rule]]\nuser = "somebody-else"\n')
        office.rules = load_access(tmp_path)
        await office.restart()
        again = await office.returned(worker)
        assert "no rule of access.toml names it" in (await again.hears("stop"))["reason"]
        front = await office.front()
        refusal = await front.refused(
            "connect", {"transport": "unix", "conn": worker.conn}, (client.fileno(),)
        )
        assert refusal.startswith("Denied: ")

    story(tmp_path, tell)


def test_a_resource_is_not_read_by_whom_waits(tmp_path: Path) -> None:
    rules(tmp_path, f'[[rule]]\nuser = "{ME}"\nclient = "editor"\n')

    async def tell(office: Office) -> None:
        front = await office.front()
        conn = (await office.connect(front))["conn"]
        answer = await front.ask("observe", {"conn": conn, "what": "resource", "name": "x"})
        assert not answer["allowed"] and "has not said" in answer["reason"]
        assert office.records("observe", decision="deny")

    story(tmp_path, tell)


def test_groups_are_the_kernels_and_the_accounts() -> None:
    account = pwd.getpwuid(os.geteuid())
    peer = KernelPeer(1, account.pw_uid, 12345, (23456,), None)
    found = account_groups(account.pw_name, peer)
    assert {12345, 23456} <= found
    # A process that dropped its groups is still in those of its account.
    dropped = account_groups(account.pw_name, peer._replace(gid=account.pw_gid, groups=()))
    assert set(os.getgrouplist(account.pw_name, account.pw_gid)) <= dropped
    assert account_groups("#4711", peer) == {12345, 23456}


def test_status_counts_the_rules(tmp_path: Path) -> None:
    rules(tmp_path, "[[rule]]\nany = true\n")

    async def tell(office: Office) -> None:
        status: dict[str, Any] = (await (await office.operator()).ask("status"))["status"]
        assert status["access_rules"] == 1
        assert await until(lambda: office.records("start"))
        (start,) = office.records("start")
        assert start["facts"]["access_rules"] == 1 and len(start["facts"]["access_sha256"]) == 64

    story(tmp_path, tell)


def test_whose_output_is_redacted_is_a_matter_of_its_rule(tmp_path: Path) -> None:
    rules(tmp_path, f'[[rule]]\nuser = "{ME}"\nredact = true\n')

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        assert worker.hello["settings"]["redaction.output"] == "on"
        reload(office, f'[[rule]]\nuser = "{ME}"\nredact = false\n')
        assert (await worker.hears("settings"))["settings"]["redaction.output"] == "off"

    story(tmp_path, tell)


def test_the_setting_decides_where_no_rule_does(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        assert worker.hello["settings"]["redaction.output"] == "off"

    story(tmp_path, tell)


def test_a_rule_may_show_what_the_setting_hides(tmp_path: Path) -> None:
    rules(tmp_path, f'[[rule]]\nuser = "{ME}"\nredact = false\n')

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        assert worker.hello["settings"]["redaction.output"] == "off"

    story(tmp_path, tell, **{"redaction.output": "on"})


def test_a_worker_of_two_connections_hides_what_one_may_not_see(tmp_path: Path) -> None:
    """What a session printed is read by all connections of its worker."""
    rules(
        tmp_path, "[[rule]]\ngroup = 4242424\nredact = true\n[[rule]]\nany = true\nredact = false\n"
    )

    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        assert worker.hello["settings"]["redaction.output"] == "off"
        again = (await office.connect(front))["conn"]
        assert office.broker is not None
        connection = office.broker.state.connections.get(again)
        connection.groups = connection.groups | {4242424}
        await front.ask("adopt", {"worker": worker.id, "conn": again})
        assert (await worker.hears("settings"))["settings"]["redaction.output"] == "on"

    story(tmp_path, tell)


def test_no_claim_shows_what_a_rule_hides(tmp_path: Path) -> None:
    rules(
        tmp_path,
        f'[[rule]]\nuser = "{ME}"\nclient = "agent"\nredact = true\n'
        f'[[rule]]\nuser = "{ME}"\nredact = false\n',
    )

    async def tell(office: Office) -> None:
        front, worker = await office.at_work()
        assert worker.hello["settings"]["redaction.output"] == "on"
        for name in ("agent", "operator"):
            worker.heard.clear()
            front.link.notify("client", _client(worker.conn, name))
            assert (await worker.hears("settings"))["settings"]["redaction.output"] == "on"
        args = {"command": "true", "redact": False}
        assert (await worker.begin("k-1", args=args))["decision"] == "allow"
        assert (await worker.hears("settings"))["settings"]["redaction.output"] == "on"

    story(tmp_path, tell)


def test_a_worker_whose_connection_is_not_known_hides_secrets(tmp_path: Path) -> None:
    rules(tmp_path, f'[[rule]]\nuser = "{ME}"\nredact = false\n')

    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        await office.restart()
        again = await office.returned(worker)
        assert again.hello["settings"]["redaction.output"] == "on"

    story(tmp_path, tell)
