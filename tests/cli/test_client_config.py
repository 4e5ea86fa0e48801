from __future__ import annotations

import json
import shlex

import pytest

LOCAL = {"command": "/usr/bin/relay-shell", "args": ["connect"]}
REMOTE = {
    "command": "ssh",
    "args": [
        *("-T", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=30"),
        *("alice@web1.example.org", "relay-shell", "connect"),
    ],
}
NO_PROGRAM = {"PATH": "/nonexistent"}


@pytest.mark.parametrize(
    ("client", "options", "registration"),
    [
        ("claude-desktop", [], {"mcpServers": {"relay-shell": LOCAL}}),
        ("vscode", [], {"servers": {"relay-shell": {"type": "stdio", **LOCAL}}}),
        ("cursor", [], {"mcpServers": {"relay-shell": {"type": "stdio", **LOCAL}}}),
        ("json", [], {"mcpServers": {"relay-shell": {"type": "stdio", **LOCAL}}}),
        ("windsurf", [], {"mcpServers": {"relay-shell": LOCAL}}),
        ("zed", [], {"context_servers": {"relay-shell": LOCAL}}),
        (
            "opencode",
            [],
            {
                "$schema": "https://opencode.ai/config.json",
                "mcp": {
                    "relay-shell": {
                        "type": "local",
                        "command": ["/usr/bin/relay-shell", "connect"],
                    }
                },
            },
        ),
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
    # Where it goes and, over ssh, what to try first.
    assert done.err.count("\n") == (3 if "--ssh" in options else 1)


@pytest.mark.parametrize(
    ("client", "words"),
    [
        ("claude-code", "claude mcp add --transport stdio --scope user web1 --"),
        ("codex", "codex mcp add web1 --"),
        ("copilot", "copilot mcp add web1 --"),
    ],
)
def test_clients_with_a_command_are_registered_by_it(cli, client, words):
    done = cli("client-config", client, "--ssh", "alice@web1.example.org", "--name", "web1")
    assert shlex.split(done.out) == [*words.split(), REMOTE["command"], *REMOTE["args"]]


@pytest.mark.parametrize("client", ["gemini", "qwen"])
def test_gemini_takes_the_program_before_the_dashes(cli, client):
    done = cli("client-config", client, "--ssh", "alice@web1.example.org")
    words = f"{client} mcp add --scope user relay-shell ssh --"
    assert shlex.split(done.out) == [*words.split(), *REMOTE["args"]]


def test_continue_gets_yaml(cli):
    done = cli("client-config", "continue", "--name", "web1", env=NO_PROGRAM)
    assert done.out == (
        'name: "web1"\nversion: 0.0.1\nschema: v1\nmcpServers:\n  - name: "web1"\n'
        '    type: stdio\n    command: "/usr/bin/relay-shell"\n    args: ["connect"]\n'
    )


def test_over_ssh_a_first_try_by_hand_is_asked_for(cli):
    done = cli("client-config", "json", "--ssh", "alice@web1")
    assert "Try once in a terminal: ssh -T alice@web1 relay-shell connect </dev/null" in done.err


@pytest.mark.parametrize(
    "host", ["-oProxyCommand=id", "a b", "a;id", "$(id)", "", "a@-b", "a@", "-A@b"]
)
def test_a_destination_that_ssh_or_a_shell_could_misread_is_refused(cli, host):
    done = cli("client-config", "json", f"--ssh={host}")
    assert (done.status, done.out) == (64, "")
    assert "is no ssh destination" in done.err


@pytest.mark.parametrize("name", ["", "a b", "x" * 41, 'a"b'])
def test_a_name_that_clients_refuse_is_refused(cli, name):
    assert cli("client-config", "json", f"--name={name}").status == 64
