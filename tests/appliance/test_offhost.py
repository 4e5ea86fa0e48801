"""Host and collector: mutual TLS, records that arrive whole, and a forged record that shows."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.agent import Agent
from appliance.machine import TREE, Machine
from appliance.offhost import ADDRESSES, authority, ip, wire
from appliance.process import poll

AUDIT = "/var/log/relay-shell/audit.jsonl"
REMOTE = "/var/log/journal/remote"
TLS = "/etc/relay-shell/tls"
ACKNOWLEDGED = "/run/relay-shell-ack/acknowledged"
URL = "https://collector:19533"
ENABLE = ("relay-shell", "forward", "enable", URL, "--key", f"{TLS}/key.pem")
ENABLE += ("--cert", f"{TLS}/cert.pem", "--trust", f"{TLS}/ca.pem")


@pytest.fixture
def spaces(host: None) -> Iterator[tuple[str, str]]:
    with wire(f"rs{os.getpid()}") as names:
        yield names


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    directory = tmp_path / "ca"
    directory.mkdir()
    authority(directory, "collector", "sender")
    return directory


@pytest.fixture
def collector(boot: Callable[..., Machine], spaces: tuple[str, str], certificates: Path) -> Machine:
    """A collector set up as docs/off-host.md says."""
    machine = boot(installed=False, network=spaces[1])
    for kind in ("service", "socket"):
        name = f"systemd-journal-remote.{kind}.d"
        machine.put(TREE / "deploy/collector" / name, f"/etc/systemd/system/{name}")
    conf = TREE / "deploy/collector/stunnel/relay-shell.conf"
    machine.write("/etc/stunnel/relay-shell.conf", conf.read_bytes())
    for name, kept, mode in (
        ("collector.key", "key.pem", 0o600),
        ("collector.pem", "cert.pem", 0o644),
        ("ca.pem", "ca.pem", 0o644),
    ):
        content = (certificates / name).read_bytes()
        machine.write(f"/etc/stunnel/relay-shell/{kept}", content, mode)
    machine.run("systemctl", "daemon-reload")
    units = ("systemd-journal-remote.socket", "stunnel@relay-shell.service")
    machine.run("systemctl", "enable", "--now", *units)
    # It says so of each client that it refuses, and of a receiver that is stopped.
    machine.expect("stunnel@relay-shell.service: LOG3")
    return machine


@pytest.fixture
def sender(boot: Callable[..., Machine], spaces: tuple[str, str], certificates: Path) -> Machine:
    machine = boot(network=spaces[0])
    machine.add_user("agent", "relay-shell-access")
    machine.shell(f"echo '{ADDRESSES[1]} collector' >> /etc/hosts")
    for name, kept in (("sender.key", "key.pem"), ("sender.pem", "cert.pem"), ("ca.pem", "ca.pem")):
        machine.write(f"{TLS}/{kept}", (certificates / name).read_bytes(), 0o600)
    machine.run("systemctl", "enable", "--now", "relay-shell.socket")
    # A collector that is away is what this is about.
    machine.expect("systemd-journal-upload")
    return machine


def status(machine: Machine) -> dict[str, Any]:
    done = machine.run("relay-shell", "forward", "status", "--json", check=False)
    return {**json.loads(done.stdout), "exit": done.returncode}


def all_uploaded(machine: Machine) -> None:
    def done() -> bool:
        facts = status(machine)
        return bool(facts["written"] and not facts["pending"])

    poll(done, 180, "everything is uploaded", every=0.3)


def verify(machine: Machine, *options: str) -> tuple[int, set[str]]:
    done = machine.run("relay-shell", "audit", "verify", "--json", *options, check=False)
    report = json.loads(done.stdout)
    return done.returncode, {f["kind"] for f in report["findings"] if f["fails"]}


def test_records_arrive_whole_and_a_forgery_shows(
    sender: Machine, collector: Machine, spaces: tuple[str, str], tmp_path: Path
) -> None:
    assert status(sender)["exit"] == 69
    with Agent(sender) as agent:
        assert agent.sh("echo before").startswith("[exit 0]")
        assert "the journal goes to" in sender.out(*ENABLE)
        all_uploaded(sender)

        # Every field of a record, as the sender's journal has it.
        def intents(machine: Machine, *where: str) -> list[dict[str, Any]]:
            found = machine.out(
                "journalctl", "-q", "-o", "json", "--all", *where, "RELAY_EVENT=intent"
            )
            return [
                {k: v for k, v in json.loads(line).items() if k.startswith(("RELAY_", "MESSAGE"))}
                for line in found.splitlines()
            ]

        assert intents(collector, "-D", REMOTE) == intents(sender) != []

        # The wire is cut: work goes on, the lag is told, and what was written follows later.
        ip("-n", spaces[0], "link", "set", "host0", "down")
        assert agent.sh("echo meanwhile").startswith("[exit 0]")
        poll(lambda: status(sender)["pending"] > 0, 180, "the lag is told", every=0.3)
        ip("-n", spaces[0], "link", "set", "host0", "up")
        all_uploaded(sender)
        assert intents(collector, "-D", REMOTE) == intents(sender)
        assert len(intents(sender)) == 2

    # Nobody without a certificate is heard.
    plain = ("curl", "-sS", "--cacert", f"{TLS}/ca.pem", f"{URL}/upload", "-d", "x")

    def told() -> bool:
        refused = sender.run(*plain, check=False)
        assert refused.returncode, refused.stdout
        # The alert of TLS 1.3 follows the handshake: a client that writes first may miss it.
        return "certificate required" in refused.stderr

    poll(told, 180, "a client without certificate is told so")

    # The record beside the collector's copy.
    sender.run("systemctl", "stop", "relay-shell.socket", "relay-shell.service")
    all_uploaded(sender)
    collector.run("systemctl", "stop", "systemd-journal-remote.socket")
    collector.run("systemctl", "stop", "systemd-journal-remote.service")
    copy = ["tar", "-C", "/var/log/journal", "-cf", "-", "remote"]
    archive = subprocess.run(collector.command(*copy), check=True, capture_output=True).stdout
    sender.run("tar", "-C", "/root", "-xf", "-", input=archive)
    against = ("--against", "/root/remote")
    assert verify(sender, *against) == (0, set())
    sender.run("cp", "-r", "/var/log/relay-shell", "/root/case")
    case = ("--audit-path", "/root/case/audit.jsonl")
    assert verify(sender, *case, *against) == (0, set())
    lines = sender.read(AUDIT).splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines) if '"event":"intent"' in line)

    def forge(text: str) -> tuple[int, set[str]]:
        sender.write("/root/case/audit.jsonl", text)
        return verify(sender, *case, *against)

    rewritten = lines[number].replace("echo before", "echo nobody")
    assert rewritten != lines[number]
    assert forge("".join([*lines[:number], rewritten, *lines[number + 1 :]])) == (15, {"edited"})
    assert forge("".join(lines[:number]))[1] == {"removed"}
    # A chain made anew holds in itself: the signatures and the copy do not.
    local = tmp_path / "audit.jsonl"
    local.write_text("".join(rewritten if n == number else line for n, line in enumerate(lines)))
    code, kinds = forge(rechained(local))
    assert code == 19 and kinds == {"signature", "differs"}


def test_a_verdict_waits_for_the_collector(
    sender: Machine, collector: Machine, spaces: tuple[str, str]
) -> None:
    def configure(policy: str) -> None:
        text = (
            f'[evidence]\nremote_ack = "2"\nremote_ack_wait = 5\nremote_ack_policy = "{policy}"\n'
        )
        sender.write("/etc/relay-shell/relay-shell.d/50-ack.toml", text, 0o644)
        sender.run("systemctl", "reload", "relay-shell")

    def records(machine: Machine, event: str, *where: str) -> list[dict[str, Any]]:
        out = machine.out("journalctl", "-q", "-o", "json", *where, f"RELAY_EVENT={event}")
        return [json.loads(line) for line in out.splitlines()]

    # It runs, and says what the collector held when it did.
    command = f"rm -rf /tmp/nothing; cat {ACKNOWLEDGED}"
    with Agent(sender) as agent:
        agent.sh("true")
        configure("block")
        # Nothing is forwarded yet.
        assert "CollectorUnavailable" in agent.sh(command)
        assert agent.sh("df -h").startswith("[exit 0]")

        sender.out(*ENABLE)
        poll(lambda: records(sender, "acknowledged"), 120, "the collector has caught up", every=0.5)
        sender.shell(
            "sed -i 's/wait = 5/wait = 120/' /etc/relay-shell/relay-shell.d/50-ack.toml;"
            "systemctl reload relay-shell"
        )
        said = agent.sh(command)
        held = json.loads(said[said.index("{") : said.index("}") + 1])
        intent = records(sender, "intent")[-1]
        assert intent["RELAY_TIER"] == "3" and held["seq"] >= int(intent["RELAY_SEQ"])
        there = [row["RELAY_CHAIN"] for row in records(collector, "intent", "-D", REMOTE)]
        assert intent["RELAY_CHAIN"] in there

        # The wire is cut: nothing of that tier runs, and the agent is told why.
        configure("block")
        ip("-n", spaces[0], "link", "set", "host0", "down")
        refused = agent.sh("rm -rf /tmp/nothing; touch /tmp/ran")
        assert refused.startswith("[ERROR: CollectorUnavailable") and "forward status" in refused
        assert sender.run("test", "-e", "/tmp/ran", check=False).returncode
        assert records(sender, "unacknowledged")[-1]["RELAY_DECISION"] == "deny"
        assert agent.sh("df -h").startswith("[exit 0]")

        # Or it runs all the same, and the record says which calls did.
        configure("continue-and-mark")
        assert agent.sh("rm -rf /tmp/nothing; echo ran").startswith("[exit 0]")
        marked = records(sender, "unacknowledged")[-1]
        assert marked["RELAY_DECISION"] == "allow"
        assert marked["RELAY_CALL_ID"] == records(sender, "intent")[-1]["RELAY_CALL_ID"]

        # The wire is back: what was owed arrives, and that is recorded too.
        before = len(records(sender, "acknowledged"))
        ip("-n", spaces[0], "link", "set", "host0", "up")
        poll(
            lambda: len(records(sender, "acknowledged")) > before,
            120,
            "the collector has caught up again",
            every=0.5,
        )
        arrived = [row["RELAY_CHAIN"] for row in records(collector, "intent", "-D", REMOTE)]
        assert [row["RELAY_CHAIN"] for row in records(sender, "intent")] == arrived

    # The service that tells the broker is not root's, and ends with the forwarding.
    user = sender.out("systemctl", "show", "-P", "User", "relay-shell-ack.service")
    assert user.strip() == "systemd-journal-upload"
    sender.run("relay-shell", "forward", "disable")
    assert sender.run("test", "-e", ACKNOWLEDGED, check=False).returncode


def rechained(path: Path) -> str:
    import sys

    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from relay_shell.evidence.canonical import body\n"
        "from relay_shell.evidence.chain import parse, seal\n"
        "prev = '0' * 64\n"
        "for line in open(sys.argv[2], 'rb'):\n"
        "    record = parse(line); record.pop('chain')\n"
        "    data, prev = seal(prev, body(record, prev))\n"
        "    sys.stdout.buffer.write(data)\n"
    )
    argv = [sys.executable, "-c", program, str(TREE / "src"), str(path)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_what_would_not_connect_is_refused_and_disabling_leaves_nothing(sender: Machine) -> None:
    def refused(*words: str) -> str:
        done = sender.run("relay-shell", "forward", *words, check=False)
        assert done.returncode == 64, done.stdout + done.stderr
        return done.stderr

    files = ("--cert", f"{TLS}/cert.pem", "--trust", f"{TLS}/ca.pem")
    good = ("--key", f"{TLS}/key.pem", *files)
    assert "is not https" in refused("enable", "http://collector:19533", *good)
    assert "more than a host" in refused("enable", f"{URL}/x", *good)
    assert "No such file" in refused("enable", URL, "--key", "/none", *files)
    sender.shell(f"openssl genpkey -algorithm ed25519 -out {TLS}/other; chmod 600 {TLS}/other")
    assert "is not the unencrypted key" in refused("enable", URL, "--key", f"{TLS}/other", *files)
    sender.run("chmod", "644", f"{TLS}/key.pem")
    assert "others may read" in refused("enable", URL, *good)
    sender.run("chmod", "600", f"{TLS}/key.pem")
    sender.run(*ENABLE)
    facts = status(sender)
    assert facts["enabled"] and facts["url"] == URL and facts["uploaded"] == 0
    sender.run("relay-shell", "forward", "disable")
    assert sender.shell("find /etc/systemd -name '50-relay-shell.conf'") == ""
    assert status(sender)["exit"] == 69
    assert sender.run("relay-shell", "forward", "disable", check=False).returncode
