from __future__ import annotations

import json
import shlex

import pytest

LOCAL = {"command": "/usr/bin/relay-shell", "args": ["connect"]}
REMOTE = {
    "command": "ssh",
    "args": ["-T", "-o", "BatchMode=yes", "alice@web1.example.org", "relay-shell", "connect"],
}
NO_PROGRAM = {"PATH": "/nonexistent"}


@pytest.mark.parametrize(
    ("client", "options", "registration"),
    [
        ("claude-desktop", [], {"mcpServers": {"relay-shell": LOCAL}}),
        ("vscode", [], {"servers": {"relay-shell": {"type": "stdio", **LOCAL}}}),
        ("cursor", [], {"mcpServers": {"relay-shell": {"type": "stdio", **LOCAL}}}),
        ("json", [], {"mcpServers": {"relay-shell": {"type": "stdio", **LOCAL}}}),
        (
            "vscode",
            ["--ssh", "alice@web1.example.org", "--name", "web1"],
            {"servers": {"web1": {"type": "stdio", **REMOTE}}},
        ),
        (
            "claude-desktop",
            ["--standalone"],
            {"mcpServers": {"relay-shell": {**LOCAL, "args": ["stdio"]}}},
        ),
    ],
)
def test_standard_output_is_the_file_to_save(cli, client, options, registration):
    done = cli("client-config", client, *options, env=NO_PROGRAM)
    assert done.status == 0
    assert json.loads(done.out) == registration
    assert done.err.count("\n") == 1


def test_claude_code_is_registered_by_a_command(cli):
    done = cli("client-config", "claude-code", "--ssh", "alice@web1.example.org")
    words = shlex.split(done.out)
    assert words[:8] == "claude mcp add --transport stdio --scope user relay-shell".split()
    assert words[8:] == ["--", REMOTE["command"], *REMOTE["args"]]


@pytest.mark.parametrize(
    "host", ["-oProxyCommand=id", "a b", "a;id", "$(id)", "", "a@-b", "a@", "-A@b"]
)
def test_a_destination_that_ssh_or_a_shell_could_misread_is_refused(cli, host):
    done = cli("client-config", "json", f"--ssh={host}")
    assert (done.status, done.out) == (64, "")
    assert "is no ssh destination" in done.err


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, 'a"b'])
def test_a_name_that_clients_refuse_is_refused(cli, name):
    assert cli("client-config", "json", f"--name={name}").status == 64
