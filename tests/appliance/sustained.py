"""Eight connections that make records without pause, and what became of each record."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from appliance.agent import Agent
from appliance.machine import Machine

CONNECTIONS = 8
LANES = 4
AUDIT = "/var/log/relay-shell/audit.jsonl"
BROKER = "relay-shell.service"
SETTINGS = "[budgets]\ncalls_per_minute = 0\n"
PROGRAM = "/opt/flood.py"
DROP_IN = "/etc/systemd/system/relay-shell-worker@.service.d/60-flood.conf"
COUNT = f"""
import collections, json
print(json.dumps(collections.Counter(json.loads(line)["event"] for line in open({AUDIT!r}))))
"""


class Found(NamedTuple):
    """What was seen."""

    seconds: float
    """From the first connection's call to the last one's answer."""
    events: dict[str, int]
    """Records in the file, by event."""
    journal: int
    """Records of the broker in the journal."""
    suppressed: list[str]
    """What journald says that it dropped."""
    verified: dict[str, Any]
    """`audit verify --journal --json`."""
    evidence: dict[str, Any]
    """Of `relay-shell status`."""
    before: int
    """Octets that the broker held before, and at most."""
    most: int
    cpu: float
    """Seconds of processor time of the broker, and of journald."""
    journald_cpu: float

    @property
    def rate(self) -> float:
        """Records a second."""
        return sum(self.events.values()) / self.seconds


def flood(machine: Machine, *, calls: int = 0, seconds: float = 0) -> Found:
    """Run the flood on a booted machine with the package, and count.

    Args:
        calls: of each connection, or
        seconds: for which each goes on.
    """
    machine.put(Path(__file__).with_name("flood.py"), PROGRAM)
    machine.write("/etc/relay-shell/relay-shell.d/50-flood.toml", SETTINGS)
    limits = f"FLOOD_CALLS={calls} FLOOD_SECONDS={seconds} FLOOD_LANES={LANES}"
    machine.write(
        DROP_IN,
        f"[Service]\nEnvironment={limits}\nExecStart=\nExecStart=/usr/bin/python3 -IS {PROGRAM}\n",
    )
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", BROKER)
    agents = [Agent(machine) for _ in range(CONNECTIONS)]
    try:
        before = memory(machine)["VmRSS"]
        began, used = time.monotonic(), cpu(machine)

        def call(agent: Agent) -> None:
            params = {"name": "shell_exec", "arguments": {"command": "true"}}
            result = agent.request("tools/call", params, seconds + 600)
            assert not result["isError"], result

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(call, agents))
        took = time.monotonic() - began
        spent = [now - then for now, then in zip(cpu(machine), used, strict=True)]
        most = memory(machine)["VmHWM"]
        status = json.loads(machine.out("relay-shell", "status", "--json"))
    finally:
        for agent in agents:
            agent.close()
    # Nothing starts the broker again, and everything that was sent is in the journal.
    machine.run("systemctl", "stop", "relay-shell.socket", "relay-shell-front.service")
    machine.run("systemctl", "stop", "relay-shell-broker.socket", "relay-shell-operator.socket")
    machine.run("systemctl", "stop", BROKER)
    machine.run("journalctl", "--sync")
    verify = machine.run("relay-shell", "audit", "verify", "--json", "--journal", check=False)
    in_journal = machine.shell(
        f"journalctl -q -o cat --output-fields=RELAY_SEQ _SYSTEMD_UNIT={BROKER} "
        "SYSLOG_IDENTIFIER=relay-shell | grep -c ."
    )
    said = machine.out("journalctl", "-q", "-o", "cat", "-u", "systemd-journald")
    return Found(
        took,
        json.loads(machine.out("python3", "-c", COUNT)),
        int(in_journal),
        [line for line in said.splitlines() if "uppressed" in line or "issed" in line],
        json.loads(verify.stdout),
        status["evidence"],
        before,
        most,
        *spent,
    )


def memory(machine: Machine) -> dict[str, int]:
    """Octets of memory of the broker's process."""
    pid = machine.out("systemctl", "show", "--property=MainPID", "--value", BROKER).strip()
    status = machine.read(f"/proc/{pid}/status")
    found = re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.M)
    return {name: int(size) * 1024 for name, size in found}


def cpu(machine: Machine) -> list[float]:
    """Seconds of processor time of broker and journald (proc(5))."""
    seconds = []
    for unit in (BROKER, "systemd-journald.service"):
        pid = machine.out("systemctl", "show", "--property=MainPID", "--value", unit).strip()
        fields = machine.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        seconds.append((int(fields[11]) + int(fields[12])) / 100)
    return seconds
