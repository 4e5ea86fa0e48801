"""Files and environment: what is taken, what is refused, and what is said about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relay_shell import config
from relay_shell.config import TABLE, load
from relay_shell.config.table import RESERVED


def test_without_files_the_defaults_hold(tmp_path: Path) -> None:
    settings = load(tmp_path / "nothing", {})
    assert dict(settings) == {name: row.default for name, row in TABLE.items()}
    assert settings["policy.mode"] == "open"
    assert settings.source("policy.mode") == "default"


def test_later_files_and_the_environment_win(root, write) -> None:
    write('[limits]\ntimeout = 1\n[policy]\nmode = "guarded"\n\ndeny = ["a"]\n')
    write('policy.deny = ["b"]\nlimits.timeout = 2\n', "relay-shell.d/20-b.toml")
    write("[limits]\ntimeout = 3\n", "relay-shell.d/10-a.toml")
    write("not toml", "relay-shell.d/30-c.toml.dpkg-old")
    write("not toml", "relay-shell.d/.30-c.toml")
    settings = load(root, {"RELAY_SHELL_LIMITS_CALLS": "7", "HOME": "/root"})
    assert settings["limits.timeout"] == 2
    assert settings["policy.deny"] == ("b",)
    assert settings["policy.mode"] == "guarded"
    assert settings["limits.calls"] == 7
    sources = [settings.source(n) for n in ("limits.timeout", "policy.mode", "limits.calls")]
    assert sources == [
        f"{root}/relay-shell.d/20-b.toml:2",
        f"{root}/relay-shell.toml:4",
        "env RELAY_SHELL_LIMITS_CALLS",
    ]


def test_every_problem_is_said_with_its_line(write, problems) -> None:
    write(
        """\
# A comment with mode = "x"
[policy]
mode = "guared"
deny = [
  "rm -rf", # alow = []
  '''
[limits]
alow = 1
''', "(?=x)",
]
alow = ["x"]

[limits]
timeout = "60"
calls = 0
outputs = true
message.size = 3

[ploicy]
mode = "open"
"""
    )
    write('evidence = 3\n[front]\nidle_exit = 1.5\n"idle exit" = 2\n', "relay-shell.d/a.toml")
    assert problems(RELAY_SHELL_POLCY_MODE="readonly", RELAY_SHELL_LIMITS_CALLS="many") == [
        "relay-shell.toml:3: policy.mode must be one of open, guarded, readonly, not 'guared'",
        "relay-shell.toml:4: policy.deny item 3 is no RE2 pattern: invalid perl operator: (?=",
        "relay-shell.toml:11: unknown setting 'policy.alow'; did you mean 'policy.allow'?",
        "relay-shell.toml:14: limits.timeout must be an integer, not a string",
        "relay-shell.toml:15: limits.calls must be between 1 and 1024, not 0",
        "relay-shell.toml:16: limits.outputs must be an integer, not a boolean",
        "relay-shell.toml:17: limits.message must be an integer, not a table",
        "relay-shell.toml:19: unknown section 'ploicy'; did you mean 'policy'?",
        "relay-shell.d/a.toml:1: 'evidence' is a section: write [evidence]",
        "relay-shell.d/a.toml:3: front.idle_exit must be an integer, not a float",
        "relay-shell.d/a.toml:4: unknown setting 'front.idle exit'; "
        "did you mean 'front.idle_exit'?",
        "RELAY_SHELL_LIMITS_CALLS: must be an integer, not 'many'",
        "RELAY_SHELL_POLCY_MODE: unknown variable 'RELAY_SHELL_POLCY_MODE'; "
        "did you mean 'RELAY_SHELL_POLICY_MODE'?",
    ]


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("RELAY_SHELL_DENY", "did you mean 'RELAY_SHELL_POLICY_DENY'?"),
        ("RELAY_SHELL_PATH_AUDIT", "did you mean 'RELAY_SHELL_PATHS_AUDIT'?"),
        ("RELAY_SHELL_SOCKET", "did you mean 'RELAY_SHELL_PATHS_SOCKET'?"),
        # The common prefix makes no likeness.
        ("RELAY_SHELL_DEBUG", "no setting has this name: unset it"),
        ("RELAY_SHELL_", "no setting has this name: unset it"),
    ],
)
def test_a_variable_of_no_setting(problems, variable, hint) -> None:
    assert problems(**{variable: "1"}) == [f"{variable}: unknown variable '{variable}'; {hint}"]


@pytest.mark.parametrize("variable", sorted(RESERVED))
def test_a_variable_that_commands_are_given(tmp_path, variable) -> None:
    assert dict(load(tmp_path, {variable: "1"})) == {n: row.default for n, row in TABLE.items()}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[policy\n", "relay-shell.toml:1: is no TOML: Expected ']' at the end of a table"),
        ("a = 1\na = 2\n", "relay-shell.toml:2: is no TOML: Cannot overwrite a value"),
        (
            '[policy]\n[audit]\n[policy]\nmode = "open"\n',
            "relay-shell.toml:3: is no TOML: the table [policy] is there already; "
            "add its settings to that one",
        ),
        ('[policy]\nmode = "open', "relay-shell.toml:2: is no TOML: Unterminated string"),
        ("x = " + "[" * 5000, "relay-shell.toml: is nested too deeply"),
    ],
)
def test_what_is_no_toml(write, problems, text, problem) -> None:
    write(text)
    (said,) = problems()
    assert said.startswith(problem)


def test_what_is_no_text(write, problems) -> None:
    write("").write_bytes(b"# fine\n[policy]\n# \xff\n")
    assert problems() == ["relay-shell.toml:3: is not UTF-8"]
    write("#" * (1024 * 1024 + 1))
    assert problems() == ["relay-shell.toml: is larger than 1048576 bytes"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('deny = [""]', "item 1 is empty and would match every command"),
        ('allow = ["a", 3]', "item 2 must be a string, not an integer"),
        ('deny = "rm"', "must be a list of strings, not a string"),
        ('deny = ["(a"]', "item 1 is no RE2 pattern: missing ): (a"),
        (f"deny = {['a'] * 1025}", "must have at most 1024 items, not 1025"),
        (f'deny = ["{"a" * 4097}"]', "item 1 is longer than 4096 characters"),
    ],
)
def test_patterns(write, problems, text, problem) -> None:
    write(f"[policy]\n{text}\n")
    name = text.partition(" ")[0]
    assert problems() == [f"relay-shell.toml:2: policy.{name} {problem}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('worker.shell = "bash"', "worker.shell must be an absolute path without"),
        ('worker.shell = "/bin/../bash"', "worker.shell must be an absolute path without"),
        ('worker.path = "a\\u0000b"', "worker.path must not contain a NUL"),
        (f'paths.socket = "/{"x" * 107}"', "paths.socket must have 2 to 107 bytes"),
        ('tools.disabled = ["Shell"]', "tools.disabled item 1 must be one of shell, session,"),
    ],
)
def test_texts(write, problems, text, problem) -> None:
    write(text)
    assert problems()[0].startswith(f"relay-shell.toml:1: {problem}")


def test_settings_at_odds(write, problems) -> None:
    write("[limits]\ntimeout = 1000\n")
    assert problems() == [
        "relay-shell.toml:2: limits.timeout = 1000: must not exceed limits.timeout_max = 900"
    ]
    assert problems(RELAY_SHELL_LIMITS_TIMEOUT_MAX="5", RELAY_SHELL_LIMITS_TIMEOUT="6") == [
        "env RELAY_SHELL_LIMITS_TIMEOUT: limits.timeout = 6: must not exceed limits.timeout_max = 5"
    ]
    write('paths.audit = "/var/lib/relay-shell-broker/a"\npaths.broker = "/run/x.sock"\n')
    assert problems(RELAY_SHELL_PATHS_OPERATOR="/run/x.sock") == [
        "env RELAY_SHELL_PATHS_OPERATOR: paths.operator = '/run/x.sock': is also paths.broker",
        "relay-shell.toml:1: paths.audit = '/var/lib/relay-shell-broker/a': "
        "lies in paths.state, which is the broker's alone",
    ]


def test_lists_in_the_environment(tmp_path) -> None:
    def value(name: str, text: str) -> tuple[str, ...]:
        loaded = load(tmp_path, {f"RELAY_SHELL_{name}": text})
        return loaded[name.replace("_", ".", 1).lower()]

    assert value("TOOLS_DISABLED", "shell, session") == ("shell", "session")
    assert value("TOOLS_DISABLED", '["shell"]') == ("shell",)
    assert value("TOOLS_DISABLED", "") == ()
    assert value("POLICY_DENY", "rm -rf\nmkfs a{1,2}\n") == ("rm -rf", "mkfs a{1,2}")
    assert value("POLICY_DENY", "[a-z]+") == ("[a-z]+",)
    assert value("POLICY_DENY", "['a', \"b\"]") == ("a", "b")
    for broken in ('["a", "b"', "['a' 'b']"):
        with pytest.raises(config.ConfigError, match="is no TOML array"):
            value("POLICY_DENY", broken)


def test_variables_that_are_no_settings(tmp_path) -> None:
    load(tmp_path, {"RELAY_SHELL_CONFIG": "/x", "RELAY_SHELL_CALL": "k-1", "RELAYSHELL_X": "1"})


def test_one_value_before_any_file_is_read() -> None:
    assert config.value("paths.broker", {}) == "/run/relay-shell/broker.sock"
    assert config.value("paths.broker", {"RELAY_SHELL_PATHS_BROKER": "/tmp/b"}) == "/tmp/b"
    with pytest.raises(config.ConfigError, match="RELAY_SHELL_PATHS_BROKER: must be an absolute"):
        config.value("paths.broker", {"RELAY_SHELL_PATHS_BROKER": "b.sock"})
    script = "import sys, relay_shell.config as c; c.value('limits.calls'); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(Path(config.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"tomllib", "re2", "relay_shell.config.loader"} & set(loaded)


def test_nothing_is_read_from_the_working_directory(tmp_path, monkeypatch) -> None:
    (tmp_path / ".env").write_text("RELAY_SHELL_POLICY_MODE=readonly\n")
    (tmp_path / "relay-shell.toml").write_text('[policy]\nmode = "readonly"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELAY_SHELL_LIMITS_CALLS", "3")
    settings = load(tmp_path / "etc")
    assert settings["policy.mode"] == "open" and settings["limits.calls"] == 3
    assert os.getcwd() == str(tmp_path)
