from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from relay_shell import __version__
from relay_shell.cli.docgen import commands
from relay_shell.cli.verbs import VERBS
from relay_shell.wire.errors import KINDS

from .conftest import environment


def test_help_lists_every_verb_with_what_it_does(cli):
    done = cli("--help")
    assert done.status == 0
    for name, verb in VERBS.items():
        assert f"  {name:<14} {verb.summary}\n" in done.out


@pytest.mark.parametrize("verb", [path[0] for path, _ in commands.parsers() if len(path) == 1])
def test_every_verb_has_help(cli, verb):
    done = cli(verb, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"usage: relay-shell {verb}")


def test_version(cli):
    assert cli("--version").out == f"relay-shell {__version__}\n"


def test_without_a_verb_the_help_is_an_error(cli):
    done = cli()
    assert done.status == 64
    assert done.out == ""
    assert "connect a stdio MCP client" in done.err


def test_a_misspelt_verb_is_named_with_its_likeness(cli):
    done = cli("statsu")
    assert done.status == 64
    assert done.err.splitlines() == [
        "relay-shell: no verb 'statsu'; did you mean 'status'?",
        "Try 'relay-shell --help'.",
    ]


def test_a_wrong_option_ends_with_ex_usage(cli):
    done = cli("status", "--sockt", "/x")
    assert done.status == 64
    assert done.err.splitlines() == [
        "relay-shell: unrecognized arguments: --sockt /x",
        "Try 'relay-shell status --help'.",
    ]
    done = cli("audit", "tail", "--sinse", "1h")
    assert done.err.splitlines()[-1] == "Try 'relay-shell audit tail --help'."


def test_a_command_line_that_is_not_quoted_is_told_how_to_be(cli):
    done = cli("policy", "explain", "rm", "-rf", "/srv")
    assert (done.status, done.out) == (64, "")
    unknown, step = done.err.splitlines()
    assert unknown.startswith("relay-shell: unrecognized arguments: -rf")
    assert unknown.endswith("; quote the command, or put -- before it")
    assert step == "Try 'relay-shell policy explain --help'."
    done = cli("policy", "explain", "--", "rm", "-rf", "/srv")
    assert done.status == 0 and done.out.startswith("tier 3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["audit", "tail", "-n", "many"], "argument -n/--count: 'many' is not a number"),
        (["freeze", "--tier", "high"], "argument --tier: 'high' is not a number"),
        (["status", "--watch", "often"], "argument --watch: 'often' is not a number"),
        (["policy"], "the following arguments are required: ACTION"),
    ],
)
def test_a_wrong_value_is_named_and_not_what_reads_it(cli, words, message):
    done = cli(*words)
    assert (done.status, done.out) == (64, "")
    assert done.err.splitlines()[0] == f"relay-shell: {message}"


@pytest.mark.parametrize(
    ("words", "step"),
    [
        (["client-config", "codex", "--ssh", ""], "Try 'relay-shell client-config --help'."),
        (["kill", "--principal", ""], "Try 'relay-shell kill --help'."),
        (["audit", "export"], "'relay-shell doctor' says why; --file names another."),
        (["posture", "show", "--root", "."], "They come with the package: "),
        (["audit", "verify", "--machine", "web2"], "Try 'relay-shell audit --help'."),
    ],
)
def test_a_next_step_is_for_an_operator_and_not_for_a_model(cli, tmp_path, words, step):
    done = cli(*words, env={"RELAY_SHELL_PATHS_AUDIT": str(tmp_path / "audit.jsonl")})
    assert done.status in (64, 66)
    assert done.err.splitlines()[-1].startswith(step)


def test_nothing_found_is_said(cli, tmp_path):
    (tmp_path / "audit.jsonl").touch()
    words = ("audit", "tail", "--file", str(tmp_path / "audit.jsonl"))
    done = cli(*words)
    assert (done.status, done.out, done.err) == (0, "", "relay-shell: no records fit\n")
    done = cli(*words, "--json")
    assert (done.status, done.out, done.err) == (0, "", "")


def test_an_abbreviated_option_is_not_guessed(cli):
    # A later option could change what an abbreviation in a script means.
    assert cli("status", "--js").status == 64


def test_an_error_is_one_line_a_next_step_and_the_status_of_its_kind(cli, tmp_path):
    done = cli("status", "--socket", str(tmp_path / "none.sock"))
    assert done.status == KINDS["Unavailable"].exit_status
    assert done.out == ""
    assert done.err.splitlines() == [
        f"relay-shell: no operator socket at {tmp_path}/none.sock",
        KINDS["Unavailable"].next_step,
    ]


def test_a_file_that_is_not_there_is_named(cli, tmp_path):
    done = cli("audit", "tail", "--file", str(tmp_path / "none"))
    assert done.status == 66
    assert done.err == f"relay-shell: {tmp_path}/none: No such file or directory\n"


def test_a_reader_that_goes_away_is_no_error_to_complain_of(audit):
    process = subprocess.Popen(
        [sys.executable, "-m", "relay_shell.cli", "audit", "follow", "--file", str(audit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert "start" in process.stdout.readline()
    process.stdout.close()
    with open(audit, "ab") as file:
        # Nothing is printed while nothing is written; a copy of a line would be dropped.
        file.write(b'{"seq":6,"event":"note","what":"x","ts":"2026-01-31T00:00:00.000000Z"}\n')
    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize("words", [["--help"], ["config", "default"], ["redact", "--rules"]])
@pytest.mark.parametrize("out", ["/dev/full", "closed"])
def test_output_that_cannot_be_written_is_an_error(words, out):
    redirect = ">&-" if out == "closed" else f">{out}"
    done = subprocess.run(
        ["bash", "-c", f'"$@" {redirect}', "-", sys.executable, "-m", "relay_shell.cli", *words],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED=""),
    )
    assert done.returncode == 74
    why = "Bad file descriptor" if out == "closed" else "No space left on device"
    assert done.stderr == f"relay-shell: {why}\n"


def test_what_was_passed_closed_is_nobody_s_to_take(tmp_path):
    """The socket to the broker must not become standard output."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as desk:
        desk.bind(str(tmp_path / "operator.sock"))
        desk.listen()
        status = ("status", "--socket", desk.getsockname())
        closed = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "-"]
        process = subprocess.Popen(
            [*closed, sys.executable, "-m", "relay_shell.cli", *status], env=environment()
        )
        try:
            desk.settimeout(60)
            accepted, _ = desk.accept()
            with accepted:
                fds = {
                    int(fd.name): os.readlink(fd)
                    for fd in Path(f"/proc/{process.pid}/fd").iterdir()
                }
            assert [fds[number] for number in range(3)] == [os.devnull] * 3
            assert process.wait(60) in (69, 74)
        finally:
            process.kill()
            process.wait()


def test_a_missing_module_is_named(cli, tmp_path):
    (tmp_path / "re2.py").write_text("import no_such_module\n")
    path = f"{tmp_path}:{environment()['PYTHONPATH']}"
    done = cli("redact", env={"PYTHONPATH": path})
    assert (done.status, done.out) == (KINDS["Unavailable"].exit_status, "")
    assert done.err.splitlines() == [
        "relay-shell: the Python module 'no_such_module' is missing",
        "Install the package 'relay-shell' as a whole.",
    ]


def test_a_defect_ends_with_its_trace_and_the_status_of_internal_errors(cli, tmp_path):
    """1 would say that a check found something."""
    (tmp_path / "re2.py").write_text("raise RuntimeError('\\33[2J')\n")
    done = cli("redact", env={"PYTHONPATH": f"{tmp_path}:{environment()['PYTHONPATH']}"})
    assert (done.status, done.out) == (KINDS["Internal"].exit_status, "")
    first, *_, said, step = done.err.splitlines()
    assert first == "Traceback (most recent call last):"
    assert said == "relay-shell: internal error (RuntimeError: \\x1b[2J)"
    assert step == "Report it with the lines above."
    assert "\x1b" not in done.err


def test_an_interrupt_ends_quietly(spawn, audit):
    process = spawn("audit", "follow", "--file", str(audit))
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")


def modules(*words: str) -> set[str]:
    """Modules that a run of the command loads."""
    code = (
        "import sys\nfrom relay_shell.cli.__main__ import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    entry = f"import sys; sys.path.insert(0, sys.argv.pop(1))\n{code}"
    done = subprocess.run(
        [sys.executable, "-IS", "-c", entry, environment()["PYTHONPATH"], *words],
        capture_output=True,
        text=True,
    )
    return set(done.stderr.split())


def test_connect_is_reached_without_argparse(tmp_path):
    loaded = modules("connect", "--socket", str(tmp_path / "none"))
    assert "relay_shell.cli.connect" in loaded
    assert not loaded & {"argparse", "json", "socket", "relay_shell.wire.errors"}


@pytest.mark.parametrize("verb", ["status", "freeze", "kill", "doctor", "posture", "audit"])
def test_a_verb_loads_no_other_and_no_event_loop(verb):
    loaded = modules(verb, "--help")
    assert f"relay_shell.cli.{verb}" in loaded
    assert not loaded & {"asyncio", "mcp", "re2", "asyncssh", "uvloop", "pyte"}
    assert "relay_shell.cli.client_config" not in loaded
