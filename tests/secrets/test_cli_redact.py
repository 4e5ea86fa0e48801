"""``relay-shell redact`` as a filter in a pipe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from relay_shell.secrets.rules import fill, shipped

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
PAT = "ghp_" + fill("⟦A36⟧", "cli")


def redact(data: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "relay_shell.cli", "redact", *options],
        input=data,
        capture_output=True,
        env={"PYTHONPATH": SOURCE},
        timeout=60,
    )


def test_it_filters() -> None:
    done = redact(f"token {PAT} end\n".encode())
    assert (done.stdout, done.stderr, done.returncode) == (
        b"token [REDACTED:github-pat] end\n",
        b"",
        0,
    )


def test_count_goes_to_standard_error() -> None:
    done = redact(f"{PAT}\n{PAT}\nDB_PASSWORD=x1\n".encode(), "--count")
    assert done.stderr == b"2\tgithub-pat\n1\tpassword-value\n3\ttotal\n"


def test_bytes_of_no_encoding_and_large_input_pass_unchanged() -> None:
    data = bytes(range(128, 256)) * 8192
    assert redact(data).stdout == data


def test_structure_is_kept_on_request() -> None:
    line = b'run --password="a1;b2"\n'
    assert redact(line).stdout == b'run --password="[REDACTED:password-value]"\n'
    kept = redact(line, "--keep-structure").stdout
    assert kept == b'run --password="[REDACTED:password-value];b2"\n'


def test_rules_are_listed_with_their_sources() -> None:
    lines = redact(b"", "--rules").stdout.decode().splitlines()
    assert len(lines) == len(shipped())
    assert all(len(line.split("\t")) == 3 for line in lines)


def test_a_reader_that_leaves_ends_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "relay_shell.cli", "redact"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": SOURCE},
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    try:
        process.stdin.write(b"x\n" * 1_000_000)
        process.stdin.close()
    except BrokenPipeError:
        pass
    assert process.wait(60) == 141
    assert process.stderr.read() == b""
