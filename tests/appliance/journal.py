"""Journal entries of a machine, and which of them a test has to answer for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# syslog(3)
WARNING = 4

# What a container of this kind says whatever is installed in it, each with its reason.
BASELINE = (
    # A container may not load BPF programs or change what belongs to the host's kernel.
    r"bpf-restrict-fs|bpf-(firewall|devices|socket-bind|restrict-ifaces)|BPF",
    r"Failed to (set up|adjust) .*(oom|OOM)|systemd-oomd",
    r"Could not (set|open|write).*(sysctl|/proc/sys)|Couldn't write .* to '",
    r"unit configures an IP firewall, but the local system does not support BPF/cgroup",
    r"\(This warning is only shown for the first unit using IP firewalling\.\)",
    # The clock, the kernel ring buffer and the cgroup controllers are the host's.
    r"cgroup.*(controller|not (supported|available))|Failed to (enable|set) .*controller",
    r"Unknown kernel command line|/dev/kmsg",
    r"Failed to connect to .*hostnamed|systemd-(hostnamed|resolved|networkd)",
    r"pam_(lastlog|systemd)",
    # Emulated hardware, a guest without vsock, an image without locales.
    r"^<\d> kernel: (tsc|amd_pstate|hpet|acpi|ACPI|PCI|pci|RETBleed|Spectre|TSX|MDS|i8042|x86)",
    r"systemd-ssh-generator",
    r"pam_env.*/etc/default/locale",
)


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
    """Entries of priority warning or worse that no pattern is found in ("unit: message")."""
    patterns = [re.compile(pattern) for pattern in (*BASELINE, *declared)]
    return [
        entry
        for entry in entries
        if entry.priority <= WARNING and not any(p.search(str(entry)) for p in patterns)
    ]
