"""`relay-shell audit export`: formats, destinations, and going on where it was."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.siem import Receiver, authority, until
from relay_shell.cli.syslogto import Address, address
from relay_shell.evidence.writer import Writer

from .conftest import DENY, INTENT, write

Cli = Callable[..., Any]


def numbers(messages: list[bytes]) -> list[int]:
    """The numbers of the records in CEF messages."""
    return [int(found[1]) for said in messages if (found := re.search(rb"externalId=(\d+)", said))]


def test_jsonl_is_the_very_lines(cli: Cli, audit: Path) -> None:
    done = cli("audit", "export", "--file", str(audit))
    assert done.status == 0 and done.out == audit.read_text()
    some = cli("audit", "export", "--file", str(audit), "--principal", "bob")
    assert [json.loads(line)["event"] for line in some.out.splitlines()] == ["deny"]
    call = cli("audit", "export", "--file", str(audit), "--call", INTENT["call_id"])
    assert [json.loads(line)["event"] for line in call.out.splitlines()] == ["intent", "outcome"]
    none = cli("audit", "export", "--file", str(audit), "--until", "2020-01-01")
    assert (none.status, none.out) == (0, "")


def test_formats(cli: Cli, audit: Path) -> None:
    def lines(*words: str) -> list[str]:
        done = cli("audit", "export", "--file", str(audit), "--host", "web1", *words)
        assert done.status == 0, done.err
        return done.out.splitlines()

    cef = lines("--format", "cef")
    assert len(cef) == 5 and all(line.startswith("CEF:0|relay-shell|") for line in cef)
    assert all(" dvchost=web1 " in line for line in cef)
    assert lines("--format", "cef", "--spec", "1")[0].startswith("CEF:1|")
    leef = lines("--format", "leef")
    assert all(re.match(r"LEEF:2\.0\|relay-shell\|relay-shell\|[^|]+\|\w+\|x09\|", x) for x in leef)
    assert "|^|sev=" in lines("--format", "leef", "--delimiter", "x5E")[0]
    assert lines("--format", "leef", "--spec", "1.0")[0].startswith("LEEF:1.0|")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "cef", "--spec", "2"], "--spec: cef has 0 or 1"),
        (["--spec", "1"], "--spec: jsonl has no version"),
        (["--format", "leef", "--delimiter", "="], "--delimiter: '=' cannot delimit"),
        (["--format", "cef", "--delimiter", "^"], "--delimiter is for LEEF 2.0"),
        (["--syslog", "tcp:host"], "is not unix:PATH"),
        (["--syslog", "udp:127.0.0.1:514"], "longer than a datagram"),
        (["--tls-ca", "x"], "--tls-ca is for --syslog"),
        (["--follow", "--until", "now"], "--follow has no end"),
        (["--syslog", "tls:127.0.0.1", "--tls-ca", "/nowhere"], "/nowhere: "),
    ],
)
def test_options_that_do_not_fit(cli: Cli, audit: Path, words: list[str], said: str) -> None:
    done = cli("audit", "export", "--file", str(audit), *words)
    assert done.status == 64 and said in done.err and done.out == ""


def test_no_record(cli: Cli, tmp_path: Path) -> None:
    assert cli("audit", "export", "--file", str(tmp_path / "none")).status == 66


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("unix:/dev/log", Address("unix", "/dev/log", 0)),
        ("udp:siem:514", Address("udp", "siem", 514)),
        ("tcp:[::1]:601", Address("tcp", "::1", 601)),
        ("tls:siem.example", Address("tls", "siem.example", 6514)),
        ("tls:siem:7000", Address("tls", "siem", 7000)),
    ],
)
def test_addresses(text: str, found: Address) -> None:
    assert address(text) == found
    assert address(str(found)) == found


@pytest.mark.parametrize(
    "text",
    ["", "tcp:", "tcp:h", "udp:h:0", "tcp:h:99999", "unix:log", "http:h:1", "tcp:a@b:1", "tls:"],
)
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        address(text)


def test_output_is_appended_and_private(cli: Cli, audit: Path, tmp_path: Path) -> None:
    out, state = tmp_path / "out.cef", tmp_path / "place"
    words = ("audit", "export", "--file", str(audit), "--format", "cef", "--output", str(out))
    words += ("--state", str(state))
    assert cli(*words).status == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    first = out.read_bytes()
    with out.open("ab") as file:
        file.write(b"cut o")
    write(audit, DENY)
    assert cli(*words).status == 0
    assert out.read_bytes().startswith(first + b"cut o\n")
    assert numbers(out.read_bytes().splitlines()) == [1, 2, 3, 4, 5, 6]
    state.write_text("{}")
    broken = cli(*words)
    assert broken.status == 78 and "Remove it" in broken.err


def test_datagrams(cli: Cli, audit: Path, tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
    ):
        udp.bind(("127.0.0.1", 0))
        log.bind(str(tmp_path / "log"))
        for sock in (udp, log):
            sock.settimeout(60)
        export = ("audit", "export", "--file", str(audit), "--format", "cef", "--host", "web1")
        assert cli(*export, "--syslog", f"udp:127.0.0.1:{udp.getsockname()[1]}").status == 0
        assert cli(*export, "--syslog", f"unix:{tmp_path / 'log'}").status == 0
        far = [udp.recv(65536) for _ in range(5)]
        near = [log.recv(65536) for _ in range(5)]
    assert re.match(rb"<110>1 20\d\d-\S+Z web1 relay-shell - start - CEF:0\|", far[0])
    assert re.match(rb"<110>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d relay-shell: CEF:0\|", near[0])
    assert numbers(far) == numbers(near) == [1, 2, 3, 4, 5]


def test_a_record_too_long_for_a_datagram_is_cut(cli: Cli, audit: Path) -> None:
    long = {"event": "deny", "call_id": "k-1", **{name: "\u20ac" * 4000 for name in
            ("conn", "tool", "mode", "enforcement", "detail", "error", "what")}}  # fmt: skip
    write(audit, long, DENY)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(60)
        to = f"udp:127.0.0.1:{udp.getsockname()[1]}"
        done = cli("audit", "export", "--file", str(audit), "--format", "cef", "--syslog", to)
        assert done.status == 0, done.err
        said = [udp.recv(65536) for _ in range(7)]
    assert numbers(said) == [1, 2, 3, 4, 5, 6, 7]
    assert len(said[5]) > 20000 and said[5].decode()


def test_octet_counting(cli: Cli, audit: Path) -> None:
    receiver = Receiver()
    to = f"tcp:127.0.0.1:{receiver.port}"
    assert cli("audit", "export", "--file", str(audit), "--syslog", to).status == 0
    lines = audit.read_bytes().splitlines()
    until(lambda: len(receiver.messages) == len(lines))
    assert [said.partition(b" - ")[2].partition(b" - ")[2] for said in receiver.messages] == lines
    receiver.close()
    away = cli("audit", "export", "--file", str(audit), "--syslog", to)
    assert away.status == 69 and "refused" in away.err


def test_tls_authenticates_both(cli: Cli, audit: Path, tmp_path: Path) -> None:
    authority(tmp_path, "siem", "host")
    (other := tmp_path / "other").mkdir()
    authority(other, "siem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "siem.pem", tmp_path / "siem.key")
    context.load_verify_locations(tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    receiver = Receiver(context)
    export = ("audit", "export", "--file", str(audit), "--format", "leef")
    export += ("--syslog", f"tls:127.0.0.1:{receiver.port}")
    ours = ("--tls-cert", str(tmp_path / "host.pem"), "--tls-key", str(tmp_path / "host.key"))
    stranger = cli(*export, *ours, "--tls-ca", str(other / "ca.pem"))
    assert stranger.status == 69 and "CERTIFICATE_VERIFY_FAILED" in stranger.err.upper()
    nobody = cli(*export, "--tls-ca", str(tmp_path / "ca.pem"))
    assert nobody.status != 0 and receiver.messages == []
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for kind, name in (("ca", "ca.pem"), ("cert", "host.pem"), ("key", "host.key")):
        (tmp_path / name).rename(credentials / f"relay-shell.export.siem.{kind}")
    env = {"CREDENTIALS_DIRECTORY": str(credentials)}
    done = cli(*export, "--credentials", "siem", env=env)
    assert done.status == 0, done.err
    until(lambda: len(receiver.messages) == 5)
    receiver.close()


def test_following_survives_restarts_rotation_and_an_absent_receiver(
    spawn: Callable[..., Any], tmp_path: Path
) -> None:
    """Nothing is lost, and what comes twice is at most a batch a restart."""
    path, state = tmp_path / "audit.jsonl", tmp_path / "state" / "place"
    writer = Writer(path)
    receiver = Receiver()
    port = receiver.port
    words = ("audit", "export", "--follow", "--file", str(path), "--format", "cef")
    words += ("--syslog", f"tcp:127.0.0.1:{port}", "--state", str(state))
    got: list[bytes] = []

    def add(count: int) -> None:
        for _ in range(count):
            writer.append_now({"event": "note", "what": "x"})

    def arrived() -> bool:
        return set(numbers(got + receiver.messages)) >= set(range(1, writer.seq + 1))

    process = spawn(*words)
    for turn in range(3):
        add(300)
        until(lambda least=100 * turn: len(numbers(receiver.messages)) > least)
        process.send_signal(signal.SIGKILL)
        process.wait()
        path.rename(tmp_path / f"audit.jsonl-170000000{turn}")
        path.touch(0o640)
        writer.reopen()
        add(50)
        process = spawn(*words)
    until(arrived)
    got += receiver.messages
    receiver.close()
    add(20)
    receiver = Receiver(port=port)
    until(arrived)
    until(lambda: json.loads(state.read_text())["seq"] == writer.seq)
    process.send_signal(signal.SIGTERM)
    process.wait()
    receiver.close()
    found = numbers(got + receiver.messages)
    assert set(found) == set(range(1, writer.seq + 1))
    assert len(found) - len(set(found)) <= 4 * 256
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    writer.close()


def test_following_ends_with_its_reader(spawn: Callable[..., Any], audit: Path) -> None:
    process = spawn("audit", "export", "--follow", "--file", str(audit))
    assert process.stdout.readline()
    process.stdout.close()
    write(audit, DENY)
    assert process.wait(60) == 141


def test_an_anomaly_is_an_event(cli: Cli, audit: Path) -> None:
    lines = audit.read_bytes().splitlines(keepends=True)
    audit.write_bytes(b"".join(lines[:2] + lines[3:]))
    done = cli("audit", "export", "--file", str(audit), "--format", "cef", "--principal", "bob")
    assert "records 3 to 3 are not here" in done.err
    assert [line.split("|")[4] for line in done.out.splitlines()] == ["anomaly", "deny"]
    plain = cli("audit", "export", "--file", str(audit))
    assert plain.out.encode() == audit.read_bytes()


def test_who_may_not_read(cli: Cli, audit: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    audit.chmod(0)
    assert cli("audit", "export", "--file", str(audit)).status == 77
