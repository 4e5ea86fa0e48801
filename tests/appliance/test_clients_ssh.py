"""Clients on another machine: the registration over ssh, and an account that has nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from appliance.machine import Machine

KEYS = "/home/agent/.ssh/authorized_keys"


@pytest.fixture
def reachable(appliance: Machine) -> Machine:
    """The appliance with sshd on its own loopback; the user `remote` holds a key of `agent`."""
    appliance.add_user("remote")
    appliance.shell(
        """
        ssh-keygen -A
        systemctl start ssh.service
        runuser -u remote -- sh -euc '
            mkdir -m 700 ~/.ssh
            ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519
            echo 127.0.0.1 $(cat /etc/ssh/ssh_host_ed25519_key.pub) > ~/.ssh/known_hosts
        '
        install -d -m 700 -o agent -g agent /home/agent/.ssh
        """
    )
    authorize(appliance, "")
    # An SDK takes a server for an old one if its first answer needs more than ten seconds.
    appliance.run("systemctl", "start", "relay-shell-front.service")
    return appliance


def authorize(machine: Machine, options: str) -> None:
    """Let the key of `remote` log in as `agent`, with these options of sshd(8)."""
    key = machine.read("/home/remote/.ssh/id_ed25519.pub")
    machine.write(KEYS, f"{options} {key}".lstrip())


def registered(machine: Machine) -> list[str]:
    """The command that a client is told to start."""
    text = machine.out("relay-shell", "client-config", "json", "--ssh", "agent@127.0.0.1")
    server = json.loads(text)["mcpServers"]["relay-shell"]
    return [server["command"], *server["args"]]


def call(machine: Machine, command: list[str]) -> str:
    """What `id -un` prints to an MCP client that starts the command as `remote`."""
    program, *args = machine.command(*command, user="remote")
    server = StdioServerParameters(command=program, args=args, env=dict(os.environ))

    async def scene() -> str:
        async with Client(server) as client:
            assert "shell_exec" in {tool.name for tool in (await client.list_tools()).tools}
            result = await client.call_tool("shell_exec", {"command": "id -un"})
            assert result.structured_content is not None
            return str(result.structured_content["stdout"])

    return asyncio.run(asyncio.wait_for(scene(), 120))


def ssh(machine: Machine, *words: str) -> subprocess.CompletedProcess[str]:
    return machine.run("ssh", "-o", "BatchMode=yes", *words, user="remote", check=False)


def test_a_client_starts_what_client_config_prints(reachable: Machine) -> None:
    assert call(reachable, registered(reachable)) == "relay-shell\n"
    records = reachable.out("journalctl", "--unit=relay-shell", "--output=cat", "--no-pager")
    assert 'agent shell_exec "id -un"' in records


def test_the_first_try_by_hand_is_silent(reachable: Machine) -> None:
    done = ssh(reachable, "-T", "agent@127.0.0.1", "relay-shell", "connect")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("where", ["authorized_keys", "sshd_config"])
def test_a_forced_command_leaves_the_account_nothing_else(reachable: Machine, where: str) -> None:
    if where == "authorized_keys":
        authorize(reachable, 'command="relay-shell connect",restrict')
    else:
        reachable.run("usermod", "--append", "--groups", "users", "agent")
        reachable.write(
            "/etc/ssh/sshd_config.d/relay-shell.conf",
            "Match Group users\n  ForceCommand relay-shell connect\n  DisableForwarding yes\n"
            "  PermitTTY no\n  PermitUserRC no\n",
        )
        reachable.run("systemctl", "reload", "ssh.service")
    assert call(reachable, registered(reachable)) == "relay-shell\n"
    for words in (["cat", "/etc/passwd"], ["-s", "sftp"], []):
        done = ssh(reachable, "-T", "agent@127.0.0.1", *words)
        assert (done.returncode, done.stdout) == (0, ""), words
    done = ssh(reachable, "-tt", "agent@127.0.0.1", "bash")
    assert "PTY allocation request failed" in done.stderr and done.stdout == ""
    done = ssh(reachable, "-W", "127.0.0.1:22", "agent@127.0.0.1")
    assert done.returncode == 255 and "administratively prohibited" in done.stderr


def test_a_missing_key_or_an_unknown_host_fails_at_once_with_the_reason(
    reachable: Machine,
) -> None:
    command = registered(reachable)
    reachable.run("rm", KEYS)
    done = reachable.run(*command, user="remote", check=False)
    assert (done.returncode, done.stdout) == (255, "")
    assert "Permission denied (publickey" in done.stderr
    reachable.run("rm", "/home/remote/.ssh/known_hosts")
    done = reachable.run(*command, user="remote", check=False)
    assert (done.returncode, done.stdout) == (255, "")
    assert "Host key verification failed" in done.stderr


def test_who_joined_the_group_after_the_login_is_told_to_log_in_again(
    appliance: Machine,
) -> None:
    login = ("setpriv", "--reuid=agent", "--regid=agent", "--clear-groups")
    done = appliance.run(*login, "relay-shell", "connect", check=False)
    assert done.returncode == 77
    assert "agent joined group 'relay-shell-access' after this login\nLog in again" in done.stderr
    done = appliance.run("relay-shell", "connect", user="outsider", check=False)
    assert done.returncode == 77
    assert "'usermod -aG relay-shell-access outsider'" in done.stderr
