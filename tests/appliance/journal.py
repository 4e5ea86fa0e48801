"""Journal entries of a machine, and which of them a test has to answer for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# syslog(3)
WARNING = 4

# What a machine may say at any time, through no test and no fault of the product: patterns as for
# `undeclared`, each with what makes it. A pattern names who says it, which is never a unit of ours.
NOISE = {
    # A step of the host's clock, by its time service, reaches every machine on it.
    r"^<\d> systemd-journald\S*: .*([Tt]ime|[Cc]lock) jumped backwards": "the host's clock was set",
    # A burst, such as the kernel's report of a process that memory ended, outruns its readers.
    r"^<\d> systemd-journald\S*: Missed \d+ kernel messages": "a burst",
    r"^<\d> kernel: (\*\* \d+ printk messages dropped|.* callbacks suppressed)": "a burst",
    r"^<\d> kernel: audit: (audit_lost|backlog limit|rate limit)": "a burst",
    # Debian's units and the bus, on a host that has no time for them for tens of seconds.
    r"^<\d> (dbus|systemd-logind|console-getty|cron)\.service: .*[Tt]imed out": "a starved host",
    r"pam_systemd\(\S+\): Failed to create session: .*[Tt]imed out": "a starved host",
}
# What emulated hardware makes a kernel say, whose only processor is a thread of a busy host, and
# what follows from how the guest is made.
EMULATED = {
    r"^<\d> kernel: (tsc|TSC|amd_pstate|APIC calibration|PIT calibration)": "emulated timers",
    r"^<\d> kernel: (clocksource|timekeeping|sched_clock|hpet|rtc_cmos)": "emulated timers",
    r"^<\d> kernel: (hrtimer: interrupt took|NOHZ tick-stop error)": "a processor not scheduled",
    r"^<\d> kernel: sched: (RT throttling|DL replenish)": "a processor not scheduled",
    r"^<\d> kernel: (workqueue: \S+ hogged CPU|perf: interrupt took)": "emulated instructions",
    r"^<\d> kernel: .*NETDEV WATCHDOG: ": "a network thread of qemu's not scheduled",
    r"^<\d> systemd-udevd\S*: .*(taking longer than|is taking a long time)": "slow events",
    # Of a step that gave up, or that came before sshd was ready.
    r"^<\d> (ssh\.service|sshd\S*): (error: |fatal: )?(kex_|banner |Timeout before )": "slow ssh",
    r"systemd-ssh-generator": "a guest without vsock",
    r"systemd-sysv-generator": "stunnel4 has an init script alone",
    r"pam_env.*/etc/default/locale": "an image without locales",
}


@dataclass(frozen=True)
class Entry:
    """One entry; `fields` is what `journalctl -o json --all` prints of it."""

    fields: dict[str, Any]

    def __getitem__(self, name: str) -> str:
        value = self.fields[name]
        if isinstance(value, list):
            # Bytes that are not printable text come as an array of numbers.
            if all(isinstance(item, int) for item in value):
                return bytes(value).decode(errors="replace")
            return "\n".join(str(item) for item in value)
        return str(value)

    def get(self, name: str, default: str = "") -> str:
        return self[name] if self.fields.get(name) is not None else default

    @property
    def priority(self) -> int:
        return int(self.get("PRIORITY", "6"))

    @property
    def message(self) -> str:
        return self.get("MESSAGE")

    @property
    def unit(self) -> str:
        """The unit that said it, or that systemd said it about."""
        return self.get("_SYSTEMD_UNIT") if not self.get("UNIT") else self.get("UNIT")

    def __str__(self) -> str:
        source = self.unit or self.get("SYSLOG_IDENTIFIER") or self.get("_TRANSPORT")
        return f"<{self.priority}> {source}: {self.message}"


def parse(lines: Iterable[str]) -> Iterator[Entry]:
    for line in lines:
        if line.strip():
            yield Entry(json.loads(line))


def undeclared(entries: Iterable[Entry], declared: Iterable[str]) -> list[Entry]:
    """Entries of priority warning or worse that are neither noise nor declared.

    A declared pattern is searched in "<priority> unit: message".
    """
    patterns = [re.compile(pattern) for pattern in (*NOISE, *declared)]
    return [
        entry
        for entry in entries
        if entry.priority <= WARNING and not any(p.search(str(entry)) for p in patterns)
    ]
