"""Floods against the booted appliance: memory stays bounded and others are served."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.agent import Agent
from appliance.machine import Machine
from appliance.process import poll
from appliance.units import agents

AUDIT = "/var/log/relay-shell/audit.jsonl"
FRONT, BROKER = "relay-shell-front.service", "relay-shell.service"
MEGABYTE = 1 << 20
# mount(2) with MS_REMOUNT, MS_BIND, MS_NOSUID, MS_NODEV and MS_NOEXEC; nothing can be executed in
# the unit's mount namespace.
WRITABLE_INSIDE = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
os.setns(os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY), os.CLONE_NEWNS)
sys.exit(libc.mount(None, b"/var/log/relay-shell", None, ctypes.c_ulong(0x102E), None))
"""
SETTINGS = "[limits]\nconnections_per_user = 256\n"


@pytest.fixture
def flooded(appliance: Machine) -> Machine:
    """The appliance with another user who may connect, and the hostile client."""
    appliance.write("/etc/relay-shell/relay-shell.d/50-test.toml", SETTINGS)
    appliance.add_user("other", "relay-shell-access")
    appliance.put(Path(__file__).parent / "hostile.py", "/opt/hostile.py")
    return appliance


@pytest.fixture
def other(flooded: Machine) -> Iterator[Agent]:
    """Somebody at work meanwhile."""
    with Agent(flooded, "other") as agent:
        assert agent.sh("echo fine").endswith("fine")
        yield agent
        assert agent.sh("echo still fine").endswith("still fine")


def memory(machine: Machine, unit: str) -> tuple[int, int]:
    """Octets that the unit's main process holds now, and the most it ever held."""
    pid = machine.out("systemctl", "show", "--property=MainPID", "--value", unit)
    status = machine.read(f"/proc/{pid}/status")
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.M))
    return int(found["VmRSS"]) * 1024, int(found["VmHWM"]) * 1024


def worker_of(machine: Machine, count: int = 1) -> str:
    units = agents(machine)
    assert len(units) == count, units
    return units[-1]


def hostile(machine: Machine, what: str, size: int) -> dict[str, Any]:
    text = machine.out("python3", "/opt/hostile.py", what, str(size), user="agent", timeout=180)
    found: dict[str, Any] = json.loads(text)
    return found


def records(machine: Machine, **wanted: object) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in machine.read(AUDIT).splitlines()]
    return [r for r in found if all(r.get(name) == value for name, value in wanted.items())]


def grown(machine: Machine, before: dict[str, tuple[int, int]]) -> dict[str, int]:
    """Octets by which the most that each process held has grown."""
    return {unit: memory(machine, unit)[1] - held[0] for unit, held in before.items()}


def held(machine: Machine) -> dict[str, tuple[int, int]]:
    return {unit: memory(machine, unit) for unit in (FRONT, BROKER)}


def test_two_hundred_connections_at_once(flooded: Machine, other: Agent) -> None:
    before = held(flooded)
    crowd = flooded.popen(
        *("python3", "/opt/hostile.py", "crowd", "200"),
        user="agent",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert json.loads(crowd.stdout.readline()) == {"greeted": 200, "listed": 200}
        assert other.sh("echo fine").endswith("fine")
        growth = grown(flooded, before)
        assert growth[FRONT] < 64 * MEGABYTE and growth[BROKER] < 32 * MEGABYTE, growth
    finally:
        crowd.stdin.close()
        crowd.stdout.read()
        crowd.wait(60)
    assert len(records(flooded, event="connect")) >= 201


def test_a_thousand_malformed_lines(flooded: Machine, other: Agent) -> None:
    before = held(flooded)
    assert hostile(flooded, "malformed", 1000) == {"errors": 1000, "then": True}
    growth = grown(flooded, before)
    assert growth[FRONT] < 32 * MEGABYTE and growth[BROKER] < 32 * MEGABYTE, growth


def test_a_line_of_a_hundred_megabytes(flooded: Machine, other: Agent) -> None:
    before = held(flooded)
    said = hostile(flooded, "long", 100)
    assert "too long" in said["answer"]["error"]["message"] and said["then"]
    growth = grown(flooded, before)
    assert growth[FRONT] < 32 * MEGABYTE and growth[BROKER] < 16 * MEGABYTE, growth


def test_a_client_that_never_reads(flooded: Machine, other: Agent) -> None:
    before = held(flooded)
    said = hostile(flooded, "silent", 20)
    assert said["ended"] != "served"
    growth = grown(flooded, before)
    assert growth[FRONT] < 48 * MEGABYTE and growth[BROKER] < 16 * MEGABYTE, growth


def test_a_gigabyte_of_output(flooded: Machine) -> None:
    digest = hashlib.sha256()
    for _ in range(1000):
        digest.update(b"a" * 1_000_000)
    with Agent(flooded) as agent:
        agent.sh("true")
        before = held(flooded)
        unit = worker_of(flooded)
        base = memory(flooded, unit)[0]
        facts = agent.facts(
            "shell_exec", command="head -c 1000000000 /dev/zero | tr '\\0' a", timeout=170
        )
        assert (facts["bytes"], facts["sha256"]) == (1_000_000_000, digest.hexdigest())
        assert facts["truncated"] and len(facts["stdout"]) < 70_000
        growth = grown(flooded, before)
        assert growth[FRONT] < 16 * MEGABYTE and growth[BROKER] < 16 * MEGABYTE, growth
        assert memory(flooded, unit)[1] - base < 32 * MEGABYTE
    outcome = records(flooded, event="outcome", tool="shell_exec")[-1]
    assert (outcome["bytes"], outcome["sha256"]) == (1_000_000_000, digest.hexdigest())


@pytest.mark.parametrize(
    ("octal", "octets"),
    [
        (r"\377\376\000\001\200abc\355\240\200", b"\xff\xfe\x00\x01\x80abc\xed\xa0\x80"),
        (r"\033[2J\033]0;title\007\033P1$r\033\\", b"\x1b[2J\x1b]0;title\x07\x1bP1$r\x1b\\"),
    ],
)
def test_output_that_is_no_text(appliance: Machine, octal: str, octets: bytes) -> None:
    with Agent(appliance) as agent:
        facts = agent.facts("shell_exec", command=f"printf '{octal}'")
        assert facts["bytes"] == len(octets)
        assert facts["stdout"] == octets.decode("utf-8", "replace")
    (outcome,) = records(appliance, event="outcome", tool="shell_exec")
    assert outcome["sha256"] == hashlib.sha256(octets).hexdigest()
    assert outcome["bytes"] == len(octets)


def test_arguments_are_recorded_redacted_bounded_and_digested(appliance: Machine) -> None:
    secret = "hunter2-correct-horse"
    arguments = {
        "command": f"true --password={secret} # " + "x" * 50_000,
        "env": {"API_TOKEN": secret},
    }
    canonical = json.dumps(arguments, sort_keys=True, separators=(",", ":")).encode()
    with Agent(appliance) as agent:
        assert agent.call("shell_exec", **arguments).startswith("[exit 0]")
        assert agent.call("shell_exec", command="true", env={"API_TOKEN": secret})
    trail = appliance.read(AUDIT)
    assert secret not in trail
    assert secret not in "".join(map(str, appliance.journal("--unit=relay-shell")))
    padded, plain = records(appliance, event="intent", tool="shell_exec")
    assert padded["args_sha256"] == hashlib.sha256(canonical).hexdigest()
    assert padded["args_bytes"] == len(canonical)
    assert len(json.dumps(padded["args"])) <= 4096 + 64
    assert "[REDACTED:" in json.dumps(plain["args"]["env"])


def test_a_read_only_audit_refuses_calls_until_it_can_be_written(appliance: Machine) -> None:
    appliance.expect(r"relay-shell\.service: |relay-shell")
    appliance.shell(
        "systemctl stop relay-shell-broker.socket relay-shell-operator.socket relay-shell.service;"
        "mount -t tmpfs -o size=4m,mode=0751 tmpfs /var/log/relay-shell;"
        f"install -o relay-shell-broker -g adm -m 640 /dev/null {AUDIT};"
        "mount -o remount,ro /var/log/relay-shell;"
        "systemctl start relay-shell-broker.socket relay-shell-operator.socket relay-shell.socket"
    )
    with Agent(appliance) as agent:
        for _ in range(3):
            text = agent.sh("touch /tmp/ran; echo must not run")
            assert "must not run" not in text and ("ERROR" in text or "DENIED" in text), text
        assert appliance.read(AUDIT) == ""
        appliance.run("mount", "-o", "remount,rw", "/var/log/relay-shell")
        # The unit's own view of the mount has kept what it was at the unit's start.
        pid = appliance.out("systemctl", "show", "--property=MainPID", "--value", BROKER)
        appliance.run("python3", "-c", WRITABLE_INSIDE, pid)
        appliance.wait("relay-shell status >/dev/null", user="root")
        poll(lambda: "resumed" in agent.sh("echo resumed"), 60, "calls are admitted again")
        text = agent.sh("ls /tmp/ran; echo looked")
        assert "looked" in text and "No such file" in text, text
    assert records(appliance, event="intent", tool="shell_exec")
